"""Objectives: their penalties, what they write, and what they refuse."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import numpy as np
import pytest

from agents import LinearSkew
from mmenv import (
    ExponentialPenalty,
    ExponentialUtility,
    Market,
    Objective,
    QuadraticPenalty,
    RiskNeutral,
    evaluate_exactly,
    grade,
    objective_from_dict,
    solve,
)
from mmenv.envs import MarketMakingEnv
from tests import bruteforce
from tests.strategies import BAD_OBJECTIVE_FIELDS

ALL = [ExponentialPenalty(2.0, 0.5, 0.1), QuadraticPenalty(0.7, 0.2), RiskNeutral(), ExponentialUtility(0.3)]


@pytest.mark.parametrize("objective", ALL)
def test_penalties_are_what_they_say(objective: Objective) -> None:
    q = np.arange(-5.0, 6.0)
    running, terminal, gamma = bruteforce.penalties(objective, q)
    np.testing.assert_allclose(objective.running_penalty(q), running, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(objective.terminal_penalty(q), terminal, rtol=1e-14)
    assert objective.risk_aversion == gamma
    assert objective.running_penalty(3) == pytest.approx(running[8])
    assert np.shape(objective.running_penalty(np.zeros((2, 3)))) == (2, 3)
    assert objective.running_penalty(0) == objective.terminal_penalty(0) == 0


def test_defaults_are_the_papers() -> None:
    assert ExponentialPenalty() == ExponentialPenalty(weight=1.0, rate=0.3, terminal_weight=0.0)
    assert ExponentialUtility() == ExponentialUtility(risk_aversion=0.1)


@pytest.mark.parametrize("objective", ALL)
def test_json_and_pickle_round_trips(objective: Objective) -> None:
    written = json.loads(json.dumps(objective.to_dict()))
    assert objective_from_dict(written) == objective
    assert pickle.loads(pickle.dumps(objective)) == objective
    assert hash(objective) == hash(dataclasses.replace(objective))  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    BAD_OBJECTIVE_FIELDS,
    ids=[f"{kind.__name__}.{name}={str(value)[:12]}" for kind, name, value in BAD_OBJECTIVE_FIELDS],
)
def test_every_bad_field_is_refused_with_its_name_value_and_range(kind: Any, name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as refusal:
        kind(**{name: value})
    message = str(refusal.value)
    assert message.startswith(f"{name} must be a finite number >")
    assert repr(value) in message
    with pytest.raises(type(refusal.value)):
        objective_from_dict({"name": kind.name, name: value})


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({}, TypeError, 'must be a mapping with a "name"'),
        ("risk_neutral", TypeError, 'must be a mapping with a "name"'),
        ({"name": "quadratic"}, ValueError, "objective name must be one of .*did you mean 'quadratic_penalty'"),
        (
            {"name": "risk_neutral", "weight": 1},
            TypeError,
            "unknown parameter 'weight' of objective 'risk_neutral'; known: none",
        ),
        (
            {"name": "exponential_penalty", "wieght": 1},
            TypeError,
            r"unknown parameter 'wieght' .* \(did you mean 'weight'\?\); known: weight, rate, terminal_weight",
        ),
    ],
)
def test_bad_mappings_are_refused(values: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        objective_from_dict(values)


def test_check_refuses_what_overflows_in_a_market_and_only_that() -> None:
    small, large = Market(max_inventory=2), Market(max_inventory=800)
    objective = ExponentialPenalty(rate=0.3)
    objective.check(small)
    with pytest.raises(
        ValueError, match=r"running penalty of .* at max_inventory = 800 must be <= 1e\+100 .*, got 1.7.*e\+104"
    ):
        objective.check(large)
    ExponentialPenalty(rate=0.287).check(large)


@dataclasses.dataclass(frozen=True)
class ShortFee(Objective):
    """What a user may write: a penalty of no built-in shape, not even symmetric, and a charge at the end."""

    fee: float = 4.0

    def running_penalty(self, inventory: Any) -> np.ndarray:
        return np.where(np.asarray(inventory) < 0, -self.fee * inventory, 0.3 * np.abs(inventory))

    def terminal_penalty(self, inventory: Any) -> np.ndarray:
        return 0.5 * np.abs(inventory)


def test_an_objective_of_ones_own_is_solved_graded_and_played() -> None:
    market, objective = Market(steps=20, max_inventory=6, arrival_rate=14.0), ShortFee()
    best, line = solve(market, objective), LinearSkew(0.7, 0.1)
    for quotes in (best.quotes, line.tabulate(market)):
        exact = evaluate_exactly(market, objective, quotes)
        # From the probabilities of the states, not from the recursion over values.
        running = np.sum(exact.visits[1:] * objective.running_penalty(market.inventories)) * market.dt
        terminal = np.sum(exact.visits[-1] * objective.terminal_penalty(market.inventories))
        assert exact.objective == pytest.approx(exact.profit_mean - running - terminal, rel=1e-12)
    env = MarketMakingEnv(market=market, objective=objective, reward="expected")
    graded = grade(env, line)
    assert graded.optimum == best.optimum == pytest.approx(evaluate_exactly(market, objective, best.quotes).objective)
    assert graded.optimum > graded.linear_skew >= graded.objective
    centre = (best.quotes.ask_depth - best.quotes.bid_depth)[10, 0, market.max_inventory]
    assert centre > 0.1  # short is dear, so it would rather be long; no symmetric penalty gives this
    assert objective.to_dict() == {"name": "ShortFee", "fee": 4.0}


def test_an_objective_derived_from_a_built_in_one_does_not_take_its_name() -> None:
    class Milder(ExponentialPenalty):
        def running_penalty(self, inventory: Any) -> np.ndarray:
            return super().running_penalty(inventory) / 2

    assert ExponentialPenalty.name == "exponential_penalty"
    with pytest.raises(ValueError, match="objective name must be one of"):
        objective_from_dict(Milder().to_dict())


@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        (
            lambda q: np.where(np.asarray(q) == -3, np.nan, 0.0),
            r"running penalty .* at inventory = -3 must be .* nan",
        ),
        (lambda q: 1.0, r"running penalty of .* must have the inventories' shape \(41,\), got \(\)"),
    ],
)
def test_bad_penalties_of_ones_own_are_refused(penalty: Any, message: str) -> None:
    class Own(Objective):
        def running_penalty(self, inventory: Any) -> np.ndarray:
            return penalty(inventory)

    with pytest.raises(ValueError, match=message):
        solve(Market(), Own())


def test_an_objective_that_cannot_be_remembered_is_refused() -> None:
    @dataclasses.dataclass
    class Thawed(Objective):
        weight: float = 1.0

    with pytest.raises(TypeError, match=r"Thawed must be hashable: declare it with @dataclass\(frozen=True\)"):
        grade(Market(), LinearSkew(0.7, 0.1), Thawed())
