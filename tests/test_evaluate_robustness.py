"""Policies made for one market, graded in another: what the matrix must say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluate.__main__ import main
from evaluate.robustness import losses, parameters_of, scaled
from mmenv import ExponentialPenalty, ExponentialUtility, Market, Problem, grade, solve

SMALL = Market(steps=20, horizon=0.1, max_inventory=4, informed_share=0.4, informed_jump=0.5)


def test_losses_are_those_of_grading_the_other_optimum() -> None:
    problem = Problem(SMALL, ExponentialPenalty(5.0, 0.5))
    found = losses(problem, "decay", [0.5, 2.0])
    assert found.factors == (0.5, 1.0, 2.0)
    matrix = found.losses["exact optimum"]
    np.testing.assert_allclose(np.diag(matrix), 0, atol=1e-12)
    assert (matrix[~np.eye(3, dtype=bool)] > 1e-3).all()
    assumed, there = scaled(SMALL, "decay", 0.5), scaled(SMALL, "decay", 2.0)
    assert (assumed.depth_decay, there.depth_decay) == (0.75, 3.0)
    graded = grade(there, solve(assumed, problem.objective).quotes, problem.objective)
    assert matrix[0, 2] == pytest.approx(graded.gap, rel=1e-12)
    assert found.percent("exact optimum")[0, 2] == pytest.approx(graded.gap_percent, rel=1e-12)
    for policy in found.losses:
        assert (found.losses[policy] >= matrix.diagonal() - 1e-9).all(), policy


def test_volatility_matters_to_those_who_are_averse_to_it() -> None:
    for objective, matters in ((ExponentialPenalty(), False), (ExponentialUtility(1.0), True)):
        matrix = losses(Problem(SMALL, objective), "volatility", [2.0]).losses["exact optimum"]
        assert (matrix[0, 1] > 1e-3) == matters


def test_agents_are_made_for_the_market_as_it_is() -> None:
    problem = Problem(SMALL)
    quotes = solve(SMALL, problem.objective).quotes
    found = losses(problem, "arrivals", [2.0], {"agent": quotes})
    np.testing.assert_array_equal(found.losses["agent"][0], found.losses["exact optimum"][0])
    assert np.isnan(found.losses["agent"][1]).all()


def test_only_parameters_that_are_there_are_varied() -> None:
    assert parameters_of(Market()) == ["volatility", "arrivals", "decay"]
    assert parameters_of(SMALL)[-1] == "informed"
    assert scaled(SMALL, "informed", 5.0).informed_share == 1.0
    regimes = Market(arrival_rate=(10.0, 20.0), transition_rates=((-1, 1), (1, -1)), ask_arrival_rate=7.0)
    assert scaled(regimes, "arrivals", 2.0).arrival_rate == (20.0, 40.0)
    assert scaled(regimes, "arrivals", 2.0).ask_arrival_rate == 14.0


def test_formulas_that_do_not_know_a_market_are_left_out() -> None:
    apart = Market(steps=5, max_inventory=2, bid_depth_decay=1.0, ask_depth_decay=2.0)
    assert list(losses(Problem(apart), "decay", [2.0]).losses) == [
        "Avellaneda–Stoikov γ=0.1", "best linear skew", "exact optimum"
    ]  # fmt: skip


def test_the_command_writes_tables_and_a_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made"
    assert main(["robustness", "--factor", "2", "--out", str(out)]) == 0
    assert "volatility x 2" in capsys.readouterr().out
    names = {path.name for path in out.iterdir()}
    assert names == {"robustness.md", "robustness.png", "robustness.svg", "report.json"}
    assert main(["robustness", "--factor", "-1", "--out", str(tmp_path / "none")]) == 2
    assert "--factor must be a finite number > 0, got -1.0" in capsys.readouterr().err
    assert main(["robustness", "--env", "Nowhere-v0"]) == 2
