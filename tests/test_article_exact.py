"""What the article's claims are computed with, against enumeration of tiny markets and general optimisers."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from evaluate.article import families, hedging, played, trader
from evaluate.article.calibration import calibrated, mean_square_inventory
from evaluate.article.chain import Chain, half_life, time_to
from mmenv import ExponentialPenalty, Market, QuadraticPenalty, QuoteTable, RiskNeutral, Tape, evaluate_exactly, solve
from mmenv.quotes import quote_table
from tests.bruteforce import fill_and_miss, outcome_paths
from tests.cases import LAWS
from tests.statistics import Z_BOUND, Sums

# Exact sums of at most some thousand terms of size one, in double precision.
EXACT = 1e-12


def tiny(law: str = "linear", steps: int = 4, limit: int = 2, seed: int = 0) -> tuple[Market, QuoteTable]:
    """A market small enough to enumerate, and quotes with nothing regular about them."""
    market = Market(
        arrival_rate=3.0, steps=steps, horizon=1.0, depth_decay=1.2, max_inventory=limit, fill_law=law, volatility=0.7
    )
    rng = np.random.default_rng(seed)
    bid, ask = rng.uniform(-0.3, 1.2, (2, *market.grid_shape))
    return market, quote_table(bid, ask)


def branches(market: Market, quotes: QuoteTable, n: int, q: int) -> list[tuple[float, int]]:
    """(chance, inventory) after step n's other flow, written without the chain."""
    at = q + market.max_inventory
    buys = fill_and_miss(market, quotes.bid_depth[n, 0, at]) if q < market.max_inventory else (0.0, 1.0)
    sells = fill_and_miss(market, quotes.ask_depth[n, 0, at]) if q > -market.max_inventory else (0.0, 1.0)
    outcomes = [(float(buys[1 - b] * sells[1 - s]), q + b - s) for b in (0, 1) for s in (0, 1)]
    return [(chance, after) for chance, after in outcomes if chance > 0]


def outside(market: Market, quotes: QuoteTable, n: int) -> float:
    return max(quotes.ask_depth[n, 0, 1:])


def sweep_cost(market: Market, quotes: QuoteTable, n: int, q: int, units: int) -> tuple[float, int, int]:
    """Cost, inventory after, and units refused, of buying at once."""
    cost = 0.0
    for bought in range(units):
        if q == -market.max_inventory:
            return cost, q, units - bought
        cost += quotes.ask_depth[n, 0, q + market.max_inventory]
        q -= 1
    return cost, q, 0


def enumerated(market: Market, quotes: QuoteTable, n: int, q: int, wanted: dict[int, int]) -> tuple[float, float]:
    """Expected cost and refusals of fixed purchases from state (n, q) on, over every sequence of fills."""
    last = max(wanted)
    cost, after, refused = sweep_cost(market, quotes, n, q, wanted.get(n, 0))
    cost += refused * outside(market, quotes, last)
    refused = float(refused)
    if n < last:
        for chance, then in branches(market, quotes, n, after):
            more, refusals = enumerated(market, quotes, n + 1, then, wanted)
            cost, refused = cost + chance * more, refused + chance * refusals
    return cost, refused


def cheapest(
    market: Market, quotes: QuoteTable, n: int, q: int, left: int, last: int, bounds: tuple[int, int]
) -> float:
    """The least expected cost from (n, q, left), trying every number of units to buy or sell now.

    What is left to buy stays within `bounds`; a trader who may not be short or hold too much never sells.
    """
    limit, costs = market.max_inventory, []
    for trade in range(-2 * limit, 2 * limit + 1):
        after, remaining = q - trade, left - trade
        if abs(after) > limit or not bounds[0] <= remaining <= bounds[1] or (bounds[0] == 0 and trade < 0):
            continue
        if n == last and not (remaining == 0 or (abs(after) == limit and remaining * after < 0)):
            continue
        depths = [quotes.ask_depth[n, 0, q - i + limit] for i in range(trade)]
        depths += [quotes.bid_depth[n, 0, q + i + limit] for i in range(-trade)]
        cost = sum(depths)
        if n == last:
            dearest = outside(market, quotes, n) if remaining > 0 else max(quotes.bid_depth[n, 0, :-1])
            cost += abs(remaining) * dearest
        else:
            flows = branches(market, quotes, n, after)
            cost += sum(p * cheapest(market, quotes, n + 1, then, remaining, last, bounds) for p, then in flows)
        costs.append(cost)
    return min(costs)


