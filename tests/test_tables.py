"""`python -m evaluate tables`: the paper's tables, the known shares of the optimum, and the command."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaluate import optimality, replication, tables
from evaluate.continuous import continuous_objective
from mmenv import ExponentialPenalty, ExponentialUtility, Market, RiskNeutral, closed_forms, evaluate_exactly
from mmenv.objectives import Objective

EPISODES = 20_000


@pytest.fixture(scope="module")
def lines() -> list[replication.Line]:
    return replication.replicate(Market(), (0.1, 0.01, 0.5), EPISODES, seed=0)


# The paper's tables


def test_published_means_match_the_exact_ones(lines: list[replication.Line], claim: Callable[..., None]) -> None:
    """Within 4 standard errors of the paper's 1000 simulations, standard deviations too."""
    published = [line for line in lines if line.published]
    assert len(published) == len(replication.PUBLISHED)
    for line in published:
        for figure in ("profit_mean", "final_inventory_mean", "profit_std", "final_inventory_std"):
            claim("published - exact, in standard errors of 1000 runs", 22, abs(line.surprise(figure)), 4)


def test_published_spreads_match_to_the_digits_printed(lines: list[replication.Line]) -> None:
    for line in lines:
        if line.published:
            assert round(line.exact.mean_spread, 2) == line.published[0]


def test_standard_errors_are_those_of_the_sample(lines: list[replication.Line]) -> None:
    """Of the mean: std / sqrt(n), by the exact std, which the sample knows to 1 / sqrt(n)."""
    for line in lines:
        for mean, std in (("profit_mean", "profit_std"), ("final_inventory_mean", "final_inventory_std")):
            expected = getattr(line.exact, std) / math.sqrt(EPISODES)
            assert line.simulated[mean].half_width == pytest.approx(expected, rel=0.05)
            assert line.standard_error[mean] == pytest.approx(getattr(line.exact, std) / math.sqrt(1000), rel=0.05)


def test_simulation_matches_theory(lines: list[replication.Line], claim: Callable[..., None]) -> None:
    """24 figures; a normal variable is beyond 5.5 with probability 4e-8."""
    for line in lines:
        for figure in replication.FIGURES[1:]:
            off = (line.simulated[figure].value - getattr(line.exact, figure)) / line.simulated[figure].half_width
            claim("simulated - exact, in standard errors", 22, abs(off), 5.5)


def test_symmetric_quotes_have_the_same_average_spread(lines: list[replication.Line]) -> None:
    for inventory, symmetric in zip(lines[::2], lines[1::2], strict=True):
        assert (inventory.strategy, symmetric.strategy) == ("inventory", "symmetric")
        assert inventory.exact.mean_spread == pytest.approx(symmetric.exact.mean_spread, rel=1e-9)
        for line in (inventory, symmetric):
            assert line.exact.visits[..., [0, -1]].max() < replication.NOT_FELT


def test_another_market_has_no_published_figures() -> None:
    assert all(not line.published for line in replication.replicate(Market(volatility=1.0), (0.1,), 10, seed=0))


# Shares of the optimum


def constant(market: Market, depth: float) -> Callable[[float], tuple[np.ndarray, np.ndarray]]:
    depths = np.full(2 * market.max_inventory + 1, depth)
    return lambda time_left: (depths, depths)


@pytest.mark.parametrize(
    "objective", [RiskNeutral(), ExponentialPenalty(1.0, 0.5, 0.3), ExponentialUtility(0.5)], ids=repr
)
def test_continuous_evaluation_is_the_limit_of_the_exact_one(objective: Objective, claim: Callable[..., None]) -> None:
    """Richardson extrapolation of `evaluate_exactly` at dt -> 0, for quotes far from optimal."""
    values = []
    for steps in (400, 800, 1600):
        market = Market(max_inventory=4, horizon=0.5, arrival_rate=20.0, steps=steps)
        table = closed_forms.quote_table(np.full(market.grid_shape, 0.4), np.full(market.grid_shape, 0.4))
        values.append(evaluate_exactly(market, objective, table).objective)
    first = [2 * values[1] - values[0], 2 * values[2] - values[1]]
    limit = (4 * first[1] - first[0]) / 3
    error = abs(continuous_objective(market, objective, constant(market, 0.4)) - limit)
    claim("continuous value of quotes = limit of the exact one", "20, 24", error, 1e-6)


