"""Power: in every registered market, a 5 % error in any one parameter would be noticed by the tests there are.

Two million sessions of each probe agree with the exact evaluation (`test_registered_markets.py`); so how many standard
errors an error in a parameter would move their figures can be had from exact values, and standard errors from a small
sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mmenv import Market, Objective, Problem, QuoteTable, Tape, evaluate_exactly, simulate
from mmenv.envs.registration import IDS
from mmenv.market import PER_REGIME
from tests.probes import PROBES
from tests.statistics import Z_BOUND

pytestmark = pytest.mark.proof

SESSIONS = 2_000_000
SMALL_SAMPLE = 20_000
ERROR = 1.05
# Numbers that say how large something is; the tick only says which quotes there are, and the table has been made.
NUMBERS = ("horizon", "fee", "fee_rate", "hedge_cost", "hedge_fixed_cost")


def mistaken(market: Market) -> Iterator[tuple[str, Market]]:
    """The market with each of its parameters 5 % too large, regime by regime, and what is wrong with it."""
    for name in NUMBERS:
        if getattr(market, name):
            yield name, replace(market, **{name: ERROR * getattr(market, name)})
    if market.fee_rate:
        yield "initial_mid", replace(market, initial_mid=ERROR * market.initial_mid)
    for name in PER_REGIME:
        value = getattr(market, name)
        many = value if isinstance(value, tuple) else [value]
        for z in range(len(many)):
            if many[z]:
                wrong: Any = [ERROR * number if i == z else number for i, number in enumerate(many)]
                yield f"{name}[{z}]", replace(market, **{name: wrong if len(many) > 1 else wrong[0]})
    for name in ("transition_rates", "transition_matrix"):
        matrix = np.array(getattr(market, name) or ())
        for z in range(len(matrix)):
            changed = matrix.copy()
            changed[z] *= ERROR
            changed[z, z] -= changed[z].sum() - matrix[z].sum()
            yield f"{name}[{z}]", replace(market, **{name: changed.tolist()})


def exact_figures(market: Market, objective: Objective, quotes: QuoteTable) -> np.ndarray:
    """The figures that two million sessions are compared by: utility, profit and inventory, means and variances."""
    exact, gamma = evaluate_exactly(market, objective, quotes), objective.risk_aversion
    value = exact.objective if gamma == 0 else math.exp(-gamma * exact.objective)
    moments = exact.profit_mean, exact.profit_std**2, exact.final_inventory_mean, exact.final_inventory_std**2
    return np.array([value, *moments])


def deviations(market: Market, objective: Objective, quotes: QuoteTable) -> np.ndarray:
    """Standard deviation of one session's part in each of these figures, from a small sample."""
    paths = simulate(market, quotes, Tape.draw(market, SMALL_SAMPLE, seed=77))
    profit, final = paths.profit, paths.inventory[-1].astype(float)
    charged = objective.running_penalty(paths.inventory[1:]).sum(axis=0) * market.dt
    gamma = objective.risk_aversion
    value = profit - charged - objective.terminal_penalty(final) if gamma == 0 else np.exp(-gamma * profit)
    parts = value, profit, (profit - profit.mean()) ** 2, final, (final - final.mean()) ** 2
    return np.array([part.std() for part in parts])


@pytest.mark.parametrize("name", IDS)
def test_an_error_of_five_percent_in_any_parameter_is_noticed(name: str, claim: Callable[..., None]) -> None:
    problem = Problem.from_arguments(**IDS[name])
    market, objective = problem.market, problem.objective
    noticed: dict[str, float] = {}
    for probe in PROBES.values():
        quotes = probe(market, objective)
        right, errors = exact_figures(market, objective, quotes), deviations(market, objective, quotes) / SESSIONS**0.5
        for wrong, other in mistaken(market):
            away = float(np.max(np.abs(exact_figures(other, objective, quotes) - right) / errors))
            noticed[wrong] = max(noticed.get(wrong, 0.0), away)
    assert len(noticed) >= 4
    least = min(noticed, key=noticed.__getitem__)
    text = f"standard errors that a 5 % error of any parameter moves: {name.split('/')[1]}, {least}"
    claim(text, "20 to 22", noticed[least], Z_BOUND, at_least=True)
