"""The report's files: which pictures are drawn, and how all of it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from evaluate import content, folder, plots, quote_plots, recording_report, style, text
from evaluate.document import to_html, to_markdown
from evaluate.ladder import Ladder
from evaluate.results import Featured, Results
from mmenv.quotes import QuoteTable

Progress = Callable[[Sequence[str], str], Iterable[str]]


def pictures(results: Results) -> dict[str, Callable[[], Figure]]:
    """What draws each picture, by name."""
    ladder, market = results.ladder, results.ladder.problem.market
    drawn: dict[str, Callable[[], Figure]] = {}
    if any(plots.gap_of(ladder, standing) > 0 for standing in ladder.standings):
        drawn["ladder"] = partial(plots.plot_ladder, ladder)
    for one in results.featured:
        visits = one.standing.exact.visits[:-1]
        quotes, optimal = one.standing.grade.quotes, ladder.solution.quotes
        lines, losses = _compared(ladder, one), results.losses(one.standing)
        drawn[f"quotes_{one.slug}"] = partial(quote_plots.plot_quotes, market, quotes, optimal, visits, one.name)
        drawn[f"slices_{one.slug}"] = partial(quote_plots.plot_slices, market, lines, optimal, visits)
        if losses.gap > 0:
            drawn[f"losses_{one.slug}"] = partial(quote_plots.plot_advantage, market, losses, one.name)
        session = results.session(one.standing)
        drawn[f"session_{one.slug}"] = partial(plots.plot_path, *session, market.horizon, one.name)
    drawn["distributions"] = partial(_distributions, results)
    if results.replay is not None:
        drawn["recording"] = partial(recording_report.plot_figures, results.replay)
        drawn["recording_wealth"] = partial(recording_report.plot_wealth, results.replay)
    if any(run.progress is not None for run in results.runs):
        drawn["learning"] = partial(_learning, results)
    return drawn


def _compared(ladder: Ladder, one: Featured) -> dict[str, tuple[str, QuoteTable]]:
    """The featured policy and the lines that its slices are compared to."""
    lines = {one.name: ("agent", one.standing.grade.quotes)}
    for key in ("as", "glft", "linear_skew"):
        standing = ladder.find(key)
        if standing is not None and standing is not one.standing:
            lines[standing.label] = (key, standing.grade.quotes)
    return lines


def _distributions(results: Results) -> Figure:
    ladder, featured = results.ladder, [one.standing for one in results.featured]
    found = [ladder.find(key) for key in ("fixed", "as", "linear_skew")]
    shown = [s for s in found if s is not None and s not in featured]
    shown += [*featured, *[s for s in ladder.standings if s.entrant.kind == "optimum"]]
    agents = list(text.seed_groups(ladder))
    return plots.plot_distributions(ladder, shown, [plots.colour_of(standing, agents) for standing in shown])


def _learning(results: Results) -> Figure:
    curves: dict[str, list] = {}
    for run in results.runs:
        if run.progress is not None:
            gap = run.progress.gap_percent if results.positive else run.progress.gap
            curves.setdefault(run.group, []).append((run.progress.transitions, gap))
    found = [results.ladder.find(key) for key in ("as", "linear_skew")]
    marks = {s.label: plots.gap_of(results.ladder, s) for s in found if s is not None}
    return plots.plot_learning(curves, marks, plots.gap_unit(results.ladder))


def write(results: Results, out: Path, formats: Sequence[str], progress: Progress) -> list[Path]:
    """Write the report's files, all or none.

    Args:
        results: what to report.
        out: the folder; see `folder.choose`.
        formats: among "html", "md", "csv", "png" and "svg".
        progress: wraps the names of the pictures as they are drawn.

    Returns:
        The paths of all files.
    """
    drawn = pictures(results) if {"html", "png", "svg"} & set(formats) else {}
    suffixes = [suffix for suffix in ("png", "svg") if suffix in formats]
    inline: dict[str, bytes] = {}
    blocks = content.compose(results)
    with folder.publish(out) as new, style.styled():
        for name in progress(list(drawn), "pictures"):
            figure = drawn[name]()
            if "html" in formats or "svg" in formats:
                inline[name] = style.rendered(figure, "svg")
            for suffix in suffixes:
                data = inline[name] if suffix == "svg" else style.rendered(figure, suffix)
                (new / "figures").mkdir(exist_ok=True)
                (new / "figures" / f"{name}.{suffix}").write_bytes(data)
        texts = {}
        if "html" in formats:
            texts["report.html"] = to_html(content.title(results), blocks, inline)
        if "md" in formats:
            links = {name: f"figures/{name}.{suffixes[0]}" for name in drawn} if suffixes else {}
            texts["report.md"] = to_markdown(content.title(results), blocks, links)
        if "csv" in formats:
            texts["ladder.csv"] = text.csv_text(results.ladder)
        for name, body in texts.items():
            (new / name).write_text(body, encoding="utf-8", newline="\n")
        folder.mark(new, _about(results))
    return sorted(path for path in out.rglob("*") if path.is_file())


def _about(results: Results) -> dict[str, Any]:
    ladder = results.ladder
    return {
        "report": "ladder",
        "problem": ladder.problem.to_dict(),
        "optimum": ladder.solution.optimum,
        "objectives": {standing.label: standing.grade.objective for standing in ladder.standings},
        "episodes": ladder.episodes,
        "seed": ladder.seed,
        "runs": [str(run.folder) for run in results.runs],
        "command": results.command,
    }
