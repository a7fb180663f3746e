"""The pictures of a report. They only draw: every function takes results and returns a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from evaluate.ladder import Ladder, Standing
from evaluate.metrics import Histogram
from evaluate.style import BLACK, GREY, KEY_COLOUR, KIND_COLOUR, LINE, ORANGE, RED, light_grid, new_figure
from mmenv.simulation import Paths

AGENT_COLOURS = (RED, "#0072B2", ORANGE, "#009E73")


def colour_of(standing: Standing, agents: Sequence[str]) -> str:
    """One colour for a policy in all pictures."""
    if standing.entrant.kind == "agent":
        return AGENT_COLOURS[agents.index(standing.entrant.key) % len(AGENT_COLOURS)]
    return KEY_COLOUR.get(standing.entrant.key, KIND_COLOUR[standing.entrant.kind])


def percent_label(value: float) -> str:
    """A percentage for an axis: 100, 10, 1, 0.1, 0.01."""
    return f"{value:g}" if value >= 1e-3 else f"{value:.0e}"


def gap_of(ladder: Ladder, standing: Standing) -> float:
    """What an entrant is short of the optimum: percent where the optimum is positive, else price units."""
    return standing.grade.gap_percent if ladder.solution.optimum > 0 else standing.grade.gap


def gap_unit(ladder: Ladder) -> str:
    """The unit of `gap_of`, for an axis label."""
    return "% of the optimum" if ladder.solution.optimum > 0 else "price units"


def plot_ladder(ladder: Ladder) -> Figure:
    """How far every policy is from the exact optimum, on a log scale; agents as their range over seeds."""
    rows = _ladder_rows(ladder)
    figure = new_figure(7.6, 0.9 + 0.3 * len(rows))
    axes = figure.subplots()
    for y, (_, kind, gaps) in enumerate(rows):
        colour = KIND_COLOUR[kind]
        axes.plot([min(gaps), max(gaps)], [y, y], color=colour, linewidth=1.5, solid_capstyle="round")
        axes.plot(gaps, [y] * len(gaps), "o", color=colour, markersize=7 if kind == "agent" else 5.5, clip_on=False)
        middle = sorted(gaps)[(len(gaps) - 1) // 2]
        span = _digits(middle) if len(gaps) == 1 else f"{_digits(min(gaps))} to {_digits(max(gaps))}"
        axes.annotate(
            span,
            (max(gaps), y),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour,
            bbox={"color": "white" if kind == "baseline" else "#FDF2ED", "pad": 0.8, "linewidth": 0},
        )
        if kind == "agent":
            axes.axhspan(y - 0.5, y + 0.5, color="#FDF2ED", linewidth=0, zorder=0)
    straight = ladder.find("linear_skew")
    if straight is not None and gap_of(ladder, straight) > 0:
        axes.axvline(gap_of(ladder, straight), color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
        axes.annotate(
            "best straight line: skill 0", (gap_of(ladder, straight), 0), (5, 0), ha="left", va="center",
            xycoords="data", textcoords="offset points", fontsize=8, color=GREY,
        )  # fmt: skip
    axes.set(yticks=range(len(rows)), yticklabels=[row[0] for row in rows], ylim=(-0.6, len(rows) - 0.4))
    for tick, (_, kind, _) in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set(color=KIND_COLOUR[kind] if kind == "agent" else BLACK, weight="bold" if kind == "agent" else "normal")
    axes.set_xscale("log")
    axes.set_xlabel(f"short of the exact optimum [{gap_unit(ladder)}, log scale]")
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: percent_label(value)))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    light_grid(axes, "x")
    return figure


def _digits(value: float) -> str:
    """A number to two significant digits, zeros kept: 0.060 is known better than 0.06."""
    if not 1e-4 <= value < 1e6:
        return f"{value:.1e}"
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"


def _ladder_rows(ladder: Ladder) -> list[tuple[str, str, list[float]]]:
    """(label, kind, gaps) worst first; seeds of one agent share a row; the optimum has no gap and no row."""
    groups: dict[str, list[Standing]] = {}
    for standing in ladder.standings:
        entrant = standing.entrant
        if entrant.kind != "optimum":
            groups.setdefault(entrant.key if entrant.kind == "agent" else entrant.label, []).append(standing)
    # What is this much closer than the farthest is close to rounding: it is shown at the edge.
    floor = 1e-6 * max(gap_of(ladder, standing) for standings in groups.values() for standing in standings)
    rows = []
    for key, standings in groups.items():
        gaps = [max(gap_of(ladder, standing), floor) for standing in standings]
        seeds = f" ({len(gaps)} seeds)" if len(gaps) > 1 else ""
        rows.append((key + seeds, standings[0].entrant.kind, gaps))
    return sorted(rows, key=lambda row: -sorted(row[2])[(len(row[2]) - 1) // 2])


def plot_learning(
    curves: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]], marks: Mapping[str, float], unit: str
) -> Figure:
    """The exact gap while training, one line a seed, on a log scale.

    Args:
        curves: for each agent the (transitions, gap) of its seeds.
        marks: gaps to compare with, by name, as horizontal lines.
        unit: unit of the gaps.
    """
    figure = new_figure(7.2, 3.8)
    axes = figure.subplots()
    farthest = 0.0
    for colour, (name, seeds) in zip(AGENT_COLOURS * len(curves), curves.items(), strict=False):
        for i, (transitions, gap) in enumerate(seeds):
            label = name if len(seeds) == 1 else f"{name}, {len(seeds)} seeds"
            axes.plot(transitions / 1e6, gap, color=colour, linewidth=1.2, label=label if i == 0 else None)
            axes.plot(transitions[-1] / 1e6, gap[-1], "o", color=colour, markersize=4)
            farthest = max(farthest, float(transitions[-1]) / 1e6)
    for name, level in marks.items():
        axes.axhline(level, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            name, (1, level), (-2, 3), xycoords=("axes fraction", "data"), textcoords="offset points", ha="right",
            fontsize=8, color=GREY,
        )  # fmt: skip
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent_label(value)))
    axes.set(xlabel="transitions [millions]", ylabel=f"short of the optimum\n[{unit}, log scale]", xlim=(0, farthest))
    figure.legend(loc="outside upper center", ncols=4)
    light_grid(axes)
    return figure


def plot_distributions(ladder: Ladder, standings: Sequence[Standing], colours: Sequence[str]) -> Figure:
    """Profit (simulated), final inventory (exact) and drawdown (simulated) of a few policies."""
    figure = new_figure(11.0, 3.6)
    profit, inventory, drawdown = figure.subplots(1, 3)
    q = ladder.problem.market.inventories
    for standing, colour in zip(standings, colours, strict=True):
        style = {"color": colour, "linestyle": LINE.get(standing.entrant.key, "-"), "linewidth": 1.4}
        _outline(profit, standing.profit, style, standing.label)
        inventory.plot(q, standing.exact.visits[-1].sum(axis=0), marker=".", markersize=4, **style)
        _outline(drawdown, standing.drawdown, style, None)
    held = np.max([s.exact.visits[-1].sum(axis=0) for s in standings], axis=0) > 1e-4
    reach = max(int(np.abs(q[held]).max()), 1)
    profit.set(xlabel="profit of a session [price units]", ylabel="density [1 / price unit]", title="profit")
    inventory.set(
        xlabel="final inventory [units]", ylabel="probability", title="final inventory (exact)",
        xlim=(-reach - 0.5, reach + 0.5),
    )  # fmt: skip
    drawdown.set(xlabel="largest fall of wealth [price units]", ylabel="density [1 / price unit]", title="drawdown")
    _limit(profit, [s.profit for s in standings])
    _limit(drawdown, [s.drawdown for s in standings])
    drawdown.set_xlim(left=0)
    for axes in (profit, inventory, drawdown):
        axes.set_ylim(bottom=0)
        light_grid(axes)
    figure.legend(loc="outside lower center", ncols=len(standings))
    return figure


def _outline(axes: Axes, histogram: Histogram, style: dict, label: str | None) -> None:
    centres = (histogram.edges[1:] + histogram.edges[:-1]) / 2
    axes.plot(centres, histogram.density(), label=label, **style)


def _limit(axes: Axes, histograms: Sequence[Histogram]) -> None:
    """Show all but the emptiest bins of the shown policies."""
    shown = np.max([h.counts / max(h.counts.sum(), 1) for h in histograms], axis=0) > 5e-4
    edges = histograms[0].edges
    at = np.flatnonzero(shown)
    if len(at):
        axes.set_xlim(edges[at[0]], edges[at[-1] + 1])


def plot_path(paths: Paths, optimal: Paths, horizon: float, name: str) -> Figure:
    """One session: price with both quotes and fills, inventory, profit; the optimum on the same tape in grey.

    Args:
        paths: of the policy; its first session is drawn.
        optimal: of the optimum, on the same tape.
        horizon: T [time].
        name: of the policy.
    """
    figure = new_figure(9.0, 6.4)
    price, held, profit = figure.subplots(3, 1, sharex=True, height_ratios=(2.4, 1, 1))
    time = np.linspace(0.0, horizon, len(paths.mid))
    price.plot(time, paths.mid[:, 0], color=BLACK, linewidth=1.0, label="mid")
    for side, sign, colour, marker in (("bid", -1, "#0072B2", "^"), ("ask", 1, RED, "v")):
        depth, fill = getattr(paths, f"{side}_depth")[:, 0], getattr(paths, f"{side}_fill")[:, 0]
        quote = np.where(np.isfinite(depth), paths.mid[:-1, 0] + sign * depth, np.nan)
        price.step(time[:-1], quote, where="post", color=colour, linewidth=0.8, label=f"our {side}")
        label = "bid filled: we buy" if side == "bid" else "ask filled: we sell"
        price.plot(time[:-1][fill], quote[fill], marker, color=colour, markersize=3.5, label=label)
    for axes, values in ((held, "inventory"), (profit, "wealth")):
        axes.step(time, getattr(optimal, values)[:, 0], where="post", color=GREY, linewidth=1.0, label="exact optimum")
        axes.step(time, getattr(paths, values)[:, 0], where="post", color=RED, linewidth=1.1, label=name)
        light_grid(axes)
    held.axhline(0, color=BLACK, linewidth=0.5)
    light_grid(price)
    price.set(ylabel="price", xlim=(0, horizon))
    held.set(ylabel="inventory\n[units]")
    profit.set(ylabel="profit\n[price units]", xlabel="time")
    price.legend(loc="upper left", ncols=5, bbox_to_anchor=(0, 1.12), columnspacing=1.2, handletextpad=0.4)
    profit.legend(loc="upper left")
    return figure
