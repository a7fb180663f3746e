"""Any valid problem has finite, bounded answers; anything invalid is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmenv import ExponentialPenalty, ExponentialUtility, Market, Objective, QuadraticPenalty
from tests.properties import check_problem
from tests.strategies import markets, objectives, rich_markets

pytestmark = pytest.mark.proof

THOROUGH = settings(
    max_examples=2500, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

BELOW_ZERO = st.floats(max_value=-1e-300, allow_infinity=False)
NOT_POSITIVE = st.one_of(BELOW_ZERO, st.sampled_from([0, 0.0, -0.0, 1e-150]))
NOT_FINITE = st.one_of(st.sampled_from([float("nan"), float("inf"), -float("inf")]), st.floats(min_value=1.1e100))
NOT_REAL = st.one_of(st.text(), st.none(), st.booleans(), st.binary(), st.lists(st.floats()), st.complex_numbers())
NOT_INTEGER = st.one_of(NOT_REAL, st.floats())

BAD: dict[tuple[type, str], st.SearchStrategy[Any]] = {
    (Market, "initial_mid"): NOT_REAL | NOT_FINITE,
    (Market, "volatility"): NOT_REAL | NOT_FINITE | BELOW_ZERO,
    (Market, "horizon"): NOT_REAL | NOT_FINITE | NOT_POSITIVE,
    (Market, "steps"): NOT_INTEGER | st.integers(max_value=0),
    (Market, "arrival_rate"): NOT_REAL | NOT_FINITE | BELOW_ZERO,
    (Market, "depth_decay"): NOT_REAL | NOT_FINITE | NOT_POSITIVE,
    (Market, "max_inventory"): NOT_INTEGER | st.integers(max_value=0),
    (Market, "min_depth"): NOT_REAL | NOT_FINITE,
    (Market, "max_depth"): NOT_REAL | NOT_FINITE | st.floats(-1e99, -1),
    (Market, "fill_law"): (NOT_REAL | st.floats()).filter(lambda law: law not in ("linear", "poisson")),
    (ExponentialPenalty, "weight"): NOT_REAL | NOT_FINITE | BELOW_ZERO,
    (ExponentialPenalty, "rate"): NOT_REAL | NOT_FINITE | BELOW_ZERO,
    (ExponentialPenalty, "terminal_weight"): NOT_REAL | NOT_FINITE | BELOW_ZERO,
    (QuadraticPenalty, "weight"): NOT_REAL | NOT_FINITE | BELOW_ZERO,
    (QuadraticPenalty, "terminal_weight"): NOT_REAL | NOT_FINITE | BELOW_ZERO,
    (ExponentialUtility, "risk_aversion"): NOT_REAL | NOT_FINITE | NOT_POSITIVE,
}


@pytest.mark.parametrize("kind", [markets, rich_markets], ids=["plain", "rich"])
def test_any_valid_problem_has_finite_bounded_answers(kind: Any, claim: Callable[..., None]) -> None:
    checked = []

    @THOROUGH
    @given(market=kind(), objective=objectives())
    def check(market: Market, objective: Objective) -> None:
        objective.check(market)
        check_problem(market, objective)
        checked.append(market)

    check()
    claim("cases of any valid problem: answers finite and bounded", "16, 20-22", len(checked), 2000, at_least=True)


def test_anything_invalid_is_refused_by_name(claim: Callable[..., None]) -> None:
    refused = []

    @THOROUGH
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        kind, field = data.draw(st.sampled_from(list(BAD)))
        value = data.draw(BAD[kind, field])
        with pytest.raises((TypeError, ValueError), match=rf"^{field} must be "):
            kind(**{field: value})
        refused.append(field)

    check()
    assert set(refused) == {field for _, field in BAD}
    claim("cases of invalid input: refused with the field's name", 10, len(refused), 2000, at_least=True)
