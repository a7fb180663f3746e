"""Markets: what they accept, derive, write and refuse."""

from __future__ import annotations

import dataclasses
import json
import pickle
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmenv import Market, Objective, QuoteTable
from mmenv.quotes import as_quote_table, quote_table
from tests.properties import check_problem
from tests.strategies import BAD_FIELDS, markets, objectives, rich_markets

BAD = [(name, value) for name, values in BAD_FIELDS.items() for value in values]


def test_defaults_are_the_papers() -> None:
    # Avellaneda & Stoikov (2008), section 3.3.
    market = Market()
    assert (market.initial_mid, market.volatility, market.horizon, market.dt) == (100, 2, 1, 0.005)
    assert (market.arrival_rate, market.depth_decay, market.fill_law) == (140, 1.5, "linear")


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}={str(value)[:12]}" for name, value in BAD])
def test_every_bad_field_is_refused_with_its_name_value_and_range(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as refusal:
        Market(**{name: value})
    message = str(refusal.value)
    assert message.startswith(f"{name} must be ")
    assert repr(value) in message
    assert "\n" not in message
    assert re.search(r"finite number|integer >= 1|one of 'linear', 'poisson'", message)
    wrong_type = (
        value is None
        or isinstance(value, bool | str | list | complex)
        or (name in ("steps", "max_inventory") and isinstance(value, float))
    )
    assert isinstance(refusal.value, TypeError) == (wrong_type and name != "fill_law")


def test_a_box_upside_down_is_refused() -> None:
    for low, high in ((1.0, 1.0), (2.0, -1.0)):
        with pytest.raises(ValueError, match=rf"max_depth must be > min_depth = {low:g}, got {high!r}"):
            Market(min_depth=low, max_depth=high)


def test_unknown_fields_are_refused_with_a_suggestion() -> None:
    with pytest.raises(TypeError, match=r"'volatilty' \(did you mean 'volatility'\?\); known: initial_mid, volatility"):
        Market.from_dict({"volatilty": 2.0})
    with pytest.raises(TypeError, match="sigma"):
        Market(sigma=2.0)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"'poison' \(did you mean 'poisson'\?\)"):
        Market(fill_law="poison")
    with pytest.raises(TypeError):
        Market(100.0)  # type: ignore[misc]


def test_numbers_of_other_kinds_are_taken_as_plain_ones() -> None:
    market = Market(volatility=np.float32(1.5), horizon=Fraction(1, 2), steps=np.int64(7), initial_mid=3)
    assert market.to_dict() == Market(volatility=1.5, horizon=0.5, steps=7, initial_mid=3.0).to_dict()
    assert all(type(value) in (float, int, str, type(None)) for value in market.to_dict().values())


def test_frozen_equal_hashable_and_written_as_json() -> None:
    market = Market(volatility=0.3, fill_law="poisson", steps=9)
    with pytest.raises(dataclasses.FrozenInstanceError):
        market.volatility = 1.0  # type: ignore[misc]
    for copy in (
        Market.from_dict(json.loads(json.dumps(market.to_dict()))),
        pickle.loads(pickle.dumps(market)),
        dataclasses.replace(market),
    ):
        assert copy == market
        assert hash(copy) == hash(market)
        assert copy.law == market.law
    assert market != dataclasses.replace(market, steps=8)
    assert dataclasses.replace(market, steps=18).dt == market.dt / 2, "derived values follow the fields"


def test_grid() -> None:
    market = Market(max_inventory=2, steps=3)
    assert market.grid_shape == (3, 1, 5)
    assert market.inventories.tolist() == [-2, -1, 0, 1, 2]
    assert market.regimes == 1


def test_quote_tables_that_do_not_fit_are_refused() -> None:
    market = Market(steps=3, max_inventory=2)
    good = np.zeros(market.grid_shape)
    with pytest.raises(ValueError, match=r"ask_depth must have shape .* got \(3, 1, 4\)"):
        QuoteTable(good, good[..., 1:])
    with pytest.raises(ValueError, match=r"bid_depth must have shape"):
        QuoteTable(good[0], good[0])
    with pytest.raises(ValueError, match="hedge must be None"):
        QuoteTable(good, good, hedge=good).check(market)
    with pytest.raises(ValueError, match="hedge must be integers"):
        QuoteTable(good, good, hedge=good + 0.5)
    with pytest.raises(ValueError, match=r"quotes must have shape .* \(4, 1, 5\), got \(3, 1, 5\)"):
        QuoteTable(good, good).check(Market(steps=4, max_inventory=2))
    with pytest.raises(TypeError, match="a policy must be a QuoteTable or have a tabulate"):
        as_quote_table(market, "Symmetric")  # type: ignore[arg-type]
    for name, at, where in (
        ("bid_depth", (1, 0, 0), "step 1, regime 0, inventory -2"),
        ("ask_depth", (2, 0, 1), "step 2, regime 0, inventory -1"),
    ):
        for bad in (np.nan, np.inf):
            sides = {"bid_depth": good.copy(), "ask_depth": good.copy()}
            sides[name][at] = bad
            with pytest.raises(
                ValueError, match=f"{name} must be finite wherever the side is quoted, got {bad} at {where}"
            ):
                QuoteTable(**sides).check(market)


def test_clipping_keeps_unquoted_sides_unquoted() -> None:
    market = Market(steps=1, max_inventory=1)
    table = quote_table(np.full((1, 1, 3), -7.0), np.full((1, 1, 3), 7.0)).clip(market)
    assert table.bid_depth.tolist() == [[[-1, -1, np.inf]]]
    assert table.ask_depth.tolist() == [[[np.inf, 3, 3]]]


@settings(max_examples=120, deadline=None, derandomize=True)
@given(market=st.one_of(markets(), rich_markets()), objective=objectives())
def test_any_valid_problem_has_finite_bounded_answers(market: Market, objective: Objective) -> None:
    try:
        objective.check(market)
    except ValueError as refusal:
        assert "at max_inventory" in str(refusal)  # noqa: PT017
        return
    check_problem(market, objective)


@pytest.mark.parametrize("value", ["12", b"\x01\x02", bytearray(2)])
def test_text_and_bytes_are_not_numbers_for_each_regime(value):
    with pytest.raises(TypeError, match=r"^volatility must be a finite number"):
        Market(volatility=value)
