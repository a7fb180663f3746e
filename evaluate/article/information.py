"""What takers know: markets in which some do, and a purchase's effect split into information and skew (claim 0)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evaluate.article.bench import Bench, Maker
from evaluate.article.chain import Chain, average
from evaluate.article.finding import Cell, Label, labels
from evaluate.text import number
from mmenv.backup import Side
from mmenv.market import Market

# A finer step, so that a taker who comes is news: with a near-certain taker a step, it is news that none came.
FINE = 4
# How far an informed taker sees the mid go, as parts of a flat maker's half-spread 1/k in continuous time.
JUMPS = (1.125, 2.25)
# The shares of informed takers in the split of a purchase's effect.
SPLIT_SHARES = (0.0, 0.05, 0.1, 0.2)


def jump_of(market: Market, part: float) -> float:
    """A jump of the mid [price]."""
    return part / market.depth_decay


def informed_market(market: Market, share: float, jump: float) -> Market:
    """The market in finer steps, in which a share of the takers beyond the mid see it jump [price] their way."""
    return replace(market, steps=FINE * market.steps, informed_share=share, informed_jump=jump)


@dataclass(frozen=True)
class Split:
    """What purchases by takers do to the quoted midpoint, against no buyer having come to the mid in those steps.

    Attributes:
        information: expected move of the true mid; it stays [price].
        skew: expected midpoint of the quotes less the true mid, before each step after the purchases, shape
            (steps,) [price].
    """

    information: float
    skew: np.ndarray


def split_purchase(chain: Chain, first: int, units: int) -> Split:
    """Takers buy one unit in each of `units` steps from `first` on, from a maker who is flat before them.

    Each is a taker like any other: he knows with the market's chance. The other side trades as ever.
    """
    bought, quiet = (_condition(chain, first, units, came) for came in (True, False))
    n, stop = first + units, chain.market.steps - 1
    midpoints = chain.midpoint[n : stop + 1]
    skews = (average(chain.path(n, chances, stop), midpoints) for chances, _ in (bought, quiet))
    return Split(bought[1] - quiet[1], next(skews) - next(skews))


def _condition(chain: Chain, first: int, units: int, came: bool) -> tuple[np.ndarray, float]:
    """Inventory and expected move of the mid, given that buyers took our ask in all steps or that none came to the mid.

    A seller who fills our bid may know too, and inventory decides what fills later, so the mid's moves are carried
    along by inventory.
    """
    market = chain.market
    bid_side, ask_side = Side.pair(market)
    jump = float(market.by_regime("informed_jump")[0, 0])
    weight, moved = chain.start(0), np.zeros(len(market.inventories))
    for n in range(first, first + units):
        ask = _asks(ask_side, chain.ask_depth[n], came)
        bid = _sides(bid_side, chain.bid_depth[n])
        after, moves = np.zeros_like(weight), np.zeros_like(weight)
        for bought, seller_knows, bid_chance in bid:
            for sold, buyer_knows, ask_chance in ask:
                chance = bid_chance * ask_chance
                move = jump * (buyer_knows - seller_knows) + float(market.move_mean[0, 0])
                after += _carry(chance * weight, bought - sold)
                moves += _carry(chance * (moved + move * weight), bought - sold)
        weight, moved = after, moves
    return weight / weight.sum(), float(moved.sum() / weight.sum())


def _carry(weights: np.ndarray, by: int) -> np.ndarray:
    """Weights of the inventories before a change to those after it; a side at its limit does not fill."""
    if by == 0:
        return weights
    return np.append(0.0, weights[:-1]) if by > 0 else np.append(weights[1:], 0.0)


def _sides(side: Side, depth: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """(fills, knows, chance) of all that may happen on a side."""
    return [(o.fill, o.knows, np.exp(np.broadcast_to(o.log_chance, (1, len(depth)))[0])) for o in side.outcomes(depth)]


def _asks(side: Side, depth: np.ndarray, came: bool) -> list[tuple[int, int, np.ndarray]]:
    """The same on the ask side, of the outcomes in which a buyer takes our ask, or in which none came to the mid."""
    if came:
        return [outcome for outcome in _sides(side, depth) if outcome[0]]
    fill, beyond = side.probability(depth), side.law.probability(0.0)
    before = np.maximum(fill - beyond, 0.0)
    return [(1, 0, before), (0, 0, 1 - beyond - before)]


def split_by_share(bench: Bench, late: float) -> tuple[dict[float, Split], Sequence[Sequence[Cell]]]:
    """A purchase's effect under the exact optimum by the share of informed takers, and its table.

    Args:
        bench: the setting; its event's units are bought.
        late: when to look again, as a part of the session.
    """
    rows: list[list[Cell]] = [[*labels("share_informed", "information", "skew_jump")]]
    rows[0] += [Label("skew_late", {"time": late * bench.market.horizon}), *labels("moved_at_once", "moved_late")]
    splits = {}
    for share in SPLIT_SHARES:
        market = informed_market(bench.market, share, jump_of(bench.market, JUMPS[0]))
        chain = Maker.optimal(market, bench.objective).chain
        split = splits[share] = split_purchase(chain, market.steps // 4, bench.event)
        then = float(split.skew[round(late * market.steps)])
        cells = (split.information, split.skew[0], then, split.information + split.skew[0], split.information + then)
        rows.append([number(100 * share, 0), *(number(cell, 4) for cell in cells)])
    return splits, rows
