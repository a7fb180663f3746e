"""Objectives: their penalties, what they write, and what they refuse."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import numpy as np
import pytest

from mmenv import (
    ExponentialPenalty,
    ExponentialUtility,
    Market,
    Objective,
    QuadraticPenalty,
    RiskNeutral,
    objective_from_dict,
)
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
