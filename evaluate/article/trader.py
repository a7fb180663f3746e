"""A trader who buys from the maker on top of everybody else, and what that costs, exactly.

Between two steps, at one mid, the trader buys some units; the maker requotes after each. Then the step's other
flow comes. The mid is a martingale that knows nothing of all this, so expected cost over the initial mid is the
expected sum of the depths paid. A maker at its limit refuses to sell; what is refused at the deadline is bought
elsewhere at the dearest ask that the maker has at that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluate.article.chain import Chain, average


@dataclass(frozen=True)
class Purchase:
    """What a schedule of purchases is expected to cost.

    Attributes:
        per_unit: expected cost over the initial mid, per unit [price].
        refused: expected units that the maker refused; they are bought elsewhere at the deadline.
        asks: expected depth of the first ask that each slice meets, shape (slices,) [price].
        depth_sums: expected depths paid to the maker for each slice, shape (slices,) [price].
    """

    per_unit: float
    refused: float
    asks: np.ndarray
    depth_sums: np.ndarray


def outside_price(chain: Chain, n: int) -> float:
    """What a refused unit costs elsewhere: the dearest ask of step n, over the mid [price]."""
    return float(np.max(chain.ask_depth[n, 1:]))


def buy_one(chain: Chain, n: int, chances: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Buy a unit: the distribution after it, the expected depth paid to the maker, the chance of a refusal."""
    after = np.append(chances[1:], 0.0)
    after[0] += chances[0]
    return after, float(chances[1:] @ chain.ask_depth[n, 1:]), float(chances[0])


def price_schedule(chain: Chain, first: int, inventory: int, slices: Sequence[tuple[int, int]]) -> Purchase:
    """Price fixed purchases exactly.

    Args:
        chain: the maker.
        first: the step before which the maker's inventory is known.
        inventory: that inventory [units].
        slices: (step, units) with rising steps, none before `first`.
    """
    chances, now = chain.start(inventory), first
    asks, sums, refused, units = [], [], 0.0, sum(size for _, size in slices)
    for n, size in slices:
        chances = chain.path(now, chances, n)[-1]
        now = n
        asks.append(float(average(chances, chain.ask_depth[n])))
        paid = 0.0
        for _ in range(size):
            chances, depth, refusal = buy_one(chain, n, chances)
            paid, refused = paid + depth, refused + refusal
        sums.append(paid)
    cost = sum(sums) + refused * outside_price(chain, now)
    return Purchase(cost / units, refused, np.array(asks), np.array(sums))


