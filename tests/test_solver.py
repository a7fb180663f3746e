"""The exact optimum and exact evaluation, against brute force, enumeration, simulation and exact relations."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from mmenv import (
    ExponentialPenalty,
    ExponentialUtility,
    Market,
    Objective,
    QuadraticPenalty,
    RiskNeutral,
    evaluate_exactly,
    solve,
)
from mmenv.quotes import quote_table
from mmenv.solver import fill_probabilities, state_visits
from tests import bruteforce
from tests.cases import LAWS, mirrored, random_market, random_objective, random_quotes, scaled
from tests.sampling import expectations, observe
from tests.statistics import Z_BOUND

# name: market, additive objective, CARA objective
PROBLEMS = {
    "the default's last steps": (
        Market(steps=3, horizon=0.015, max_inventory=3),
        ExponentialPenalty(),
        ExponentialUtility(0.1),
    ),
    "small limit, asymmetric box": (
        Market(steps=3, horizon=0.1, max_inventory=2, min_depth=-0.3, max_depth=1.1),
        QuadraticPenalty(0.5, terminal_weight=0.3),
        ExponentialUtility(2.0),
    ),
    "one unit, nothing quoted below the mid": (
        Market(steps=4, horizon=0.2, max_inventory=1, min_depth=0, max_depth=2),
        RiskNeutral(),
        ExponentialUtility(1.0),
    ),
    "certain fills, strong terminal penalty": (
        Market(steps=3, horizon=1, max_inventory=3, min_depth=-2, max_depth=6),
        QuadraticPenalty(0.5, terminal_weight=20),
        ExponentialUtility(0.5),
    ),
    "box that binds everywhere": (
        Market(steps=3, horizon=0.05, max_inventory=3, min_depth=0.8, max_depth=0.9),
        ExponentialPenalty(weight=5, rate=0.8, terminal_weight=3),
        ExponentialUtility(2.0),
    ),
    "volatile and sparse": (
        Market(steps=3, horizon=0.2, max_inventory=3, volatility=6, depth_decay=0.8, arrival_rate=30),
        ExponentialPenalty(weight=5, rate=0.8, terminal_weight=3),
        ExponentialUtility(0.5),
    ),
    "steep decay": (
        Market(steps=3, horizon=0.05, max_inventory=2, depth_decay=8, min_depth=-0.5, max_depth=0.7),
        QuadraticPenalty(1.0, terminal_weight=5),
        ExponentialUtility(0.3),
    ),
}


@pytest.mark.parametrize("cara", [False, True], ids=["additive", "cara"])
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_optimum_agrees_with_brute_force(name: str, law: str, cara: bool) -> None:
    market, additive, utility = PROBLEMS[name]
    market, objective = replace(market, fill_law=law), utility if cara else additive
    solution = solve(market, objective)
    found = bruteforce.maximise(market, objective)
    scale = np.abs(found).max()
    assert solution.optimum == pytest.approx(found[0, market.max_inventory], rel=1e-6)
    np.testing.assert_allclose(solution.value[:, 0], found, rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_several_mutual_best_responses_give_the_best_of_them(gamma: float, law: str) -> None:
    # Both sides filling is worth a lot, one side filling alone costs a lot: quoting both tightly and quoting
    # neither are both mutual best responses. Following best responses from one start finds one of them.
    wide = set()
    for cost, decay in itertools.product((1.0, 2.0, 4.0), (0.6, 1.5, 4.0)):
        market = Market(
            steps=1, horizon=1, arrival_rate=0.9, depth_decay=decay, volatility=math.sqrt(2 * cost),
            max_inventory=2, min_depth=-1, max_depth=6, fill_law=law,
        )  # fmt: skip
        objective = ExponentialUtility(gamma) if gamma else QuadraticPenalty(cost)
        solution = solve(market, objective)
        found = bruteforce.maximise(market, objective)
        np.testing.assert_allclose(solution.value[:, 0], found, rtol=1e-6, atol=1e-6 * np.abs(found).max())
        wide.add(bool(solution.quotes.bid_depth[0, 0, 2] > 2))
    assert wide == {True, False}, "the cases must include tight and wide optima"


@pytest.mark.parametrize("gamma", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("volatility", [2.0, 10.0])
def test_fills_that_are_certain_leave_no_risk_to_pay_for(gamma: float, volatility: float) -> None:
    # A dt = 28: both sides fill for certain up to depth ln(28)/k, so every step earns twice that, without risk.
    market = Market(steps=5, volatility=volatility)
    solution = solve(market, ExponentialUtility(gamma))
    assert solution.optimum == pytest.approx(10 * math.log(28) / 1.5, rel=1e-14)
    assert np.isfinite(solution.value).all()


def test_a_fill_on_one_side_alone_that_would_ruin_us_is_never_risked() -> None:
    # Filling neither side for certain is out of reach, so both fill for certain; one rounding wider would be ruin.
    rng = np.random.default_rng(0)
    for arrivals, decay in zip(rng.uniform(1.5, 20, 50), 10 ** rng.uniform(-6, 2, 50), strict=True):
        edge = {"volatility": 1e6 / decay, "min_depth": 0.0, "max_depth": 8 / decay, "max_inventory": 1}
        market = Market(horizon=1.0, steps=1, arrival_rate=arrivals, depth_decay=decay, **edge)
        optimum = solve(market, ExponentialUtility(1.0)).optimum
        assert optimum == pytest.approx(2 * math.log(arrivals) / decay, rel=1e-12)


@pytest.mark.parametrize("gamma", np.exp([20.0, 27.0, 34.0, 40.0]))
def test_a_certain_fill_is_found_however_near_the_next_best_quote_is(gamma: float) -> None:
    # Only a depth of 0 fills for certain; the best quote that does not is ln(1 + gamma / k) / gamma away from it.
    market = Market(volatility=1e3, steps=1, arrival_rate=1.0, depth_decay=0.1, max_inventory=1, min_depth=0.0)
    solution = solve(market, ExponentialUtility(gamma))
    assert solution.optimum == 0.0
    assert solution.quotes.bid_depth[0, 0, 1] == solution.quotes.ask_depth[0, 0, 1] == 0.0


@pytest.mark.parametrize("gamma", [0.0, 1e-9, 0.01, 1.0])
@pytest.mark.parametrize("law", LAWS)
def test_evaluation_agrees_with_the_plain_recursion(law: str, gamma: float) -> None:
    # 28 expected arrivals a step and risks of e^80: neither 1 - P(fill) nor 1 - (1 - utility) may be rounded away.
    market = Market(steps=5, fill_law=law)
    objective = ExponentialUtility(gamma) if gamma else ExponentialPenalty(terminal_weight=0.1)
    quotes = solve(market, objective).quotes
    off = [np.where(np.isfinite(side), side - 0.1, 0.0) for side in (quotes.bid_depth, quotes.ask_depth)]
    value = evaluate_exactly(market, objective, quote_table(*off)).value
    plain = bruteforce.value_of_quotes(market, objective, off[0][:, 0], off[1][:, 0])
    np.testing.assert_allclose(value[:, 0], plain, rtol=1e-6 if gamma == 1e-9 else 1e-11, atol=1e-11)


def random_problems(count: int, seed: int = 2024) -> list[tuple[Market, Objective]]:
    rng = np.random.default_rng(seed)
    markets = [random_market(rng) for _ in range(count)]
    return [(market, random_objective(rng, market)) for market in markets]


@pytest.mark.parametrize(("market", "objective"), [*random_problems(12), (Market(), ExponentialPenalty())])
def test_evaluation_gives_back_the_optimum_and_nothing_beats_it(market: Market, objective: Objective) -> None:
    solution = solve(market, objective)
    evaluation = evaluate_exactly(market, objective, solution.quotes)
    assert evaluation.objective == pytest.approx(solution.optimum, abs=1e-10)
    np.testing.assert_allclose(evaluation.value, solution.value, rtol=1e-12, atol=1e-10)
    quoted = [solution.quotes.bid_depth[..., :-1], solution.quotes.ask_depth[..., 1:]]
    assert all(((side >= market.min_depth) & (side <= market.max_depth)).all() for side in quoted)
    rng = np.random.default_rng(7)
    for size in (1.0, 0.1, 0.01):
        noise = random_quotes(rng, market)
        mixed = [
            np.where(quoted, best, 0.0) * (1 - size) + np.where(quoted, other, 0.0) * size
            for best, other, quoted in (
                (solution.quotes.bid_depth, noise.bid_depth, market.inventories < market.max_inventory),
                (solution.quotes.ask_depth, noise.ask_depth, market.inventories > -market.max_inventory),
            )
        ]
        other = evaluate_exactly(market, objective, quote_table(*mixed).clip(market))
        assert (other.value <= solution.value + 1e-10).all()


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(
    "objective",
    [ExponentialPenalty(weight=3, rate=0.7, terminal_weight=0.4), QuadraticPenalty(2, 0.3), ExponentialUtility(0.4)],
)
@pytest.mark.parametrize(("limit", "steps"), [(1, 4), (2, 5), (7, 4)])
def test_evaluation_agrees_with_all_outcome_paths(law: str, objective: Objective, limit: int, steps: int) -> None:
    market = Market(
        steps=steps, horizon=0.3, arrival_rate=20, max_inventory=limit, min_depth=-1, max_depth=2, fill_law=law
    )
    quotes = random_quotes(np.random.default_rng(limit), market)
    found = evaluate_exactly(market, objective, quotes)

    chance, inventory, earned = bruteforce.outcome_paths(market, quotes.bid_depth[:, 0], quotes.ask_depth[:, 0])
    assert chance.sum() == pytest.approx(1, rel=1e-13)
    held = inventory[:, 1:]
    variance = market.volatility**2 * market.dt * (held**2).sum(axis=1)
    mean = chance @ earned
    final = inventory[:, -1]
    assert found.profit_mean == pytest.approx(mean, rel=1e-12)
    assert found.profit_std == pytest.approx(math.sqrt(chance @ (variance + (earned - mean) ** 2)), rel=1e-12)
    assert found.final_inventory_mean == pytest.approx(chance @ final, rel=1e-12)
    spread_of_final = chance @ final**2 - (chance @ final) ** 2
    assert found.final_inventory_std == pytest.approx(math.sqrt(spread_of_final), rel=1e-12)
    visits = [[chance[inventory[:, n] == q].sum() for q in market.inventories] for n in range(steps + 1)]
    np.testing.assert_allclose(found.visits[:, 0], visits, rtol=1e-12, atol=1e-15)
    inside = np.abs(inventory[:, :-1]) < limit
    spread = (quotes.bid_depth + quotes.ask_depth)[np.arange(steps), 0, inventory[:, :-1] + limit]
    quoted_spread = (chance @ np.where(inside, spread, 0.0).sum(axis=1)) / (chance @ inside.sum(axis=1))
    assert found.mean_spread == pytest.approx(quoted_spread, rel=1e-12)

    running, _, gamma = bruteforce.penalties(objective, held.astype(float))
    _, terminal, _ = bruteforce.penalties(objective, final.astype(float))
    if gamma:
        worth = -math.log(chance @ np.exp(-gamma * earned + gamma**2 * variance / 2)) / gamma
    else:
        worth = chance @ (earned - running.sum(axis=1) * market.dt - terminal)
    assert found.objective == pytest.approx(worth, rel=1e-12)


def test_sides_that_are_not_quoted_are_ignored() -> None:
    market = Market(steps=20, max_inventory=2)
    quotes = solve(market, ExponentialPenalty()).quotes
    for objective in (ExponentialPenalty(), ExponentialUtility(1.0)):
        expected = evaluate_exactly(market, objective, quotes)
        for junk in (np.nan, -np.inf, 0.3):
            bid, ask = quotes.bid_depth.copy(), quotes.ask_depth.copy()
            bid[..., -1], ask[..., 0] = junk, junk
            found = evaluate_exactly(market, objective, type(quotes)(bid, ask))
            np.testing.assert_array_equal(found.value, expected.value)
            np.testing.assert_array_equal(found.visits, expected.visits)
            assert (found.profit_mean, found.profit_std) == (expected.profit_mean, expected.profit_std)
            assert found.mean_spread == expected.mean_spread


SIMULATED = [
    (Market(), ExponentialPenalty()),
    (Market(fill_law="poisson", steps=50), QuadraticPenalty(1.0, terminal_weight=0.5)),
    (Market(steps=30, arrival_rate=60, max_inventory=3), ExponentialUtility(0.05)),
]


@pytest.mark.parametrize(("market", "objective"), SIMULATED)
def test_simulation_agrees_with_exact_evaluation(market: Market, objective: Objective) -> None:
    quotes = solve(market, objective).quotes
    found = evaluate_exactly(market, objective, quotes)
    observed = observe(market, objective, {"optimal": quotes}, {"optimal": found}, paths=20_000, seed=1)["optimal"]
    for name, expected in expectations(found, objective, centre=found).items():
        assert observed[name].z(expected) <= Z_BOUND, name


@pytest.mark.parametrize(("market", "objective"), random_problems(8, seed=5))
def test_mirror_symmetry(market: Market, objective: Objective) -> None:
    solution = solve(market, objective)
    np.testing.assert_allclose(solution.value, solution.value[..., ::-1], rtol=1e-12, atol=1e-12)
    mirror = evaluate_exactly(market, objective, mirrored(solution.quotes))
    np.testing.assert_allclose(mirror.value, solution.value, rtol=1e-12, atol=1e-12)
    quotes = random_quotes(np.random.default_rng(1), market)
    there, back = evaluate_exactly(market, objective, quotes), evaluate_exactly(market, objective, mirrored(quotes))
    np.testing.assert_allclose(back.value, there.value[..., ::-1], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(back.visits, there.visits[..., ::-1], atol=1e-14)
    assert back.final_inventory_mean == pytest.approx(-there.final_inventory_mean, abs=1e-12)


@pytest.mark.parametrize("factor", [1e-4, 3.7, 1e5])
@pytest.mark.parametrize(("market", "objective"), random_problems(4, seed=6))
def test_the_unit_of_price_does_not_matter(market: Market, objective: Objective, factor: float) -> None:
    solution = solve(market, objective)
    other = solve(*scaled(market, objective, factor))
    size = factor * np.abs(solution.value).max()
    np.testing.assert_allclose(other.value, factor * solution.value, rtol=1e-10, atol=1e-11 * size)


def best_of_one_side(market: Market, gamma: float = 0.0) -> float:
    """The most that one side can earn in a step where inventory is free, on a dense grid."""
    depth = np.linspace(market.min_depth, market.max_depth, 4_000_001)
    fill, miss = bruteforce.fill_and_miss(market, depth)
    return float(np.max(bruteforce.certainty([fill, miss], [depth, 0 * depth], gamma)))


@pytest.mark.parametrize("law", LAWS)
def test_free_inventory_makes_every_step_and_side_alike(law: str) -> None:
    # Without penalty, and with a limit that cannot be reached, there is nothing to plan.
    market = Market(steps=15, horizon=0.2, max_inventory=16, fill_law=law)
    assert solve(market, RiskNeutral()).optimum == pytest.approx(30 * best_of_one_side(market), rel=1e-12)
    still = replace(market, volatility=0.0)
    for gamma in (0.1, 2.0):
        optimum = solve(still, ExponentialUtility(gamma)).optimum
        assert optimum == pytest.approx(30 * best_of_one_side(still, gamma), rel=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_volatility_matters_to_risk_aversion_only(law: str) -> None:
    calm, wild = Market(steps=30, fill_law=law, volatility=0), Market(steps=30, fill_law=law, volatility=7)
    np.testing.assert_array_equal(solve(calm, ExponentialPenalty()).value, solve(wild, ExponentialPenalty()).value)
    gamma, q = 0.1, wild.inventories
    values = [solve(replace(wild, volatility=v), ExponentialUtility(gamma)).value for v in (0.0, 1e-3, 1.0, 2.0)]
    for smaller, larger in itertools.pairwise(values):
        assert (larger <= smaller + 1e-12).all()
    # At most q^2 = Q^2 can be held throughout.
    assert np.max(values[0] - values[1]) <= gamma * 1e-3**2 * q[-1] ** 2 * wild.horizon / 2


@pytest.mark.parametrize("law", LAWS)
def test_vanishing_risk_aversion_is_risk_neutral(law: str) -> None:
    market = Market(steps=40, horizon=0.2, fill_law=law)
    neutral = solve(market, RiskNeutral())
    variance = evaluate_exactly(market, RiskNeutral(), neutral.quotes).profit_std ** 2
    for gamma in (1e-3, 1e-5, 1e-7):
        loss = neutral.optimum - solve(market, ExponentialUtility(gamma)).optimum
        assert loss / (gamma * variance / 2) == pytest.approx(1, abs=0.05 if gamma == 1e-3 else 1e-3)


@pytest.mark.parametrize("law", LAWS)
def test_vanishing_penalty_is_risk_neutral(law: str) -> None:
    market = Market(steps=40, horizon=0.2, fill_law=law)
    neutral = solve(market, RiskNeutral())
    charge = ExponentialPenalty().running_penalty(market.inventories)
    expected = np.sum(state_visits(market, neutral.quotes)[1:, 0] @ charge) * market.dt
    for weight in (1e-2, 1e-4):
        loss = neutral.optimum - solve(market, ExponentialPenalty(weight=weight)).optimum
        assert 0 < loss <= weight * expected
        assert loss == pytest.approx(weight * expected, rel=10 * weight)


@pytest.mark.parametrize("law", LAWS)
def test_rare_takers_pay_the_first_fill_and_its_keep(law: str) -> None:
    # To first order in A at most one fill happens; filled in step n it is charged in the steps n .. N-1.
    market = Market(arrival_rate=1e-5, steps=20, fill_law=law)
    objective = ExponentialPenalty(weight=0.5)
    keep = objective.running_penalty(1) * market.dt * np.arange(20, 0, -1)
    first_order = np.sum(2 * market.arrival_rate * market.dt * np.exp(-1 - market.depth_decay * keep)) / 1.5
    assert solve(market, objective).optimum == pytest.approx(first_order, rel=1e-4)
    assert solve(replace(market, arrival_rate=0), objective).optimum == 0


def test_steep_decay_leaves_nothing_to_earn() -> None:
    for decay in (10.0, 1e3, 1e6):
        optimum = solve(Market(depth_decay=decay, steps=20), RiskNeutral()).optimum
        assert 0 < optimum <= 2 * 140 / (decay * math.e) * (1 + 1e-12)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("kind", ["weight", "rate", "terminal_weight", "quadratic", "cara"])
def test_value_falls_in_the_penalty(law: str, kind: str) -> None:
    market = Market(steps=40, horizon=0.2, max_inventory=8, fill_law=law)
    sizes = (0.02, 0.1, 0.5, 2.0)
    if kind == "cara":
        objectives: list[Objective] = [ExponentialUtility(size) for size in sizes]
    elif kind == "quadratic":
        objectives = [QuadraticPenalty(size) for size in sizes]
    else:
        objectives = [replace(ExponentialPenalty(), **{kind: size}) for size in sizes]
    values = [solve(market, objective).value[:-1] for objective in objectives]
    for smaller, larger in itertools.pairwise(values):
        assert (larger < smaller).all()


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("objective", [ExponentialPenalty(), QuadraticPenalty(1, 1), ExponentialUtility(0.3)])
def test_quotes_lean_against_the_inventory(law: str, objective: Objective) -> None:
    quotes = solve(Market(fill_law=law), objective).quotes
    assert (np.diff(quotes.bid_depth[:, 0, :-1]) >= 0).all()
    assert (np.diff(quotes.ask_depth[:, 0, 1:]) <= 0).all()
    assert np.diff(quotes.bid_depth[0, 0, 14:27]).min() > 0.005


def test_more_takers_and_a_wider_box_are_never_worse() -> None:
    for objective in (ExponentialPenalty(), ExponentialUtility(0.2)):
        base = Market(steps=30, max_inventory=5, min_depth=-0.5, max_depth=1.5)
        wider = replace(base, min_depth=-1, max_depth=9)
        assert (solve(wider, objective).value >= solve(base, objective).value).all()
        assert (
            solve(replace(wider, arrival_rate=160), objective).value[:-1] > solve(wider, objective).value[:-1]
        ).all()


def test_visits_are_probabilities() -> None:
    for market, objective in random_problems(6, seed=9):
        quotes = solve(market, objective).quotes
        visits = state_visits(market, quotes)
        assert (visits >= 0).all()
        np.testing.assert_allclose(visits.sum(axis=(1, 2)), 1, rtol=1e-12)
        bid, ask = fill_probabilities(market, quotes)
        assert (bid[..., -1] == 0).all()
        assert (ask[..., 0] == 0).all()
        assert ((bid >= 0) & (bid <= 1) & (ask >= 0) & (ask <= 1)).all()


def test_binding_tells_how_often_the_box_binds() -> None:
    assert solve(Market(), ExponentialPenalty()).binding < 1e-6
    assert solve(Market(min_depth=1.5), ExponentialPenalty()).binding > 0.9
    tight = solve(Market(steps=3, min_depth=0.8, max_depth=0.9), QuadraticPenalty(3.0))
    visits = state_visits(tight.market, tight.quotes)[:-1]
    sides = [tight.quotes.bid_depth[..., :-1], tight.quotes.ask_depth[..., 1:]]
    weights = [visits[..., :-1], visits[..., 1:]]
    bound = sum(w[(s == 0.8) | (s == 0.9)].sum() for w, s in zip(weights, sides, strict=True))
    assert tight.binding == pytest.approx(bound / sum(w.sum() for w in weights), rel=1e-12)


def test_penalties_that_overflow_are_refused() -> None:
    for objective in (
        ExponentialPenalty(rate=1000),
        ExponentialPenalty(weight=0, rate=1000),
        QuadraticPenalty(1e99, 1e99),
    ):
        with pytest.raises(ValueError, match=r"penalty of .*weight=.* at max_inventory = 20 must be <= 1e\+100"):
            solve(Market(), objective)
    with pytest.raises(ValueError, match="risk of the inventory of ExponentialUtility"):
        solve(Market(volatility=1e80), ExponentialUtility(1e10))
