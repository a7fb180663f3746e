"""Informed takers in the article's claims: against enumeration of tiny markets, limits and closed forms."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evaluate.article import toxic
from evaluate.article.bench import Bench
from evaluate.article.chain import Chain
from evaluate.article.information import FINE, informed_market, split_purchase
from evaluate.article.ledger import ledger
from evaluate.article.quoting import quote_shifts
from evaluate.article.spells import spells
from mmenv import ExponentialUtility, Market, QuoteTable, RiskNeutral, evaluate_exactly, solve
from mmenv.closed_forms import asymptotic_glft
from mmenv.envs.markets import toxic_flow
from mmenv.markout import markout
from mmenv.problem import Problem
from mmenv.quotes import quote_table
from tests.bruteforce_markets import chain as transition
from tests.bruteforce_markets import parameter, side_chances, tail
from tests.cases import LAWS

# Exact sums of at most some ten thousand terms of size one, in double precision.
EXACT = 1e-12


def tiny(law: str, steps: int, regimes: int = 1, seed: int = 0) -> tuple[Market, QuoteTable]:
    """A market small enough to enumerate, and quotes with nothing regular about them, some of them before the mid."""
    two = {
        "informed_share": (0.3, 0.7),
        "informed_jump": (0.5, 0.9),
        "arrival_rate": (3.0, 2.0),
        "transition_matrix": [[0.6, 0.4], [0.3, 0.7]],
    }
    one = {"informed_share": 0.4, "informed_jump": 0.8, "arrival_rate": 3.0}
    fields: dict[str, Any] = two if regimes == 2 else one
    market = Market(steps=steps, horizon=steps / 4, depth_decay=1.2, max_inventory=2, fill_law=law, **fields)
    bid, ask = np.random.default_rng(seed).uniform(-0.3, 1.2, (2, *market.grid_shape))
    return market, quote_table(bid, ask)


def outcomes(market: Market, quotes: QuoteTable, n: int, z: int, q: int) -> list[tuple[float, dict[str, Any]]]:
    """(chance, what happened) of a step: fills, who knew, move of the mid; written without the ledger and the split."""
    limit = market.max_inventory
    bid, ask = (float(side[n, z, q + limit]) for side in (quotes.bid_depth, quotes.ask_depth))
    bids = side_chances(market, "bid", z, np.array(bid if q < limit else 0.0), q < limit)
    asks = side_chances(market, "ask", z, np.array(ask if q > -limit else 0.0), q > -limit)
    share, jump = (parameter(market, name, z) for name in ("informed_share", "informed_jump"))
    beyond = {side: float(tail(market, side, z, np.array(0.0))) for side in ("bid", "ask")}
    found = []
    for (bought, seller), (sold, buyer) in itertools.product(bids, asks):
        chance = float(bids[bought, seller] * asks[sold, buyer])
        move = jump * (buyer - seller) - share * jump * (beyond["ask"] - beyond["bid"])
        event = {"bought": bought, "seller": seller, "sold": sold, "buyer": buyer, "move": move, "bid": bid, "ask": ask}
        found.append((chance, event))
    return found


def sessions(market: Market, quotes: QuoteTable) -> list[tuple[float, list[dict[str, Any]]]]:
    """Every session with its chance: all fills, all who knew, all regimes."""
    grown: list[tuple[float, int, int, list[dict[str, Any]]]] = [(1.0, market.initial_regime, 0, [])]
    for n in range(market.steps):
        step = []
        for chance, z, q, past in grown:
            for p, event in outcomes(market, quotes, n, z, q):
                for then, likely in enumerate(transition(market)[z]):
                    if chance * p * likely > 0:
                        after = q + event["bought"] - event["sold"]
                        step.append((chance * p * likely, then, after, [*past, event | {"regime": z}]))
        grown = step
    return [(chance, past) for chance, _, _, past in grown]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("regimes", "steps"), [(1, 3), (2, 2)])
def test_the_ledger_is_that_of_all_sessions_marked_to_their_end(law, regimes, steps):
    market, quotes = tiny(law, steps, regimes)
    book = ledger(market, quotes)
    expected = np.zeros((5, regimes))
    for chance, past in sessions(market, quotes):
        for n, event in enumerate(past):
            to_end = sum(later["move"] for later in past[n:])
            for fills, knows, worth, depth in (
                (event["sold"], event["buyer"], to_end, event["ask"]),
                (event["bought"], event["seller"], -to_end, event["bid"]),
            ):
                if fills:
                    gain = worth - depth
                    entry = [0, 1, 0, gain, worth] if knows else [1, 0, -gain, 0, worth]
                    expected[:, event["regime"]] += chance * np.array(entry)
    found = [book.ignorant_fills, book.informed_fills, book.paid, book.gained, book.markout_sum]
    np.testing.assert_allclose(found, expected, atol=EXACT)
    profit = evaluate_exactly(market, RiskNeutral(), quotes).profit_mean
    assert float(book.total.profit[0]) == pytest.approx(profit, abs=EXACT)


def test_the_ledger_wants_a_mid_that_goes_nowhere():
    market, quotes = tiny("linear", 2)
    for change in ({"drift": 1.0}, {"fee": 0.1}):
        with pytest.raises(ValueError, match="neither drift nor fees"):
            ledger(replace(market, **change), quotes)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("units", [1, 2])
def test_a_purchase_splits_as_enumeration_says(law, units):
    """Of all sessions, those in which our ask was taken in each step, against those in which no buyer came."""
    market, quotes = tiny(law, 3)
    # The ask is never before the mid here, so that a quiet step is one in which nobody knew and nobody bought.
    quotes = quote_table(quotes.bid_depth, np.abs(quotes.ask_depth))
    chain = Chain.of(market, quotes)
    split = split_purchase(chain, 0, units)
    limit, beyond = market.max_inventory, float(tail(market, "ask", 0, np.array(0.0)))
    totals = {"bought": np.zeros(4), "quiet": np.zeros(4)}
    for chance, past in sessions(market, quotes):
        held = np.cumsum([0, *(event["bought"] - event["sold"] for event in past)])[units]
        moved = sum(event["move"] for event in past[:units])
        centre = chain.midpoint[units, held + limit]
        row = np.array([1.0, moved, np.isfinite(centre), np.nan_to_num(centre)])
        if all(event["sold"] for event in past[:units]):
            totals["bought"] += chance * row
        if not any(event["sold"] or event["buyer"] for event in past[:units]):
            # No fill and nobody who knew: the part of it in which nobody came to the mid at all.
            for n in range(units):
                q = np.cumsum([0, *(event["bought"] - event["sold"] for event in past)])[n]
                fill = float(tail(market, "ask", 0, quotes.ask_depth[n, 0, q + limit])) if q > -limit else 0.0
                chance *= (1 - beyond) / (1 - fill - market.informed_share * (beyond - fill))
            totals["quiet"] += chance * row
    bought, quiet = totals["bought"], totals["quiet"]
    assert split.information == pytest.approx(bought[1] / bought[0] - quiet[1] / quiet[0], abs=EXACT)
    assert split.skew[0] == pytest.approx(bought[3] / bought[2] - quiet[3] / quiet[2], abs=EXACT)


@pytest.fixture(scope="module")
def bench() -> Bench:
    """The suite's market with fewer steps and takers, but the same chance of a fill in a step."""
    return Bench.of(Market(steps=40, arrival_rate=28.0), episodes=2)


