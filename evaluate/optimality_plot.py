"""The picture of what formulas give away against the exact optimum. Draws, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from evaluate.optimality import FORMULAS, Comparison
from evaluate.style import BLUE, GREEN, GREY, ORANGE, SKY, light_grid, new_figure

LOOK = {
    "symmetric": (GREY, (0, (5, 1)), "s"),
    "AS": (ORANGE, "-", "o"),
    "AS clipped at 0": (SKY, "--", "^"),
    "GLFT asymptotic": (GREEN, "-.", "D"),
    "GLFT finite horizon": (BLUE, ":", "v"),
}


def plot_optimality(comparisons: Sequence[Comparison]) -> Figure:
    """Percent of the optimum given away against risk aversion: in the market's steps, and as dt -> 0."""
    figure = new_figure(9.0, 4.0)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, continuous, title in ((left, False, "in the market's steps"), (right, True, "as dt → 0")):
        for name in FORMULAS:
            colour, dashes, marker = LOOK[name]
            points = [(one.risk_aversion, 100 - one.percent(name, continuous)) for one in comparisons]
            shown = [(gamma, short) for gamma, short in points if short > 0]  # zero has no place on this axis
            if shown:
                axes.plot(*zip(*shown, strict=True), color=colour, linestyle=dashes, marker=marker, ms=4, label=name)
        axes.set(title=title, xscale="log", yscale="log", xlabel="risk aversion γ")
        axes.axhline(100, color="#B0B0B0", linewidth=0.8, zorder=0)
        light_grid(axes)
    left.set_ylabel("short of the exact optimum, %")
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    right.annotate(
        "nothing is left",
        (1, 100),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="right",
        va="bottom",
        color=GREY,
        fontsize=8,
    )
    # GLFT with a finite horizon is the optimum as dt -> 0, so only the left panel has all lines.
    right.legend(*left.get_legend_handles_labels(), loc="lower right")
    return figure
