"""An independent maximisation for markets with regimes, informed takers, fees and ticks: slow, plain, no code of mmenv.

It reads the fields of a market, enumerates the sixteen outcomes (fills and informed takers on both sides) of a
step by the words of the model, and maximises over a net of pairs of depths that is zoomed around its best peaks.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy.linalg import expm

NET = 41
PEAKS = 6
ZOOMS = 16


def parameter(market: Any, name: str, z: int) -> float:
    """A parameter in a regime; a side's own where it is given."""
    value = getattr(market, name)
    if value is None:
        return parameter(market, name.split("_", 1)[1], z)
    return float(value[z]) if isinstance(value, tuple) else float(value)


def chain(market: Any) -> np.ndarray:
    """One-step transition probabilities."""
    if market.transition_matrix is not None:
        return np.array(market.transition_matrix)
    if market.transition_rates is not None:
        return expm(np.array(market.transition_rates) * market.horizon / market.steps)
    return np.ones((1, 1))


def curve(market: Any, side: str, z: int, depth: np.ndarray) -> np.ndarray:
    """f(depth): how the intensity falls with depth."""
    form = market.fill_curve
    if form == "exponential":
        return np.exp(-parameter(market, f"{side}_depth_decay", z) * depth)
    if form.name == "power":
        return (1 + np.maximum(depth, 0) / form.scale) ** -form.exponent
    return np.exp(np.interp(depth, form.depths, np.log(form.factors)))


def tail(market: Any, side: str, z: int, depth: np.ndarray) -> np.ndarray:
    """P(reach > depth)."""
    orders = (
        parameter(market, f"{side}_arrival_rate", z) * market.horizon / market.steps * curve(market, side, z, depth)
    )
    return np.minimum(orders, 1.0) if market.fill_law == "linear" else 1 - np.exp(-orders)


def side_chances(market: Any, side: str, z: int, depth: np.ndarray, quoted: bool) -> dict[tuple[int, int], np.ndarray]:
    """P(fill, informed) on one side: informed iff reach > 0 and a coin of chance rho says so."""
    share, beyond = parameter(market, "informed_share", z), tail(market, side, z, np.array(0.0))
    fill = tail(market, side, z, depth) if quoted else 0.0 * depth
    both = share * (tail(market, side, z, np.maximum(depth, 0.0)) if quoted else 0.0 * depth)
    return {(1, 1): both, (1, 0): fill - both, (0, 1): share * beyond - both, (0, 0): 1 - fill - share * beyond + both}


def kinks(market: Any, side: str, z: int) -> np.ndarray:
    """Depths in the box where P(reach > depth) or who is informed has a kink: the mid, and the cap at one."""
    orders = parameter(market, f"{side}_arrival_rate", z) * market.horizon / market.steps
    form, knots = market.fill_curve, [0.0]
    if form == "exponential":
        knots.append(np.log(orders) / parameter(market, f"{side}_depth_decay", z))
    elif form.name == "power":
        knots.append(form.scale * (max(orders, 1.0) ** (1 / form.exponent) - 1))
    else:
        knots += [*form.depths, np.interp(np.log(orders), -np.log(form.factors), form.depths)]
    return np.clip(knots, market.min_depth, market.max_depth)


def worth(
    market: Any, objective: Any, after: np.ndarray, z: int, q: int, bid: np.ndarray, ask: np.ndarray
) -> np.ndarray:
    """Value of quoting (bid, ask) at (z, q) if the step ends in values `after` (regimes, 2Q+1)."""
    gamma, limit, dt = objective.risk_aversion, market.max_inventory, market.horizon / market.steps
    sigma, jump, share = (parameter(market, name, z) for name in ("volatility", "informed_jump", "informed_share"))
    zero = np.array(0.0)
    compensator = share * jump * (tail(market, "ask", z, zero) - tail(market, "bid", z, zero))
    mean = parameter(market, "drift", z) * dt - compensator
    fee = market.fee + market.fee_rate * market.initial_mid
    bids = side_chances(market, "bid", z, bid, q < limit)
    asks = side_chances(market, "ask", z, ask, q > -limit)
    total = 0.0
    for (bought, bid_knows), (sold, ask_knows) in itertools.product(bids, asks):
        chance = bids[bought, bid_knows] * asks[sold, ask_knows]
        held = q + bought - sold
        if abs(held) > limit:
            continue
        earned = bought * (bid - fee) + sold * (ask - fee) + held * (mean + jump * (ask_knows - bid_knows))
        earned = earned - objective.running_penalty(held) * dt
        for p, value in zip(chain(market)[z], after[:, held + limit], strict=True):
            if gamma == 0:
                total = total + chance * p * (earned + value)
            else:
                total = total + chance * p * np.exp(-gamma * (earned + value) + (gamma * held * sigma) ** 2 * dt / 2)
    return total if gamma == 0 else -np.log(total) / gamma


