"""The page of registered markets: its figures are those of `evaluate_exactly`, and docs/markets.md shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluate import markets_plot, style
from evaluate.__main__ import main
from evaluate.markets import agent_rows, field_of, ladder_rows, markout_rows, regime_rows
from evaluate.registered import problem_of
from evaluate.text import markdown_table
from mmenv import Tape, grade, simulate, solve
from mmenv.envs.registration import IDS
from tests.statistics import Z_BOUND

PAGE = (Path(__file__).parents[1] / "docs" / "markets.md").read_text(encoding="utf-8")
TOXIC = problem_of("mmenv/ToxicFlow-v0")


def test_the_page_has_every_registered_market_and_what_the_command_prints() -> None:
    for name in IDS:
        assert f"{name}`" in PAGE
    for rows in (regime_rows(TOXIC), markout_rows(TOXIC)):
        assert markdown_table(rows) in PAGE


def test_the_optimum_is_wider_than_formulas_when_the_flow_turns_toxic() -> None:
    rows = {row[0].split(" γ")[0]: [float(cell.split(" / ")[0]) for cell in row[1:]] for row in regime_rows(TOXIC)[1:]}
    assert rows["exact optimum"][1] > 1.3 * max(rows["Avellaneda–Stoikov"][1], rows["GLFT asymptotic"][1])
    assert rows["exact optimum"][0] == pytest.approx(rows["Avellaneda–Stoikov"][0], rel=0.02)


def test_fills_depths_and_markouts_are_what_sessions_show() -> None:
    """Against 20,000 sessions of the optimum; standard errors from the sessions."""
    market = TOXIC.market
    told = next(row for row in markout_rows(TOXIC, [1]) if row[0] == "exact optimum")
    paths = simulate(market, solve(market, TOXIC.objective).quotes, Tape.draw(market, 20_000, seed=12))
    bid, ask = paths.bid_fill.astype(float), paths.ask_fill.astype(float)
    fills = (bid + ask).sum(axis=0)
    depth = np.where(bid > 0, paths.bid_depth, 0).sum(axis=0) + np.where(ask > 0, paths.ask_depth, 0).sum(axis=0)
    move = np.diff(paths.mid, axis=0)
    lost = (ask * move - bid * move).sum(axis=0)
    half_a_digit = {1: 0.05, 2: 0.0005, 3: 0.0005}
    for column, total, per in ((1, fills, np.ones_like(fills)), (2, depth, fills), (3, lost, fills)):
        ratio = total.mean() / per.mean()
        error = np.std(total - ratio * per) / per.mean() / len(fills) ** 0.5
        assert abs(float(told[column]) - ratio) <= Z_BOUND * error + half_a_digit[column]


def test_ladder_ranks_by_the_exact_value() -> None:
    rows = ladder_rows(problem_of("mmenv/Hedged-v0"))
    values = [float(row[1]) for row in rows[1:]]
    assert values == sorted(values)
    assert rows[-1][0] == "exact optimum"
    line = next(row for row in rows if row[0] == "best linear skew")
    assert float(line[3]) == pytest.approx(0, abs=1e-9)


def test_agents_are_ranged_over_runs() -> None:
    problem = problem_of("mmenv/Hedged-v0")
    best = solve(problem.market, problem.objective).quotes
    worse = field_of(problem)["as"].policy
    row = agent_rows({"mmenv/Hedged-v0": [best, worse]})[1]
    gap = grade(problem, worse).gap_percent
    assert row[2:5] == ["2", f"{100 - gap:.4f} to 100.0000", f"{gap:.4f}"]
    assert row[6] == "1 of 2"
    assert len(agent_rows({"mmenv/Hedged-v0": []})) == 1


def test_pictures_are_drawn() -> None:
    with style.styled():
        assert len(markets_plot.plot_regimes(TOXIC).axes) == 2
        assert len(markets_plot.plot_band(problem_of("mmenv/Hedged-v0")).axes) == 2


def test_the_command_refuses_unknown_markets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["markets", "--env", "Toxic-v0"]) == 2
    assert "did you mean 'mmenv/ToxicFlow-v0'" in capsys.readouterr().err


def test_runs_of_no_market_that_is_shown_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """They are not left out in silence."""
    assert main(["markets", "Signal-v0", "--env", "ToxicFlow-v0"]) == 2
    refusal = "runs must be of the markets mmenv/ToxicFlow-v0: 'Signal-v0' was trained in another"
    assert refusal in capsys.readouterr().err