@pytest.mark.parametrize("gamma", [0.01, 0.1, 1.0])
def test_continuous_evaluation_of_a_formula_never_beats_the_optimum(gamma: float) -> None:
    market, objective = Market(max_inventory=6), ExponentialUtility(gamma)
    best = closed_forms.continuous_value(market, objective)[0, 0, market.max_inventory]
    for _, quotes in optimality.FORMULAS.values():
        if quotes is not None:
            assert continuous_objective(market, objective, quotes(market, gamma)) < best


def test_continuous_evaluation_of_the_optimum_is_the_closed_form() -> None:
    """Far from the end the optimal quotes hardly move, so that the last step's rate of growth is known."""
    market, objective = Market(max_inventory=3, horizon=3.0, steps=3), ExponentialPenalty(1.0, 1.0)
    value = closed_forms.continuous_value(market, objective)[:, 0, market.max_inventory]
    table = closed_forms.continuous_quotes(market, objective)
    steady = continuous_objective(
        Market(max_inventory=3, horizon=1.0), objective, lambda _: (table.bid_depth[0, 0], table.ask_depth[0, 0])
    )
    longer = continuous_objective(
        Market(max_inventory=3, horizon=2.0), objective, lambda _: (table.bid_depth[0, 0], table.ask_depth[0, 0])
    )
    assert longer - steady == pytest.approx(value[0] - value[1], rel=1e-7)


def test_what_is_known_of_avellaneda_stoikov(claim: Callable[..., None]) -> None:
    """Percent of the optimum in continuous time, from independent work, to half of the last digit printed there
    and as much again for the rounding of what it was computed from.
    """
    known = {0.01: (99.9, 99.9), 0.1: (95.7, 95.8), 0.5: (72.5, 75.0), 1.0: (47.4, 51.9)}
    for one in optimality.compare(Market(), list(known)):
        for name, percent in zip(("AS", "AS clipped at 0"), known[one.risk_aversion], strict=True):
            claim("AS in percent of the optimum, off", "30, 31", abs(one.percent(name, continuous=True) - percent), 0.1)
        assert one.percent("GLFT finite horizon", continuous=True) == 100
        assert 99 < one.percent("GLFT asymptotic", continuous=True) < 100
        for name in optimality.FORMULAS:
            assert one.percent(name, continuous=False) < 100


def test_steps_tend_to_continuous_time() -> None:
    gaps = []
    for steps in (200, 400, 800):
        one = optimality.compare(Market(steps=steps, max_inventory=8), [0.2])[0]
        gaps.append([one.formulas[name] - one.continuous_formulas[name] for name in optimality.FORMULAS])
    ratios = np.array(gaps[:-1]) / np.array(gaps[1:])
    assert np.abs(ratios[1] - 2).max() < 0.2


def test_the_box_of_the_optimum_binds_nowhere() -> None:
    market = Market(max_inventory=8, min_depth=0.5, max_depth=0.6)
    solution = optimality.unbound(market, ExponentialUtility(0.5))
    quoted = np.concatenate([solution.quotes.bid_depth[..., :-1], solution.quotes.ask_depth[..., 1:]], axis=-1)
    assert quoted.min() > solution.market.min_depth
    assert quoted.max() < solution.market.max_depth
    wider = optimality.solve(Market(max_inventory=8, min_depth=-1e3, max_depth=1e3), ExponentialUtility(0.5))
    assert solution.optimum == pytest.approx(wider.optimum, rel=1e-12)


# The command


def test_command_prints_and_writes_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tables"
    arguments = ["--episodes", "200", "--risk-aversion", "0.1", "--max-inventory", "4", "--out", str(out)]
    assert tables.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "65" in printed
    assert "GLFT asymptotic" in printed
    for name in ("tables.md", "replication.csv", "optimality.csv", "optimality.png", "optimality.svg", "report.json"):
        assert (out / name).stat().st_size > 0
    with (out / "optimality.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["policy"] for row in rows] == ["optimum", *optimality.FORMULAS]
    with pytest.raises(ValueError, match="exists"):
        tables.main(arguments)
    assert tables.main([*arguments, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--risk-aversion", "0"], "--risk-aversion must be a finite number > 0"),
        (["--volatility", "-1"], "volatility must be"),
        (["--episodes", "1"], "episodes must be an integer >= 2"),
        (["--fill-law", "cubic"], "fill_law must be one of"),
    ],
)
def test_bad_options_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tables.main(arguments)