@pytest.mark.parametrize("law", LAWS)
def test_the_chain_is_the_enumeration_of_all_fills(law):
    market, quotes = tiny(law)
    chain = Chain.of(market, quotes)
    chances, inventories, _ = outcome_paths(market, quotes.bid_depth[:, 0], quotes.ask_depth[:, 0])
    path = chain.path(0, chain.start(0))
    for n in range(market.steps + 1):
        counted = [chances[inventories[:, n] == q].sum() for q in market.inventories]
        np.testing.assert_allclose(path[n], counted, atol=EXACT)
    values = np.arange(5.0) ** 2
    for n in range(market.steps):
        assert path[n] @ chain.backward(n, values) == pytest.approx(path[n + 1] @ values, abs=EXACT)


@pytest.mark.parametrize("law", LAWS)
def test_times_and_chances_are_those_of_the_enumeration(law):
    market, quotes = tiny(law, steps=5)
    chain = Chain.of(market, quotes)
    chances, inventories, _ = outcome_paths(market, quotes.bid_depth[:, 0], quotes.ask_depth[:, 0])
    hit = inventories == 1
    first = np.where(hit.any(axis=1), hit.argmax(axis=1), market.steps)
    reached, duration = time_to(chain, 0, 1, 0)
    assert reached == pytest.approx(chances @ hit.any(axis=1), abs=EXACT)
    assert duration == pytest.approx(chances @ first, abs=EXACT)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("slices", [[(0, 3)], [(0, 1), (1, 1), (3, 2)], [(1, 2), (2, 2)], [(0, 4), (2, 2)]])
def test_schedules_cost_what_enumeration_says(law, slices):
    market, quotes = tiny(law)
    chain = Chain.of(market, quotes)
    priced = trader.price_schedule(chain, 0, 1, slices)
    cost, refused = enumerated(market, quotes, 0, 1, dict(slices))
    assert priced.per_unit * sum(size for _, size in slices) == pytest.approx(cost, abs=EXACT)
    assert priced.refused == pytest.approx(refused, abs=EXACT)


def test_a_maker_at_its_limit_refuses():
    market, quotes = tiny()
    assert trader.price_schedule(Chain.of(market, quotes), 0, 0, [(0, 5)]).refused == 3


@pytest.mark.parametrize("law", LAWS)
def test_random_times_are_the_mean_over_all_times(law):
    market, quotes = tiny(law)
    chain = Chain.of(market, quotes)
    costs = []
    for times in itertools.product((0, 1, 2, 3), repeat=3):
        wanted = {n: times.count(n) for n in (0, 1, 2, 3)}
        costs.append(enumerated(market, quotes, 0, 1, wanted)[0])
    per_unit, _ = trader.price_random_times(chain, 0, 3, 1, 3)
    assert per_unit * 3 == pytest.approx(np.mean(costs), abs=EXACT)


def leaning(seed: int) -> tuple[Market, QuoteTable]:
    """Quotes that lean so far that round trips can pay, though never at one moment."""
    market, _ = tiny(steps=3, seed=seed)
    noise = np.random.default_rng(seed).uniform(0.0, 0.1, (2, *market.grid_shape))
    bid, ask = (0.3 + sign * 0.5 * market.inventories + part for sign, part in zip((1, -1), noise, strict=True))
    return market, quote_table(bid, ask)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("units", "room"), [(1, 0), (2, 0), (3, 0), (0, 1), (0, 2), (2, 2)])
