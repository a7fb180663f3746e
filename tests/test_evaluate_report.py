"""The ladder, its tables, the pictures and the report's page."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from agents import FixedSpread, GueantLehalleFernandezTapia
from evaluate import text
from evaluate.content import compose
from evaluate.document import Paragraph, Table, to_html, to_markdown
from evaluate.entrants import BASELINES, baselines, optimum
from evaluate.ladder import Entrant, Ladder, build_ladder
from evaluate.metrics import Estimate
from evaluate.report import pictures, write
from evaluate.results import Results
from evaluate.runs import Run, load_runs, read_progress
from evaluate.style import styled
from mmenv import ExponentialUtility, Market, Problem, QuadraticPenalty, solve
from tests.evaluation import MARKET, PROBLEM, fake_load, make_run
from tests.general_markets import RICH

FORMATS = ("html", "md", "csv", "png", "svg")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agents.load", fake_load)
        root = tmp_path_factory.mktemp("runs")
        return load_runs([str(make_run(root / f"run{seed}", seed)) for seed in range(3)])


@pytest.fixture(scope="module")
def ladder(runs: list[Run]) -> Ladder:
    return build_ladder(PROBLEM, [*baselines(PROBLEM), *(run.entrant for run in runs), optimum(PROBLEM)], 3000)


@pytest.fixture(scope="module")
def results(ladder: Ladder, runs: list[Run]) -> Results:
    return Results(ladder, runs, "python -m evaluate run0 run1 run2")


def test_the_known_gaps_of_the_default_market() -> None:
    """Percent short of the optimum, as found by independent trials of the design."""
    known = {"as": 3.82, "glft": 0.158, "finite": 0.064, "continuous": 0.012, "linear_skew": 0.059}
    problem = Problem()
    finite = Entrant("finite", "baseline", GueantLehalleFernandezTapia(0.1, finite_horizon=True), "finite")
    rows = baselines(problem, [name for name in known if name != "finite"])
    found = build_ladder(problem, [*rows, finite, optimum(problem)], 2)
    for key, gap in known.items():
        standing = found.find(key)
        assert standing is not None
        assert standing.grade.gap_percent == pytest.approx(gap, abs=0.5 * 10 ** -len(f"{gap}".split(".")[1]))


def test_the_ladder_rises_to_the_optimum(ladder: Ladder) -> None:
    values = [standing.grade.objective for standing in ladder.standings]
    assert values == sorted(values)
    best = ladder.standings[-1]
    assert best.entrant.kind == "optimum"
    assert (best.grade.skill, best.grade.percent_of_optimum) == (1.0, 100.0)
    straight = ladder.find("linear_skew")
    assert straight is not None
    assert straight.grade.skill == pytest.approx(0, abs=1e-9)
    assert len({standing.label for standing in ladder.standings}) == len(ladder.standings)


def test_fitted_rows_are_not_below_the_unfitted(ladder: Ladder) -> None:
    for key in ("as", "glft", "glft_finite"):
        plain, fitted = ladder.find(key), ladder.find(f"{key}_best")
        assert plain is not None
        assert fitted is not None
        assert fitted.grade.objective >= plain.grade.objective
    fixed, symmetric = ladder.find("fixed"), ladder.find("symmetric")
    assert fixed is not None
    assert symmetric is not None
    assert symmetric.grade.objective >= fixed.grade.objective


def test_profit_splits_into_its_parts(ladder: Ladder) -> None:
    for standing in ladder.standings:
        split, exact = standing.split, standing.exact
        assert split.spread_earned + split.inventory_profit == pytest.approx(exact.profit_mean, rel=1e-12)
        assert exact.profit_mean - split.penalty == pytest.approx(exact.objective, rel=1e-12)
        assert split.inventory_profit == pytest.approx(0, abs=1e-12)
        for name in ("spread_earned", "penalty"):
            figure = standing.simulated[name]
            assert abs(figure.value - getattr(split, name)) <= 4.5 / 1.96 * figure.half_width


@pytest.fixture(scope="module")
def rich() -> Ladder:
    """A market with regimes, drift, informed takers, unlike sides, fees and ticks."""
    market = replace(RICH, tick=0.02, steps=20, horizon=0.1, max_inventory=2)
    problem = Problem(market, QuadraticPenalty(0.5))
    names = ["fixed", "as", "glft", "linear_skew"]
    return build_ladder(problem, [*baselines(problem, names), optimum(problem)], 3000)


def test_profit_splits_into_its_parts_in_a_rich_market(rich: Ladder) -> None:
    for standing in rich.standings:
        split, exact = standing.split, standing.exact
        assert exact.profit_mean - split.penalty == pytest.approx(exact.objective, rel=1e-10)
        assert abs(split.inventory_profit) > 0.01
        for name in ("spread_earned", "inventory_profit", "penalty"):
            figure = standing.simulated[name]
            assert abs(figure.value - getattr(split, name)) <= 4.5 / 1.96 * figure.half_width


def test_the_fixed_spread_averages_what_regimes_and_sides_call_for(rich: Ladder) -> None:
    fixed = rich.find("fixed")
    assert fixed is not None
    shares, policy = rich.problem.market.occupation, fixed.entrant.policy
    assert isinstance(policy, FixedSpread)
    assert policy.bid_depth == pytest.approx(shares @ [1 / 1.5, 1 / 1.2, 1 / 2.0])
    assert policy.ask_depth == pytest.approx(1 / 1.6)


def test_a_report_tells_regimes_apart(rich: Ladder, tmp_path: Path) -> None:
    results = Results(rich)
    drawn = pictures(results)
    assert {f"{kind}_formula_regime{z}" for kind in ("quotes", "slices") for z in range(3)} <= set(drawn)
    with styled():
        figures = [draw() for draw in drawn.values()]
    assert len(figures) == len(drawn)
    files = write(results, tmp_path / "out", ["md"], lambda names, what: names)
    body = files[-1].read_text(encoding="utf-8")
    (one,) = results.featured
    visits, quotes = one.standing.exact.visits[:-1], one.standing.grade.quotes
    rows = [line.split("|")[1:-1] for line in body.split("\n") if re.match(r"\| [012] \|", line)]
    assert sum(float(row[1]) for row in rows) == pytest.approx(100, abs=0.2)
    assert sum(float(row[6]) for row in rows) == pytest.approx(100, abs=0.2)
    seen, depth = visits[:, 1, :-1], quotes.bid_depth[:, 1, :-1]
    assert float(rows[1][2]) == pytest.approx((seen * depth).sum() / seen.sum(), abs=6e-4)
    assert "has no drift" not in body
    assert "without drift, informed takers" in body
    assert "`transition_rates`: rates of change" in body
    assert "Regime 2." in to_markdown("t", compose(results), dict.fromkeys(drawn, "x"))


def test_a_report_of_a_market_with_a_hedge_venue(tmp_path: Path) -> None:
    market = Market(steps=20, max_inventory=3, arrival_rate=30, hedge_cost=0.05, hedge_fixed_cost=0.1)
    problem = Problem(market, QuadraticPenalty(8.0))
    plain = solve(market, QuadraticPenalty(0.5))
    hedger = Entrant("hedger", "agent", plain.quotes, "hedger")
    found = build_ladder(problem, [*baselines(problem, ["as", "linear_skew"]), hedger, optimum(problem)], 3000)
    for standing in found.standings:
        split, exact = standing.split, standing.exact
        assert split.inventory_profit == pytest.approx(0, abs=1e-10)
        assert exact.profit_mean - split.penalty == pytest.approx(exact.objective, rel=1e-10)
        difference = standing.simulated["value"]
        assert abs(difference.value - exact.objective) <= 4.5 / 1.96 * difference.half_width
    results = Results(found)
    with styled():
        figures = [draw() for draw in pictures(results).values()]
    assert any(axes.get_ylabel() == "hedge\ninventory [units]" for figure in figures for axes in figure.axes)
    write(results, tmp_path / "out", ["md"], lambda names, what: names)
    assert "| best hedge |" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_plain_reports_say_nothing_of_regimes(results: Results) -> None:
    body = to_markdown("t", compose(results), dict.fromkeys(pictures(results), "x"))
    assert "egime" not in body
    assert "has no drift" in body


def test_paired_differences_are_to_the_optimum(ladder: Ladder) -> None:
    assert ladder.reference == "exact optimum"
    for standing in ladder.standings:
        true = standing.grade.objective - ladder.solution.optimum
        difference = standing.versus["value"]
        assert abs(difference.value - true) <= 4.5 / 1.96 * difference.half_width + 1e-12
    agent = ladder.agents()[0]
    assert agent.versus["value"].half_width < agent.simulated["value"].half_width


def test_cara_is_shown_in_certainty_equivalents() -> None:
    problem = Problem(MARKET, ExponentialUtility(0.2))
    found = build_ladder(problem, [*baselines(problem, ["as", "glft_finite", "continuous"]), optimum(problem)], 500)
    assert found.find("continuous") is None  # the same quotes as GLFT's finite horizon
    for standing in found.standings:
        assert standing.certainty_equivalent == standing.grade.objective
    assert "certainty equivalent" not in text.exact_rows(found)[0]
    assert "penalty" not in text.split_rows(found)[0]


def test_an_optimum_below_zero_is_told_in_gaps() -> None:
    problem = Problem(Market(arrival_rate=1, max_inventory=2, steps=20), QuadraticPenalty(1000))
    found = build_ladder(problem, [*baselines(problem, ["fixed"]), optimum(problem)], 100)
    assert found.solution.optimum < 0
    rows = text.summary_rows(found)
    assert rows[1][2] == "gap"
    assert float(rows[2][2]) == pytest.approx(found.standings[0].grade.gap, rel=1e-4)
    assert "nan" not in text.console_table(rows)


def test_the_printed_table_fits(ladder: Ladder) -> None:
    table = text.console_table(text.summary_rows(ladder))
    lines = table.split("\n")
    assert max(map(len, lines)) <= 100
    assert len(lines) == len(ladder.standings) + 3
    narrow = text.console_table(text.summary_rows(ladder), width=60)
    assert "…" in narrow


def test_the_csv_holds_every_figure_in_full(ladder: Ladder) -> None:
    rows = list(csv.DictReader(io.StringIO(text.csv_text(ladder))))
    assert [row["policy"] for row in rows] == [standing.label for standing in ladder.standings]
    for row, standing in zip(rows, ladder.standings, strict=True):
        assert float(row["value_exact"]) == standing.grade.objective
        assert float(row["skill_exact"]) == standing.grade.skill
        assert float(row["profit_std_low"]) == standing.simulated["profit_std"].low
        assert float(row["value_versus_high"]) == standing.versus["value"].high


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.9, 1.1, "1.00 ± 0.10"),
        (0.97, 1.03, "1.00 ± 0.03"),
        (-3.0, 2.9, "0 ± 3"),
        (99.0, 131.0, "115 ± 16"),
        (1.0, 1.0, "1.000000 ± 0"),
        (1 - 1e-9, 1 + 1e-9, "1.000000 ± <0.000001"),
        (math.nan, math.nan, "–"),
    ],
)
def test_intervals_are_shown_to_their_first_digit(low: float, high: float, shown: str) -> None:
    assert text.with_interval(Estimate((low + high) / 2 if low == low else 1.0, low, high)) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(67.03300, "67.033"), (-1e-15, "0.000"), (1234.5678, "1234.6"), (math.nan, "–"), (3e9, "3e+09"), (-0.5, "-0.500")],
)
def test_numbers(value: float, shown: str) -> None:
    assert text.number(value) == shown


def test_headlines_give_the_range_over_seeds(ladder: Ladder) -> None:
    ((group, standings),) = text.seed_groups(ladder).items()
    assert (group, len(standings)) == ("PPO", 3)
    line = text.headline(ladder, group, standings)
    shares = sorted(standing.grade.percent_of_optimum for standing in standings)
    assert f"{shares[0]:.3f} to {shares[-1]:.3f} %" in line
    assert "over 3 training seeds" in line


def test_the_headline_where_a_straight_line_is_optimal() -> None:
    """Takers come surely in every step: both sides fill at one depth, and inventory never moves."""
    problem = Problem(Market(steps=20))
    agent = Entrant("mine", "agent", FixedSpread(1.0, 1.0), "mine")
    found = build_ladder(problem, [agent, optimum(problem)], 50)
    assert text.headline(found, "mine", found.agents()).endswith(
        "straight line is optimal here, so there is no skill to tell."
    )
    assert text.summary_rows(found)[2][3] == "–"


def test_every_picture_can_be_drawn(results: Results) -> None:
    drawn = pictures(results)
    assert {name.split("_")[0] for name in drawn} == {
        "ladder", "quotes", "slices", "losses", "session", "distributions", "learning",
    }  # fmt: skip
    with styled():
        for name, draw in drawn.items():
            figure = draw()
            for axes in figure.axes:
                if axes.get_label() != "<colorbar>" and axes.get_subplotspec() is not None:
                    edge = axes.get_subplotspec()
                    assert not edge.is_last_row() or axes.get_xlabel(), name
                    assert not edge.is_first_col() or axes.get_ylabel() or name == "ladder", name


@pytest.mark.parametrize(
    "problem",
    [
        Problem(Market(steps=1, max_inventory=1)),
        Problem(Market(arrival_rate=0, steps=5)),
        Problem(Market(steps=10, max_inventory=2, min_depth=-1, max_depth=-0.5), ExponentialUtility(3.0)),
    ],
    ids=["one step", "no takers", "quotes that must lose"],
)
def test_reports_of_odd_markets(problem: Problem, tmp_path: Path) -> None:
    names = [name for name in BASELINES if name != "glft_finite"]
    found = build_ladder(problem, [*baselines(problem, names), optimum(problem)], 50)
    with styled():
        figures = [draw() for draw in pictures(Results(found)).values()]
    assert len(figures) >= 3
    files = write(Results(found), tmp_path / "out", ["md"], lambda names, what: names)
    assert [path.name for path in files] == ["report.json", "report.md"]


class Page(HTMLParser):
    """Collects what a page refers to, and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.pictures = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br", "link", "input"):
            self.open.append(tag)
        self.pictures += tag == "img"
        self.references += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else(results: Results, tmp_path: Path) -> None:
    files = write(results, tmp_path / "report", FORMATS, lambda names, what: names)
    names = {path.relative_to(tmp_path / "report").as_posix() for path in files}
    drawn = pictures(results)
    assert {"report.html", "report.md", "ladder.csv", "report.json"} <= names
    assert {f"figures/{name}.{suffix}" for name in drawn for suffix in ("png", "svg")} <= names
    page = Page()
    content = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    page.feed(content)
    assert page.open == []
    assert (tmp_path / "report/figures/ladder.png").read_bytes().startswith(b"\x89PNG")
    assert page.pictures == len(drawn)
    assert all(reference.startswith(("data:image/svg+xml;base64,", "#s")) for reference in page.references)
    assert not re.search(r"url\(|@import|<script|<link", content)
    assert "$" not in re.sub(r"base64,[^\"]*", "", content)
    markdown = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\((figures/[^)]*)\)", markdown)
    assert len(linked) == len(drawn)
    assert all((tmp_path / "report" / link).is_file() for link in linked)
    for said in (
        "trained on the `expected` reward, seeds 0, 1, 2",
        "python -m evaluate run0",
        "arrival_rate",
        "torch 2.9",
    ):
        assert said in markdown


def test_pages_and_markdown_escape_what_they_are_given() -> None:
    blocks = [Paragraph("a < b & `c<d`, **bold**"), Table([["x|y"], ["<b>"]], "t")]
    page = to_html("<title>", blocks, {})
    assert "<title>&lt;title&gt;</title>" in page
    assert "a &lt; b &amp; <code>c&lt;d</code>, <strong>bold</strong>" in page
    assert "<td>&lt;b&gt;</td>" in page
    assert "x\\|y" in to_markdown("t", blocks, {})


def test_learning_curves_survive_a_row_that_is_being_written(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    with open(folder / "progress.csv", "a", encoding="utf-8") as file:
        file.write("3000")
    progress = read_progress(folder)
    assert progress is not None
    np.testing.assert_array_equal(progress.transitions, [0, 1000, 2000])
    np.testing.assert_array_equal(progress.gap_percent, [10, 3, 1])
    assert read_progress(tmp_path) is None