def test_one_purchase_says_what_the_buyer_may_know(bench):
    """With quotes beyond the mid, rho J against nobody, and the compensator's part less against what is expected."""
    market = informed_market(bench.market, 0.3, 0.9)
    quotes = solve(market, bench.objective).quotes
    chain = Chain.of(market, quotes)
    beyond = float(market.ask_law.probability(0.0))
    assert split_purchase(chain, 10, 1).information == pytest.approx(0.3 * 0.9, abs=EXACT)
    assert markout(market, quotes, [1, 7]).ask == pytest.approx([0.3 * 0.9 * (1 - beyond)] * 2, rel=1e-3)


def test_with_nobody_who_knows_all_is_as_in_the_plain_market(bench):
    fine = replace(bench.market, steps=FINE * bench.market.steps)
    nobody = toxic.point(bench, 0.0, 1.0)
    plain = solve(fine, bench.objective)
    shifts = quote_shifts(Chain.of(fine, plain.quotes))
    middle, flat = fine.steps // 2, fine.max_inventory
    assert nobody.worth["optimum"] == plain.optimum
    assert nobody.skew == pytest.approx(-(shifts[0] + shifts[1])[middle, flat] / 2, abs=EXACT)
    assert nobody.markouts == pytest.approx(np.zeros(4), abs=EXACT)
    assert nobody.payers["gained"] == 0
    profit = evaluate_exactly(fine, bench.objective, plain.quotes).profit_mean
    assert float(nobody.book.profit[0]) == pytest.approx(profit, abs=1e-9)
    # And a few who know a little change little: nothing jumps at zero.
    few = toxic.point(bench, 1e-9, 1.0)
    for key, value in nobody.costs.items():
        assert few.costs[key] == pytest.approx(value, abs=1e-6)
    assert few.worth["optimum"] == pytest.approx(nobody.worth["optimum"], abs=1e-6)


