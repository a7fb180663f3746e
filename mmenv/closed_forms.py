"""The answers of continuous time, dt -> 0, which the exact optimum tends to (docs/model.md, section 6).

Depths are not clipped to the market's box here, and the value is that of quoting without a box. In a market of
several regimes each regime gets the formula of the plain market with its parameters, as if it lasted for ever; the
formulas know nothing of drift, informed takers, fees and ticks.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mmenv import _validate
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.quotes import QuoteTable, quote_table

# The first step of a propagator: so short that |G t| <= 2^-SHORTEST_STEP, where the next term of the Taylor
# series, 2^(-SHORTEST_STEP * TAYLOR_ORDER) of the first, is below the rounding of a float.
SHORTEST_STEP = 16
TAYLOR_ORDER = 4


def time_left(market: Market) -> np.ndarray:
    """T - t at t = n dt, shape (steps,) [time]."""
    return market.dt * np.arange(market.steps, 0, -1)


def reservation_offset(market: Market, risk_aversion: float) -> np.ndarray:
    """Reservation price less the mid, -q gamma sigma^2 (T - t), in a market of one regime (equation 30).

    Returns:
        Shape (steps, 2Q+1) [price].
    """
    return -risk_aversion * _number(market, "volatility") ** 2 * np.outer(time_left(market), market.inventories)


def optimal_spread(market: Market, risk_aversion: float) -> np.ndarray:
    """Spread around the reservation price, gamma sigma^2 (T - t) + (2/gamma) ln(1 + gamma/k) (equation 31).

    The market has one regime; where its sides differ, the logarithm is the mean of both.

    Returns:
        Shape (steps,) [price].
    """
    margins = market.bid_law.natural_margin(risk_aversion) + market.ask_law.natural_margin(risk_aversion)
    return risk_aversion * _number(market, "volatility") ** 2 * time_left(market) + margins


def avellaneda_stoikov(market: Market, risk_aversion: float) -> QuoteTable:
    """The quotes of Avellaneda & Stoikov (2008): half the spread on each side of the reservation price.

    An approximation to the optimum of the exponential utility (equations 30 and 31 of docs/model.md).

    Args:
        market: the market; its box of depths is ignored.
        risk_aversion: gamma of the exponential utility [1 / price], > 0.

    Raises:
        TypeError, ValueError: risk_aversion is not a finite number > 0.
    """
    risk_aversion = _validate.real("risk_aversion", risk_aversion, above=0)

    def sides(market: Market) -> tuple[np.ndarray, np.ndarray]:
        offset = reservation_offset(market, risk_aversion)
        half_spread = optimal_spread(market, risk_aversion)[:, None] / 2
        bid_extra = market.bid_law.natural_margin(risk_aversion) - market.ask_law.natural_margin(risk_aversion)
        return half_spread - offset + bid_extra / 2, half_spread + offset - bid_extra / 2

    return _table(market, sides)


def asymptotic_glft(market: Market, risk_aversion: float) -> QuoteTable:
    """The quotes of Guéant, Lehalle & Fernandez-Tapia (2013) far from the end (equation 29 of docs/model.md).

    The long-horizon limit of the optimum for the exponential utility, with its ground state approximated by
    a Gaussian: linear in inventory and constant in time.

    Args:
        market: the market; its box of depths is ignored; its arrival rate must be positive.
        risk_aversion: gamma of the exponential utility [1 / price], > 0.

    Raises:
        TypeError, ValueError: risk_aversion is not a finite number > 0, or the arrival rate is 0.
    """
    risk_aversion = _validate.real("risk_aversion", risk_aversion, above=0)
    for side in ("bid_arrival_rate", "ask_arrival_rate"):
        _validate.real("arrival_rate", float(market.by_regime(side).min()), above=0)

    def sides(market: Market) -> tuple[np.ndarray, np.ndarray]:
        # Where the sides differ, the skew is that of their mean decay and the geometric mean of their rates.
        k = (_number(market, "bid_depth_decay") + _number(market, "ask_depth_decay")) / 2
        hopping = math.exp(sum(log_hopping_rates(market, risk_aversion)) / 2)
        skew = _number(market, "volatility") * math.sqrt(risk_aversion / (2 * k * hopping))
        lean = skew * market.inventories
        bid, ask = (law.natural_margin(risk_aversion) + skew / 2 for law in (market.bid_law, market.ask_law))
        return bid + lean, ask - lean

    return _table(market, sides)


def continuous_quotes(market: Market, objective: Objective) -> QuoteTable:
    """The optimal quotes of continuous time at t = n dt (equation 25 of docs/model.md).

    For `ExponentialUtility` these are the finite-horizon quotes of Guéant, Lehalle & Fernandez-Tapia (2013).

    Args:
        market: the market; its box of depths is ignored.
        objective: any objective.

    Raises:
        ValueError: a penalty of the objective overflows in this market.
    """
    value = continuous_value(market, objective)[:-1]
    bid_margin, ask_margin = (law.natural_margin(objective.risk_aversion) for law in (market.bid_law, market.ask_law))
    bid, ask = np.empty_like(value), np.empty_like(value)
    bid[..., :-1] = bid_margin + value[..., :-1] - value[..., 1:]
    ask[..., 1:] = ask_margin + value[..., 1:] - value[..., :-1]
    return quote_table(bid, ask)


def continuous_value(market: Market, objective: Objective) -> np.ndarray:
    """The value of quoting optimally in continuous time, h(t, q) at t = n dt (equations 24 to 27 of docs/model.md).

    omega = exp(k h) solves a linear equation, so that h is the logarithm of a matrix exponential.

    Args:
        market: the market; its box of depths is ignored.
        objective: any objective: penalties, exponential utility, or both.

    Returns:
        Certainty equivalent of what is still to come, shape (steps + 1, regimes, 2Q+1) [price].

    Raises:
        ValueError: a penalty of the objective overflows in this market, or the depth decays of its sides differ.
    """
    objective.check(market)
    return np.stack([_value_in(market.in_regime(z), objective) for z in range(market.regimes)], axis=1)


def _value_in(market: Market, objective: Objective) -> np.ndarray:
    """`continuous_value` of a market of one regime, shape (steps + 1, 2Q+1)."""
    k, q = _number(market, "bid_depth_decay"), market.inventories
    if k != _number(market, "ask_depth_decay"):
        raise ValueError(
            f"depth_decay must be the same on both sides for the formula of continuous time, got {k:g} on the bid side "
            f"and {_number(market, 'ask_depth_decay'):g} on the ask side"
        )
    gamma = objective.risk_aversion
    decay = k * (objective.running_penalty(q) + gamma * (_number(market, "volatility") * q) ** 2 / 2)
    up, down = log_hopping_rates(market, gamma)
    if (up == -math.inf) != (down == -math.inf):
        raise ValueError("arrival_rate must be 0 on both sides or on neither for the formula of continuous time")
    # Rates that differ are made equal by the change of variable omega = c^q omega~, c^2 = down / up.
    lean = q * (down - up) / 2 if up != down else np.zeros(len(q))
    log_omega = np.empty((market.steps + 1, len(q)))
    log_omega[-1] = -k * objective.terminal_penalty(q) - lean
    log_step = log_propagator(decay, (up + down) / 2, market.dt)
    for n in reversed(range(market.steps)):
        log_omega[n] = _log_sum_exp(log_step + log_omega[n + 1])
    return (log_omega + lean) / k


def log_hopping_rates(market: Market, risk_aversion: float) -> tuple[float, float]:
    """`log_hopping_rate` of the bid and of the ask side of a market of one regime."""
    bid, ask = (
        log_hopping_rate(_number(market, f"{side}_arrival_rate"), _number(market, f"{side}_depth_decay"), risk_aversion)
        for side in ("bid", "ask")
    )
    return bid, ask


def log_hopping_rate(arrival_rate: float, depth_decay: float, risk_aversion: float) -> float:
    """Logarithm of A (1 + gamma/k)^-(1 + k/gamma), which is A/e at gamma = 0 (equation 26); -inf at A = 0."""
    if arrival_rate == 0:
        return -math.inf
    ratio = risk_aversion / depth_decay
    exponent = 1.0 if ratio == 0 else (1 + 1 / ratio) * math.log1p(ratio)
    return math.log(arrival_rate) - exponent


def log_propagator(decay: np.ndarray, log_rate: float, duration: float) -> np.ndarray:
    """Logarithm of exp(G t), entry by entry, for G with -decay on its diagonal and one rate on both sides of it.

    exp(G t) is a Taylor step of t / 2^m, squared m times (equation 28 of docs/model.md). Off the diagonal
    everything is nonnegative, so nothing cancels; entries are held as logarithms, so nothing over- or
    underflows; and a diagonal entry near one is held as its distance from one, which it would else be rounded
    to. Each entry thus keeps its own precision, where a general `expm` returns zero or NaN for steep penalties.

    Args:
        decay: what the diagonal loses, of any sign, shape (n,) [1 / time].
        log_rate: logarithm of the entries beside the diagonal [1 / time]; may be -inf.
        duration: t [time], > 0.

    Returns:
        Shape (n, n), symmetric; -inf for a zero entry.
    """
    rate = math.exp(log_rate)
    largest = (float(np.max(np.abs(decay))) + 2 * rate) * duration
    squarings = SHORTEST_STEP + max(0, math.frexp(largest)[1])
    generator = np.diag(-decay) + np.diag(np.full(len(decay) - 1, rate), 1) + np.diag(np.full(len(decay) - 1, rate), -1)
    excess = _short_step(generator * math.ldexp(duration, -squarings))
    near_one = np.diag(excess).copy()
    with np.errstate(divide="ignore"):
        log_e = np.log(excess - np.diag(near_one))
    np.fill_diagonal(log_e, np.log1p(near_one))
    for _ in range(squarings):
        log_e, near_one = _square(log_e, near_one)
    return log_e


def _short_step(generator: np.ndarray) -> np.ndarray:
    """exp(G) - I for a tiny G, by its Taylor series."""
    term = total = generator
    for order in range(2, TAYLOR_ORDER + 1):
        term = term @ generator / order
        total = total + term
    return total


def _square(log_e: np.ndarray, near_one: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Square a symmetric nonnegative matrix E held in logarithms.

    Args:
        log_e: ln E, shape (n, n).
        near_one: E_ii - 1 while it is small, else NaN, shape (n,).

    Returns:
        The same two of E^2.
    """
    squared = np.stack([_log_sum_exp(row + log_e) for row in log_e])
    off_diagonal = log_e.copy()
    np.fill_diagonal(off_diagonal, -np.inf)
    returns = np.exp(np.minimum(_log_sum_exp(2 * off_diagonal), 1.0))  # beyond that no entry is near one
    near_one = near_one * (2 + near_one) + returns
    near_one[~(np.abs(near_one) < 0.5)] = np.nan
    np.fill_diagonal(squared, np.where(np.isnan(near_one), np.diag(squared), np.log1p(near_one)))
    return squared, near_one


def _log_sum_exp(values: np.ndarray) -> np.ndarray:
    """ln sum exp over the last axis; -inf where all are."""
    largest = np.max(values, axis=-1)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return shift + np.log(np.sum(np.exp(values - shift[..., None]), axis=-1))


def _number(market: Market, name: str) -> float:
    """A parameter of a market of one regime."""
    return float(market.by_regime(name)[0, 0])


def _table(market: Market, sides: Callable[[Market], tuple[np.ndarray, np.ndarray]]) -> QuoteTable:
    """A table from a formula of the plain market, which gives depths that broadcast to (steps, 2Q+1)."""
    steps, _, inventories = market.grid_shape
    tables = [sides(market.in_regime(z)) for z in range(market.regimes)]
    bid, ask = (
        np.stack([np.broadcast_to(side, (steps, inventories)) for side in regimes], axis=1)
        for regimes in zip(*tables, strict=True)
    )
    return quote_table(bid, ask)
