"""Traders played along tapes: the exact costs checked by simulation, and what the mid's moves add to their risk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from evaluate.article.bench import Bench
from evaluate.article.chain import Chain
from evaluate.article.trader import Plan, outside_price
from evaluate.metrics import Deviation, Estimate, Mean, Moments, Ratio, estimate
from evaluate.streaming import EVALUATION_STREAMS
from mmenv.dynamics import Quotes, initial_state, step
from mmenv.market import Market
from mmenv.quotes import QuoteTable
from mmenv.simulation import simulate
from mmenv.tape import Tape

PIECE = 2048

# Whether to buy one more unit now: from the step, the maker's inventories and the units left, to booleans.
Wants = Callable[[int, np.ndarray, np.ndarray], np.ndarray]
Trader = Callable[[np.random.Generator, int], Wants]


def fixed(slices: Sequence[tuple[int, int]]) -> Trader:
    """A trader who buys given units at given steps."""
    units = sum(size for _, size in slices)
    sizes = dict(slices)

    def start(rng: np.random.Generator, paths: int) -> Wants:
        target = {n: units - sum(size for m, size in sizes.items() if m <= n) for n in sizes}
        return lambda n, inventory, left: left > target.get(n, units)

    return start


def at_random(first: int, last: int, units: int) -> Trader:
    """A trader who buys each unit at a time of its own, uniform on the steps first .. last."""

    def start(rng: np.random.Generator, paths: int) -> Wants:
        times = rng.integers(first, last + 1, size=(units, paths))
        return lambda n, inventory, left: left > np.sum(times > n, axis=0)

    return start


def planned(chain: Chain, plan: Plan) -> Trader:
    """A trader who follows a plan that only buys."""

    def start(rng: np.random.Generator, paths: int) -> Wants:
        return lambda n, inventory, left: plan.trade[n - plan.first, inventory + chain.market.max_inventory, left] > 0

    return start


def play(chain: Chain, tape: Tape, first: int, last: int, units: int, wants: Wants) -> tuple[np.ndarray, np.ndarray]:
    """Play a trader to a maker who is flat before step `first`.

    Between steps it buys unit by unit, the maker requoting after each; then the tape's other takers come.

    Returns:
        Per unit, what was paid over the mid at the time, and over the initial mid; shape (paths,) each [price]. Their
        means are the same, since the mid is a martingale; the first is the less noisy.
    """
    market, limit = chain.market, chain.market.max_inventory
    state = initial_state(market, tape.paths)
    left, paid, moved = np.full(tape.paths, units), np.zeros(tape.paths), np.zeros(tape.paths)
    for n in range(first, last + 1):
        while True:
            wanted = (left > 0) & (wants(n, state.inventory, left) | (n == last))
            buying = wanted & (state.inventory > -limit)
            if n == last:
                refused = np.where(wanted & ~buying, left, 0)
                paid += refused * outside_price(chain, n)
                moved += refused * (state.mid - market.initial_mid)
                left = left - refused
            if not buying.any():
                break
            paid += np.where(buying, chain.ask_depth[n, state.inventory + limit], 0.0)
            moved += np.where(buying, state.mid - market.initial_mid, 0.0)
            left = left - buying
            state = state._replace(inventory=state.inventory - buying)
        at = state.inventory + limit
        # The step ignores a side that is not quoted, whatever its depth.
        quotes = Quotes(
            *(np.where(np.isfinite(side), side, 0.0) for side in (chain.bid_depth[n, at], chain.ask_depth[n, at]))
        )
        state, _ = step(market, state, quotes, tape.flow(n))
    return paid / units, (paid + moved) / units


def costs(bench: Bench, traders: dict[str, Trader], exact: dict[str, float]) -> dict[str, tuple[Estimate, Estimate]]:
    """Mean (over the mid at the time) and deviation (over the initial mid) of the cost per unit, with intervals.

    Args:
        bench: the setting; the maker is the optimal one.
        traders: by name.
        exact: their exact costs, near which squares are taken.
    """
    chain = bench.optimum.chain
    moments: dict[str, Moments] = {}
    for piece, tape in enumerate(tapes(bench.market, bench.episodes, bench.seed)):
        for i, (name, trader) in enumerate(traders.items()):
            wants = trader(np.random.default_rng([bench.seed, piece, i]), tape.paths)
            paid, cost = play(chain, tape, bench.first, bench.last, bench.order, wants)
            part = Moments.of(np.stack([paid, cost, (cost - exact[name]) ** 2]))
            moments[name] = moments[name].merge(part) if name in moments else part
    return {name: (estimate(m, Mean(0)), estimate(m, Deviation(1, 2, exact[name]))) for name, m in moments.items()}


def markouts(market: Market, quotes: QuoteTable, horizons: Sequence[int], episodes: int, seed: int) -> list[Estimate]:
    """The mid's mean move after a taker bought from a maker, per fill, over some numbers of steps.

    Fills in the last steps, for which the longest horizon has no mid any more, are left out.
    """
    moments: Moments | None = None
    for tape in tapes(market, episodes, seed):
        paths = simulate(market, quotes, tape)
        sold = paths.ask_fill[: len(paths.ask_fill) + 1 - max(horizons)]
        moves = [paths.mid[h : h + len(sold)] - paths.mid[: len(sold)] for h in horizons]
        columns = np.stack([*(np.sum(sold * move, axis=0) for move in moves), np.sum(sold, axis=0)])
        part = Moments.of(columns)
        moments = part if moments is None else moments.merge(part)
    assert moments is not None
    return [estimate(moments, Ratio(i, len(horizons))) for i in range(len(horizons))]


def tapes(market: Market, episodes: int, seed: int) -> Iterator[Tape]:
    """The tapes of all sessions, a piece at a time."""
    for piece, done in enumerate(range(0, episodes, PIECE)):
        size = min(PIECE, episodes - done)
        yield Tape.draw(market, size, EVALUATION_STREAMS + seed, episode=piece)