def test_only_share_times_jump_matters_to_a_maker_that_minds_inventory_alone(bench):
    many, far = toxic.point(bench, 0.4, 0.75), toxic.point(bench, 0.2, 1.5)
    assert many.half_spread == pytest.approx(far.half_spread, abs=1e-9)
    assert many.worth == pytest.approx(far.worth, abs=1e-9)
    assert many.costs == pytest.approx(far.costs, abs=1e-9)
    # But the mid's risk differs, which a maker with exponential utility sees.
    few, many_less = (
        solve(replace(bench.market, informed_share=share, informed_jump=jump), ExponentialUtility(0.1)).optimum
        for share, jump in ((0.2, 1.5), (0.4, 0.75))
    )
    assert few < many_less - 0.01


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_maker_who_minds_nothing_passes_on_its_markout_to_the_last(bench, share):
    """Far from its limit a risk-neutral maker under the linear law quotes 1/k + rho J (1 - P), equation 42."""
    market = replace(informed_market(bench.market, share, 1.2), max_inventory=200)
    quotes = solve(market, RiskNeutral()).quotes
    half_spread, skew = toxic.flat_quotes(market, quotes, 0)
    lost = markout(market, quotes, [1]).ask[0]
    assert half_spread == pytest.approx(1 / market.depth_decay + lost, abs=1e-9)
    assert skew == pytest.approx(0.0, abs=1e-9)


def test_what_is_earned_in_both_kinds_of_flow_adds_up():
    problem = Problem.from_arguments(**toxic_flow())
    market, values = problem.market, spells().values
    calm, toxic_time = market.occupation
    tables = {"optimum": solve(market, problem.objective).quotes, "glft": asymptotic_glft(market, 0.1)}
    for name, quotes in tables.items():
        profit = evaluate_exactly(market, RiskNeutral(), quotes).profit_mean
        earned = calm * values[f"profit_{name}_calm"] + toxic_time * values[f"profit_{name}_toxic"]
        assert earned == pytest.approx(profit, rel=1e-9)
    # GLFT of calm flow hardly ever quotes before the mid: what it loses a fill is rho J (1 - P).
    lost = 0.1 * 0.3 * (1 - 80 / market.steps)
    assert values["markout_glft_calm"] == pytest.approx(lost, rel=1e-3)
    assert values["percent_blind"] < 100 == values["percent_optimum"]


def test_volatility_with_jumps_is_that_of_the_mid():
    market, quotes = tiny("linear", 1)
    moves = [(chance, event["move"]) for chance, event in outcomes(market, quotes, 0, 0, 0)]
    variance = sum(p * move**2 for p, move in moves) - sum(p * move for p, move in moves) ** 2
    assert toxic.total_volatility(market) ** 2 == pytest.approx(market.volatility**2 + variance / market.dt, rel=EXACT)