def test_the_best_plan_is_the_best_of_all(units, room, seed):
    market, quotes = leaning(seed)
    chain = Chain.of(market, quotes)
    # Otherwise the best chain of trades at one moment need not go one way.
    assert trader.cheapest_instant_round_trip(chain) > 0
    plan = trader.best_plan(chain, 0, 2, units, short=room, extra=room)
    for inventory in market.inventories:
        bounds = (-room, units + room)
        for left in range(bounds[0], bounds[1] + 1):
            expected = cheapest(market, quotes, 2, inventory, left, 2, bounds)
            assert plan.value[-1, chain.at(inventory), left + room] == pytest.approx(expected, abs=EXACT)
        expected = cheapest(market, quotes, 0, inventory, units, 2, bounds)
        assert plan.cost(chain.at(inventory), units) == pytest.approx(expected, abs=EXACT)
        if units == 0 and abs(inventory) == market.max_inventory:
            assert expected < 0  # a round trip that pays, so that selling is put to the test


def test_the_threshold_plan_costs_what_following_it_costs():
    market, quotes = tiny()
    chain = Chain.of(market, quotes)
    ask, last, limit = 0.4, 3, market.max_inventory

    def follow(n: int, q: int, left: int) -> float:
        cost = 0.0
        while left and q > -limit and (n == last or quotes.ask_depth[n, 0, q + limit] <= ask):
            cost, q, left = cost + quotes.ask_depth[n, 0, q + limit], q - 1, left - 1
        if n == last:
            return cost + left * outside(market, quotes, last)
        return cost + sum(p * follow(n + 1, then, left) for p, then in branches(market, quotes, n, q))

    plan = trader.threshold_plan(chain, 0, last, 3, ask)
    assert plan.cost(chain.at(1), 3) == pytest.approx(follow(0, 1, 3), abs=EXACT)


def test_a_round_trip_costs_what_enumeration_says():
    market, quotes = tiny(steps=4, limit=3)
    chain = Chain.of(market, quotes)

    def sell_at(n: int, q: int, then: int) -> float:
        if n == then:
            return sum(quotes.bid_depth[n, 0, q + i + market.max_inventory] for i in range(2))
        return sum(p * sell_at(n + 1, after, then) for p, after in branches(market, quotes, n, q))

    bought, q, _ = sweep_cost(market, quotes, 0, 0, 2)
    # Within two steps a maker short of 2 cannot get so long that it would refuse to buy 2 back.
    costs = trader.price_round_trip(chain, 0, 0, 2, np.array([0, 1, 2]))
    np.testing.assert_allclose(costs, [(bought + sell_at(0, q, n)) / 2 for n in (0, 1, 2)], atol=EXACT)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("lag", [0, 1, 2, 4, None])
def test_late_hedges_leave_what_enumeration_says(law, lag):
    market, quotes = tiny(law)
    chances, inventories, _ = outcome_paths(market, quotes.bid_depth[:, 0], quotes.ask_depth[:, 0])
    hedged = np.zeros_like(inventories)
    if lag is not None:
        hedged[:, lag:] = inventories[:, : inventories.shape[1] - lag]
    exposure = (inventories - hedged)[:, 1:].astype(float)
    expected = market.volatility**2 * market.dt * (chances @ np.sum(exposure**2, axis=1))
    assert hedging.exposure_variance(Chain.of(market, quotes), lag) == pytest.approx(expected, abs=EXACT)


def test_the_variance_of_profit_is_the_mids_and_the_fills():
    market, quotes = tiny()
    total = evaluate_exactly(market, RiskNeutral(), quotes).profit_std ** 2
    fills = evaluate_exactly(replace(market, volatility=0.0), RiskNeutral(), quotes).profit_std ** 2
    assert hedging.exposure_variance(Chain.of(market, quotes), None) == pytest.approx(total - fills, abs=EXACT)


def test_random_times_are_uniform():
    market = Market(steps=4, max_inventory=4)
    depth = np.broadcast_to(np.arange(4.0)[:, None, None], market.grid_shape)
    chain = Chain.of(market, quote_table(depth, depth))  # a unit costs the number of the step
    tape = Tape.draw(market, 4096, seed=2)
    paid, _ = played.play(chain, tape, 0, 3, 3, played.at_random(0, 3, 3)(np.random.default_rng(1), tape.paths))
    sums = Sums(1.5)
    sums.add(paid)
    assert sums.z(1.5) <= Z_BOUND


def test_simulated_traders_are_refused_at_the_limit():
    market, quotes = tiny()
    chain = Chain.of(market, quotes)
    exact = trader.price_schedule(chain, 0, 0, [(0, 5)])
    tape = Tape.draw(market, 3, seed=0)
    paid, _ = played.play(chain, tape, 0, 0, 5, played.fixed([(0, 5)])(np.random.default_rng(0), 3))
    np.testing.assert_allclose(paid, exact.per_unit, atol=EXACT)


