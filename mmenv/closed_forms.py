"""The answers of continuous time, dt -> 0, which the exact optimum tends to (docs/model.md, section 6).

Depths are not clipped to the market's box here, and the value is that of quoting without a box.
"""

from __future__ import annotations

import math

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
    """Reservation price less the mid, -q gamma sigma^2 (T - t) (equation 30 of docs/model.md).

    Returns:
        Shape (steps, 2Q+1) [price].
    """
    return -risk_aversion * market.volatility**2 * np.outer(time_left(market), market.inventories)


def optimal_spread(market: Market, risk_aversion: float) -> np.ndarray:
    """Spread around the reservation price, gamma sigma^2 (T - t) + (2/gamma) ln(1 + gamma/k) (equation 31).

    Returns:
        Shape (steps,) [price].
    """
    return risk_aversion * market.volatility**2 * time_left(market) + 2 * market.law.natural_margin(risk_aversion)


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
    offset = reservation_offset(market, risk_aversion)
    half_spread = optimal_spread(market, risk_aversion)[:, None] / 2
    return _table(market, half_spread - offset, half_spread + offset)


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
    _validate.real("arrival_rate", market.arrival_rate, above=0)
    k = market.depth_decay
    hopping = math.exp(log_hopping_rate(market, risk_aversion))
    skew = market.volatility * math.sqrt(risk_aversion / (2 * k * hopping))
    half_spread = market.law.natural_margin(risk_aversion) + skew / 2
    lean = skew * market.inventories
    return _table(market, half_spread + lean, half_spread - lean)


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
    margin = market.law.natural_margin(objective.risk_aversion)
    bid, ask = np.empty_like(value), np.empty_like(value)
    bid[..., :-1] = margin + value[..., :-1] - value[..., 1:]
    ask[..., 1:] = margin + value[..., 1:] - value[..., :-1]
    return quote_table(bid, ask)


def continuous_value(market: Market, objective: Objective) -> np.ndarray:
    """The value of quoting optimally in continuous time, h(t, q) at t = n dt (equations 24 to 27 of docs/model.md).

    omega = exp(k h) solves a linear equation, so that h is the logarithm of a matrix exponential.

    Args:
        market: the market; its box of depths is ignored.
        objective: any objective: penalties, exponential utility, or both.

    Returns:
        Certainty equivalent of what is still to come, shape (steps + 1, 1, 2Q+1) [price].

    Raises:
        ValueError: a penalty of the objective overflows in this market.
    """
    objective.check(market)
    k, q = market.depth_decay, market.inventories
    gamma = objective.risk_aversion
    decay = k * (objective.running_penalty(q) + gamma * (market.volatility * q) ** 2 / 2)
    log_omega = np.empty((market.steps + 1, 1, len(q)))
    log_omega[-1] = -k * objective.terminal_penalty(q)
    log_step = log_propagator(decay, log_hopping_rate(market, gamma), market.dt)
    for n in reversed(range(market.steps)):
        log_omega[n] = _log_sum_exp(log_step + log_omega[n + 1])
    return log_omega / k


def log_hopping_rate(market: Market, risk_aversion: float) -> float:
    """Logarithm of A (1 + gamma/k)^-(1 + k/gamma), which is A/e at gamma = 0 (equation 26); -inf at A = 0."""
    if market.arrival_rate == 0:
        return -math.inf
    ratio = risk_aversion / market.depth_decay
    exponent = 1.0 if ratio == 0 else (1 + 1 / ratio) * math.log1p(ratio)
    return math.log(market.arrival_rate) - exponent


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


def _table(market: Market, bid_depth: np.ndarray, ask_depth: np.ndarray) -> QuoteTable:
    """A table of quotes that do not depend on the regime; the depths broadcast to (steps, 2Q+1)."""
    bid, ask = (np.broadcast_to(np.expand_dims(side, -2), market.grid_shape) for side in (bid_depth, ask_depth))
    return quote_table(bid, ask)