def best(market: Any, objective: Any, after: np.ndarray, z: int, q: int) -> float:
    """The largest worth over the box, or over the ticks in it."""
    low, high = market.min_depth, market.max_depth
    if market.tick is not None:
        ticks = np.arange(np.ceil(low / market.tick - 1e-9), np.floor(high / market.tick + 1e-9) + 1) * market.tick
        return float(worth(market, objective, after, z, q, ticks[:, None], ticks[None]).max())
    sharp = [kinks(market, side, z) for side in ("bid", "ask")]
    bids, asks = (np.sort(np.concatenate([np.linspace(low, high, NET), at])) for at in sharp)
    values = worth(market, objective, after, z, q, bids[:, None], asks[None])
    padded = np.pad(values, 1, constant_values=-np.inf)
    size = len(bids)
    around = np.max([padded[1 + i : size + 1 + i, 1 + j : size + 1 + j] for i in (-1, 0, 1) for j in (-1, 0, 1)], 0)
    peaks = [tuple(at) for at in np.argwhere(values >= around)]
    peaks.sort(key=lambda at: -values[at])
    top = float(values.max())
    for i, j in peaks[:PEAKS]:
        centre, width = np.array([bids[i], asks[j]]), (high - low) / (NET - 1)
        for _ in range(ZOOMS):
            lines = [
                np.concatenate([np.clip(c + width * np.linspace(-1, 1, 9), low, high), at])
                for c, at in zip(centre, sharp, strict=True)
            ]
            values_here = worth(market, objective, after, z, q, lines[0][:, None], lines[1][None])
            at = np.unravel_index(np.argmax(values_here), values_here.shape)
            centre, width = np.array([lines[0][at[0]], lines[1][at[1]]]), width * 0.4
            top = max(top, float(values_here.max()))
    return top


def maximise(market: Any, objective: Any) -> np.ndarray:
    """Values of all states by backward induction, shape (steps + 1, regimes, 2Q+1)."""
    limit, regimes = market.max_inventory, len(chain(market))
    terminal = -np.array([float(objective.terminal_penalty(q)) for q in range(-limit, limit + 1)])
    values = [np.tile(terminal, (regimes, 1))]
    for _ in range(market.steps):
        after = values[-1]
        quoting = [[best(market, objective, after, z, q) for q in range(-limit, limit + 1)] for z in range(regimes)]
        values.append(np.array([best_after_trading(market, row) for row in quoting]))
    return np.array(values[::-1])


def trading_cost(market: Any, units: int) -> float:
    """What trading at the mid before quoting costs."""
    return market.hedge_cost * abs(units) + (market.hedge_fixed_cost if units else 0.0) if units else 0.0


def best_after_trading(market: Any, quoting: list[float]) -> list[float]:
    """The best value at each inventory, if any other can be traded to before quoting."""
    if market.hedge_cost is None:
        return quoting
    size, limit = len(quoting), market.max_inventory
    return [
        max(quoting[j] - trading_cost(market, j - i) for j in range(size) if abs(j - i) <= limit) for i in range(size)
    ]


def value_of_quotes(
    market: Any, objective: Any, bid: np.ndarray, ask: np.ndarray, hedge: np.ndarray | None = None
) -> np.ndarray:
    """Values of all states under given depths and trades before them (steps, regimes, 2Q+1)."""
    hedge = np.zeros(bid.shape, dtype=int) if hedge is None else hedge
    limit, regimes = market.max_inventory, len(chain(market))
    terminal = -np.array([float(objective.terminal_penalty(q)) for q in range(-limit, limit + 1)])
    values = [np.tile(terminal, (regimes, 1))]
    for n in reversed(range(market.steps)):
        rows = [
            [
                worth(market, objective, values[-1], z, held, bid[n, z, q + limit], ask[n, z, q + limit])
                - trading_cost(market, held - q)
                for q in range(-limit, limit + 1)
                for held in [min(max(q + int(hedge[n, z, q + limit]), -limit), limit)]
            ]
            for z in range(regimes)
        ]
        values.append(np.array(rows, dtype=float))
    return np.array(values[::-1])
