"""An independent maximisation to check `solve` against: slow, plain, and sharing no code with mmenv.

It reads the parameters of a market and an objective and nothing else: fill probabilities, penalties, the
Gaussian move and the expectation over the four outcomes of a step are written again, in utility space. The
maximum over both depths is found on a fine grid, whose best peaks are refined by golden section, one nested in
the other: no unimodality is assumed beyond one cell of the grid.
"""

from __future__ import annotations

from typing import Any

import numpy as np

GRID = 61
PEAKS = 4
ZOOM = 41
GOLDEN_STEPS = 30
GOLDEN = (np.sqrt(5) - 1) / 2


def fill_and_miss(market: Any, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P(fill) and P(no fill) of a quote at `depth`."""
    orders = market.arrival_rate * (market.horizon / market.steps) * np.exp(-market.depth_decay * depth)
    if market.fill_law == "linear":
        return np.where(orders < 1, orders, 1.0), np.where(orders < 1, 1 - orders, 0.0)
    return 1 - np.exp(-orders), np.exp(-orders)


def penalties(objective: Any, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Running and terminal penalty at inventories `q`, and the risk aversion."""
    kind = type(objective).__name__
    none = 0.0 * q
    if kind == "ExponentialPenalty":
        running = objective.weight * (np.exp(objective.rate * abs(q)) - 1)
        return running, objective.terminal_weight * q * q, 0.0
    if kind == "QuadraticPenalty":
        return objective.weight * q * q, objective.terminal_weight * q * q, 0.0
    if kind == "RiskNeutral":
        return none, none, 0.0
    return none, none, objective.risk_aversion


def certainty(chances: list[np.ndarray], worths: list[np.ndarray], gamma: float) -> np.ndarray:
    """Certainty equivalent of a lottery, -ln(sum P exp(-gamma worth))/gamma, or its mean at gamma = 0."""
    if gamma == 0:
        return sum(chance * worth for chance, worth in zip(chances, worths, strict=True))
    anchor = np.minimum.reduce(
        [np.where(chance > 0, worth, np.inf) for chance, worth in zip(chances, worths, strict=True)]
    )
    total = sum(
        chance * np.exp(-gamma * (np.where(chance > 0, worth, anchor) - anchor))
        for chance, worth in zip(chances, worths, strict=True)
    )
    return anchor - np.log(total) / gamma


def worth_of_quoting(market: Any, gamma: float, ends: np.ndarray, bid: np.ndarray, ask: np.ndarray) -> np.ndarray:
    """Value of quoting `bid` and `ask` at every inventory (last axis), if ending the step at q' is worth `ends`."""
    states = len(ends)
    bought, unbought = fill_and_miss(market, bid)
    sold, unsold = fill_and_miss(market, ask)
    may_buy, may_sell = np.arange(states) < states - 1, np.arange(states) > 0
    bought, unbought = np.where(may_buy, bought, 0.0), np.where(may_buy, unbought, 1.0)
    sold, unsold = np.where(may_sell, sold, 0.0), np.where(may_sell, unsold, 1.0)
    above, below = ends[np.minimum(np.arange(states) + 1, states - 1)], ends[np.maximum(np.arange(states) - 1, 0)]
    chances = [unbought * unsold, bought * unsold, unbought * sold, bought * sold]
    worths = [ends + 0 * bid * ask, bid + above + 0 * ask, ask + below + 0 * bid, bid + ask + ends]
    return certainty(chances, worths, gamma)


def worth_of_ends(market: Any, objective: Any, after: np.ndarray) -> np.ndarray:
    """Worth of holding each inventory through the move: penalty charged, Gaussian move integrated."""
    q = np.arange(-market.max_inventory, market.max_inventory + 1.0)
    dt = market.horizon / market.steps
    running, _, gamma = penalties(objective, q)
    # E exp(-gamma q sigma sqrt(dt) Z) = exp((gamma q sigma)^2 dt / 2)
    return after - running * dt - gamma * (q * market.volatility) ** 2 * dt / 2


def golden(function: Any, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The maximum of `function` between `low` and `high`, elementwise, if it has one peak there.

    A capped probability makes sharp peaks whose two sides differ, so the ends count too.
    """
    ends = np.maximum(function(low), function(high))
    for _ in range(GOLDEN_STEPS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        better = function(left) >= function(right)
        low, high = np.where(better, low, left), np.where(better, right, high)
    return np.maximum.reduce([ends, function(low), function((low + high) / 2), function(high)])


def peaks(profile: np.ndarray) -> np.ndarray:
    """Indices of the highest local maxima along axis 0, shape (PEAKS, states)."""
    padded = np.pad(profile, ((1, 1), (0, 0)), constant_values=-np.inf)
    local = (profile >= padded[:-2]) & (profile >= padded[2:])
    return np.argsort(np.where(local, profile, -np.inf), axis=0)[-PEAKS:]


def best_worth(market: Any, gamma: float, ends: np.ndarray) -> np.ndarray:
    """The largest worth of quoting at every inventory, over the whole box of depths."""
    grid = np.linspace(market.min_depth, market.max_depth, GRID)
    cell = grid[1] - grid[0]

    def clip(depth: np.ndarray) -> np.ndarray:
        return np.clip(depth, market.min_depth, market.max_depth)

    def best_bid_worth(ask: np.ndarray) -> np.ndarray:
        coarse = grid[np.argmax(worth_of_quoting(market, gamma, ends, grid[:, None, None], ask[None]), axis=0)]
        start, stop = clip(coarse - cell), clip(coarse + cell)
        return golden(lambda depth: worth_of_quoting(market, gamma, ends, depth, ask), start, stop)

    profile = best_bid_worth(np.repeat(grid[:, None], len(ends), axis=1))
    top = grid[peaks(profile)]
    # A cap on the probability can put two peaks into one cell, so each cell gets a grid of its own first.
    ask_low, ask_high = zoom(best_bid_worth, clip(top - cell), clip(top + cell))
    return golden(best_bid_worth, ask_low, ask_high).max(axis=0)


def zoom(function: Any, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The neighbourhood of the best of ZOOM points between `low` and `high`, shape (PEAKS, states) each."""
    points = low + np.linspace(0, 1, ZOOM)[:, None, None] * (high - low)
    worths = function(points.reshape(-1, low.shape[-1])).reshape(points.shape)
    best = np.argmax(worths, axis=0)[None]
    left = np.take_along_axis(points, np.maximum(best - 1, 0), axis=0)[0]
    return left, np.take_along_axis(points, np.minimum(best + 1, ZOOM - 1), axis=0)[0]


def maximise(market: Any, objective: Any) -> np.ndarray:
    """Values of all states by backward induction, shape (steps + 1, 2Q+1)."""
    q = np.arange(-market.max_inventory, market.max_inventory + 1.0)
    _, terminal, gamma = penalties(objective, q)
    values = [-terminal]
    for _ in range(market.steps):
        values.append(best_worth(market, gamma, worth_of_ends(market, objective, values[-1])))
    return np.array(values[::-1])


def value_of_quotes(market: Any, objective: Any, bid: np.ndarray, ask: np.ndarray) -> np.ndarray:
    """Values of all states under given depths, shape (steps, 2Q+1) each; shape (steps + 1, 2Q+1)."""
    q = np.arange(-market.max_inventory, market.max_inventory + 1.0)
    _, terminal, gamma = penalties(objective, q)
    values = [-terminal]
    for n in reversed(range(market.steps)):
        ends = worth_of_ends(market, objective, values[-1])
        values.append(worth_of_quoting(market, gamma, ends, bid[n], ask[n]))
    return np.array(values[::-1])


def outcome_paths(market: Any, bid: np.ndarray, ask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every sequence of fills from q = 0 under given depths, shape (steps, 2Q+1) each.

    Returns:
        Its chance (paths,), inventories before and after all steps (paths, steps + 1), depths earned (paths,).
        Given the fills, profit is Gaussian with mean `earned` and variance sigma^2 dt sum q'^2.
    """
    limit = market.max_inventory
    paths = [(1.0, (0,), 0.0)]
    for n in range(market.steps):
        longer = []
        for chance, inventories, earned in paths:
            q = inventories[-1]
            buys = fill_and_miss(market, bid[n, q + limit]) if q < limit else (0.0, 1.0)
            sells = fill_and_miss(market, ask[n, q + limit]) if q > -limit else (0.0, 1.0)
            for bought, sold in ((0, 0), (0, 1), (1, 0), (1, 1)):
                step_chance = buys[1 - bought] * sells[1 - sold]
                if step_chance > 0:
                    gain = (bid[n, q + limit] if bought else 0.0) + (ask[n, q + limit] if sold else 0.0)
                    longer.append((chance * step_chance, (*inventories, q + bought - sold), earned + gain))
        paths = longer
    chances, inventories, earned = zip(*paths, strict=True)
    return np.array(chances), np.array(inventories), np.array(earned)
