"""What all tests share: the `claim` fixture, and the one table of claims that ends `make proof`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import pytest

PROPERTY = "claim"

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side: threads of one would wait for the others'


@pytest.fixture
def claim(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Assert `measured <= bound` (or `>= bound` with `at_least=True`) and put the row into the proof table.

    Rows of proof tests with the same text and equation (a parametrised test) become one line, which shows
    the case closest to its bound. In the default suite it asserts only.
    """

    def check(text: str, equation: str | int, measured: float, bound: float, *, at_least: bool = False) -> None:
        measured, bound = float(measured), float(bound)
        holds = measured >= bound if at_least else measured <= bound  # false for NaN
        if request.node.get_closest_marker("proof"):
            row = {"text": text, "equation": str(equation), "measured": measured, "bound": bound}
            record_property(PROPERTY, row | {"at_least": at_least, "holds": holds})
        assert holds, f"{text} (equation {equation}): measured {measured:.6g}, must be {_sign(at_least)} {bound:.6g}"

    return check


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of claims; rows reach it through the reports, so it works under pytest-xdist too."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    rows = [value for report in reports for name, value in report.user_properties if name == PROPERTY]
    if rows:
        terminalreporter.section("claims")
        for line in claims_table(rows):
            terminalreporter.write_line(line)


def claims_table(rows: list[dict]) -> list[str]:
    """Lines of the table: one per claim, with the number of its cases and the worst of them."""
    groups: dict[tuple[str, str, bool], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["text"], row["equation"], row["at_least"]), []).append(row)
    table = [("claim", "equation", "cases", "measured", "bound", "")]
    for (text, equation, at_least), cases in groups.items():
        worst = max(cases, key=_closeness)
        verdict = "ok" if all(case["holds"] for case in cases) else "FAILED"
        bound = f"{_sign(at_least)} {worst['bound']:.4g}"
        table.append((text, equation, str(len(cases)), f"{worst['measured']:.4g}", bound, verdict))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]


def _closeness(row: dict) -> tuple[bool, float]:
    """Orders cases by how close they come to failing: failures first, then the ratio to the bound."""
    big, small = (row["bound"], row["measured"]) if row["at_least"] else (row["measured"], row["bound"])
    ratio = big / small if small > 0 else (math.inf if big > 0 else big)
    return not row["holds"], ratio if not math.isnan(ratio) else math.inf


def _sign(at_least: bool) -> str:
    return ">=" if at_least else "<="