def even_slices(first: int, units: int, slices: int, pause: int) -> list[tuple[int, int]]:
    """(step, units) of slices as equal as whole units allow, `pause` steps apart; the larger ones first."""
    sizes = [units // slices + (i < units % slices) for i in range(slices)]
    return [(first + i * pause, size) for i, size in enumerate(sizes)]


def price_random_times(chain: Chain, first: int, last: int, inventory: int, units: int) -> tuple[float, float]:
    """Cost per unit, and units refused, of buying each unit at a time of its own, uniform on steps first .. last.

    With `left` units to come and L steps to go, each of them comes now with chance 1/L, independently; a unit more
    at the same moment is then a thinning, so the recursion runs over (n, inventory, units left).
    """
    states = len(chain.market.inventories)
    joint = np.zeros((units + 1, states))
    joint[units] = chain.start(inventory)
    cost = refused = 0.0
    for n in range(first, last + 1):
        arrived = np.zeros_like(joint)
        for left in range(units + 1):
            chances = binomial(left, 1 / (last + 1 - n))
            after = joint[left]
            for bought in range(left + 1):
                arrived[left - bought] += chances[bought] * after
                if bought < left:
                    share = chances[bought + 1 :].sum()
                    after, depth, refusal = buy_one(chain, n, after)
                    cost, refused = cost + share * depth, refused + share * refusal
        joint = chain.forward(n, arrived)
    cost += refused * outside_price(chain, last)
    return cost / units, refused


def binomial(trials: int, chance: float) -> np.ndarray:
    """P(0), ..., P(trials) successes."""
    chances = np.ones(1)
    for _ in range(trials):
        chances = np.append(chances, 0.0) * (1 - chance) + np.append(0.0, chances) * chance
    return chances


@dataclass(frozen=True)
class Plan:
    """What a trader does in every state, one unit at a time.

    Attributes:
        first: the step before which it may first trade.
        least: the smallest number of units left to buy on the last axis; negative where it may hold too many.
        value: expected cost from each state [price], shape (steps, 2Q+1, lefts), before trading.
        trade: +1 buy a unit now, -1 sell one, 0 wait for the next step; same shape.
    """

    first: int
    least: int
    value: np.ndarray
    trade: np.ndarray

    def cost(self, inventory_index: int, left: int) -> float:
        """Expected cost at the start, all units together [price]."""
        return float(self.value[0, inventory_index, left - self.least])


def best_plan(chain: Chain, first: int, last: int, units: int, short: int = 0, extra: int = 0) -> Plan:
    """The cheapest way to have bought `units` by step `last`, by dynamic programming over (n, inventory, left).

    Args:
        chain: the maker.
        first: the step before which the trader may first trade.
        last: the deadline: what is left is traded then, at once.
        units: to be bought in the end; 0 for a round trip.
        short: units that the trader may owe at any time, so that it may sell first.
        extra: units that it may hold beyond its target; with `short` = `extra` = 0 it never sells.
    """
    lefts = np.arange(-extra, units + short + 1)
    may_sell = short > 0 or extra > 0
    value = np.empty((last - first + 1, len(chain.market.inventories), len(lefts)))
    trade = np.zeros(value.shape, dtype=np.int8)
    value[-1], trade[-1] = _settle(chain, last, lefts)
    for n in reversed(range(first, last)):
        wait = chain.backward(n, value[n + 1 - first].T).T
        value[n - first], trade[n - first] = _trade(chain, n, wait, may_sell)
    return Plan(first, -extra, value, trade)


def _settle(chain: Chain, n: int, lefts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cost and direction of trading all that is left at step n, at once."""
    states = len(chain.market.inventories)
    value = np.full((states, len(lefts)), np.nan)
    flat = int(np.flatnonzero(lefts == 0)[0])
    value[:, flat] = 0.0
    ask, bid = chain.ask_depth[n], chain.bid_depth[n]
    for i in range(flat + 1, len(lefts)):
        value[1:, i] = ask[1:] + value[:-1, i - 1]
        value[0, i] = lefts[i] * outside_price(chain, n)
    for i in reversed(range(flat)):
        value[:-1, i] = bid[:-1] + value[1:, i + 1]
        value[-1, i] = -lefts[i] * float(np.max(bid[:-1]))
    return value, np.broadcast_to(np.sign(lefts), value.shape)


def _trade(chain: Chain, n: int, wait: np.ndarray, may_sell: bool) -> tuple[np.ndarray, np.ndarray]:
    """The best of waiting and trading on, unit by unit, from the cost of waiting, shape (2Q+1, lefts).

    A purchase and a sale at one moment cost what the spread is, so the best chain of trades goes one way.
    """
    bought, sold = wait.copy(), wait.copy()
    for i in range(1, wait.shape[1]):
        np.minimum(wait[1:, i], chain.ask_depth[n, 1:] + bought[:-1, i - 1], out=bought[1:, i])
    if may_sell:
        for i in reversed(range(wait.shape[1] - 1)):
            np.minimum(wait[:-1, i], chain.bid_depth[n, :-1] + sold[1:, i + 1], out=sold[:-1, i])
    value = np.minimum(bought, sold)
    return value, np.where(value >= wait, 0, np.where(bought <= sold, 1, -1))


def threshold_plan(chain: Chain, first: int, last: int, units: int, ask: float) -> Plan:
    """Buy a unit whenever it costs at most `ask` over the mid, and the rest at the deadline."""
    lefts = np.arange(units + 1)
    value = np.empty((last - first + 1, len(chain.market.inventories), units + 1))
    trade = np.zeros(value.shape, dtype=np.int8)
    value[-1], trade[-1] = _settle(chain, last, lefts)
    for n in reversed(range(first, last)):
        now = chain.backward(n, value[n + 1 - first].T).T
        cheap = chain.ask_depth[n] <= ask
        for i in range(1, units + 1):
            now[1:, i] = np.where(cheap[1:], chain.ask_depth[n, 1:] + now[:-1, i - 1], now[1:, i])
        value[n - first] = now
        trade[n - first] = np.where(cheap[:, None] & (lefts > 0), 1, 0)
    return Plan(first, 0, value, trade)


def cheapest_instant_round_trip(chain: Chain) -> float:
    """The least that buying a unit and selling it back at one moment costs, over all states [price]."""
    return float(np.min(chain.ask_depth[:, 1:] + chain.bid_depth[:, :-1]))


def price_round_trip(chain: Chain, first: int, inventory: int, units: int, holding: np.ndarray) -> np.ndarray:
    """Expected cost per unit of buying `units` at `first` and selling them back at once after some steps.

    Args:
        chain: the maker.
        first: the step of the purchase.
        inventory: the maker's at that time; it must be able to sell all units.
        units: bought and sold back.
        holding: numbers of steps to hold, shape (holdings,).

    Returns:
        Shape (holdings,) [price]; +inf where the maker might refuse to buy back.
    """
    purchase, chances = 0.0, chain.start(inventory)
    for _ in range(units):
        chances, depth, _ = buy_one(chain, first, chances)
        purchase += depth
    return np.array([purchase + _sale(chain, first, chances, units, int(steps)) for steps in holding]) / units


def _sale(chain: Chain, first: int, chances: np.ndarray, units: int, steps: int) -> float:
    n, total = first + steps, 0.0
    chances = chain.path(first, chances, n)[-1]
    for _ in range(units):
        total += float(chances[:-1] @ chain.bid_depth[n, :-1])
        chances = np.append(0.0, chances[:-1])
    return total