OBJECTIVES = [ExponentialPenalty(), QuadraticPenalty(0.5), ExponentialPenalty(0.2, 0.9)]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("objective", OBJECTIVES, ids=["exponential", "quadratic", "steep"])
def test_families_are_ordered_and_earn_what_they_say(law, objective):
    market = Market(steps=25, arrival_rate=17.5, max_inventory=6, fill_law=law)
    found = families.ablate(market, objective)
    assert found.neither < found.widening + 1e-9
    assert found.neither < found.skew
    assert max(found.widening, found.skew) <= found.both + 1e-9
    for name, quotes in found.quotes.items():
        exact = evaluate_exactly(market, objective, quotes).objective
        assert exact == pytest.approx(getattr(found, name), abs=1e-9)
        inside = np.s_[:, 0, 1:-1]
        bid, ask = quotes.bid_depth[inside], quotes.ask_depth[inside]
        if name in ("neither", "widening"):
            np.testing.assert_allclose(bid, ask, atol=EXACT)
        if name in ("neither", "skew"):
            np.testing.assert_allclose(bid + ask, (bid + ask)[0, 0], atol=EXACT)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("family", ["neither", "widening", "skew"])
def test_no_member_of_a_family_beats_its_best(law, family):
    """Against a general optimiser over all numbers of the family at once, from several starts."""
    market = Market(steps=2, horizon=0.5, arrival_rate=1.6, depth_decay=1.0, max_inventory=1, fill_law=law)
    objective = QuadraticPenalty(3.0)
    found = getattr(families.ablate(market, objective), family)

    def table(x: np.ndarray) -> QuoteTable:
        if family == "neither":
            side = np.full(market.grid_shape, x[0])
            return quote_table(side, side)
        free = x[1:].reshape(market.grid_shape)
        return quote_table(free, free) if family == "widening" else quote_table(x[0] + free, x[0] - free)

    def loss(x: np.ndarray) -> float:
        quotes = table(x)
        clipped = quotes.clip(market)
        inside = all(
            np.array_equal(*pair)
            for pair in ((quotes.bid_depth, clipped.bid_depth), (quotes.ask_depth, clipped.ask_depth))
        )
        return -evaluate_exactly(market, objective, quotes).objective if inside else np.inf

    rng = np.random.default_rng(3)
    starts = [np.concatenate([[1.2], rng.normal(1.0 if family == "widening" else 0.0, 0.4, 6)]) for _ in range(3)]
    options = {"xatol": 1e-7, "fatol": 1e-12, "maxiter": 6000, "maxfev": 6000}
    best = max(-minimize(loss, x, method="Nelder-Mead", options=options).fun for x in starts)
    # Nelder-Mead stops within some 1e-7 of the top here; nothing may lie above the family's best.
    assert found >= best - 1e-7
    assert found <= best + 1e-5


def test_calibrated_makers_hold_equally_much():
    market = Market(steps=40, arrival_rate=28.0, max_inventory=8)
    target = mean_square_inventory(market, solve(market, ExponentialPenalty()).quotes)
    objective = calibrated(market, QuadraticPenalty, 5.0, target)
    assert mean_square_inventory(market, solve(market, objective).quotes) == pytest.approx(target, rel=1e-5)
    with pytest.raises(ValueError, match="no strength"):
        calibrated(market, QuadraticPenalty, 1.0, 1e3)


def test_half_life_of_known_decays():
    assert half_life(2.0 * 0.5 ** (np.arange(40) / 7)) == pytest.approx(7)
    assert half_life(np.array([4.0, 3.0, 1.0])) == pytest.approx(1.5)
    assert np.isnan(half_life(np.array([1.0, 0.9, 0.8])))
    assert np.isnan(half_life(np.array([0.0, 0.0])))


def test_even_slices_are_as_equal_as_whole_units_allow():
    slices = trader.even_slices(5, 10, 4, 3)
    assert slices == [(5, 3), (8, 3), (11, 2), (14, 2)]
