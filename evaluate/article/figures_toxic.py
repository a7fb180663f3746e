"""Pictures of what takers know: claims 0 and 6. They only draw what was found, in a language."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluate.article.drawing import maker_style, shade, zero_line
from evaluate.article.finding import Finding
from evaluate.article.spells import REGIMES
from evaluate.article.words import Words
from evaluate.style import BLACK, BLUE, GREY, ORANGE, RED, light_grid, new_figure

# From nobody who knows to many.
SHARES = (BLACK, BLUE, ORANGE, RED)
JUMPS = (BLUE, BLACK)
FAR = 6


def plot_split(finding: Finding, words: Words) -> Figure:
    """Claim 0: what a purchase leaves behind, by how many takers know."""
    c = finding.curves
    figure = new_figure(6.8, 4.0)
    axes = figure.subplots()
    for colour, (share, split) in zip(SHARES, c["splits"].items(), strict=True):
        since = np.linspace(0.0, c["split_time"], len(split.skew))
        label = words.label("share_is", share=100 * share)
        axes.plot(since, split.information + split.skew, color=colour, linewidth=1.7, label=label)
        axes.axhline(split.information, color=colour, linestyle="--", linewidth=1.1)
    axes.plot([], [], color=GREY, linestyle="--", linewidth=1.1, label=words.label("true_mid"))
    axes.set(xlabel=words.label("axis_since"), ylabel=words.label("axis_moved"), xlim=(0, None), ylim=(-0.03, None))
    axes.legend(ncols=2, loc="upper right", bbox_to_anchor=(1.0, 1.02))
    light_grid(axes)
    return figure


def plot_toxic(finding: Finding, words: Words) -> Figure:
    """Claim 6: spread, skew, who earns and who pays, by the share of takers who know."""
    c = finding.curves
    figure = new_figure(9.6, 7.2)
    spread, skew, worth, payers = figure.subplots(2, 2).ravel()
    percent = 100 * np.array(c["shares"])
    for colour, (jump, points) in zip(JUMPS, c["sweep"].items(), strict=True):
        line = list(points.values())
        label = words.label("knows_of", jump=jump)
        look = {"color": colour, "marker": "o", "markersize": 3.5, "linewidth": 1.6, "label": label}
        spread.plot(percent, [p.half_spread for p in line], **look)
        skew.plot(percent, [p.skew for p in line], **look)
        passed = [line[0].half_spread + p.markouts[0] for p in line]
        spread.plot(percent, passed, color=ORANGE, linestyle=":", linewidth=2.4, zorder=3)
    spread.plot([], [], color=ORANGE, linestyle=":", linewidth=2.4, label=words.label("passed_on"))
    risky = 100 * np.array(list(c["risky"]))
    found = list(c["risky"].values())
    look = {"color": RED, "linestyle": "--", "marker": "s", "markersize": 4, "linewidth": 1.4}
    for axes, key in ((spread, "half_spread"), (skew, "skew")):
        axes.plot(risky, [f[key] for f in found], label=words.label("risky", jump=jump), **look)
    for name in ("optimum", "as", "glft"):
        worth.plot(percent, [p.worth[name] for p in line], label=words.label(name), **maker_style(name))
    _plot_payers(payers, percent, line, words)
    labels = ("axis_half_spread", "axis_skew", "axis_worth", "axis_payers")
    for axes, label in zip((spread, skew, worth, payers), labels, strict=True):
        axes.set(xlabel=words.label("axis_share"), ylabel=words.label(label), xlim=(0, percent[-1]), ylim=(0, None))
        axes.legend(fontsize=8)
        light_grid(axes)
    return figure


def _plot_payers(axes: Axes, percent: np.ndarray, line: list[Any], words: Words) -> None:
    for key, colour, style in (("trip", BLUE, "-."), ("one", BLUE, "-"), ("kept", BLACK, "-"), ("gained", RED, "--")):
        values = np.array([p.payers[key] for p in line])
        # With nobody who knows there is nothing that they gain.
        some = slice(1, None) if key == "gained" else slice(None)
        text = words.label(f"payer_{key}")
        axes.plot(percent[some], values[some], color=colour, linestyle=style, marker="o", markersize=3, label=text)


def plot_spells(finding: Finding, words: Words) -> Figure:
    """Claim 6: quotes over inventory in calm and in toxic flow."""
    c = finding.curves["spells"]
    figure = new_figure(9.6, 4.4)
    q = c["inventories"]
    shown = np.abs(q) <= FAR
    for z, axes in enumerate(figure.subplots(1, 2, sharey=True)):
        for name, (bid, ask) in c["quotes"].items():
            style = (
                {"color": GREY, "linestyle": (0, (4, 2)), "linewidth": 1.4} if name == "blind" else maker_style(name)
            )
            axes.plot(q[shown], ask[z][shown], label=words.label(name), **style)
            axes.plot(q[shown], -bid[z][shown], **style)
        shade(axes, q[shown], c["visits"][z][shown])
        axes.set_title(words.label(REGIMES[z]))
        axes.set(xlabel=words.label("axis_inventory"), xlim=(-FAR - 0.5, FAR + 0.5))
        zero_line(axes)
    figure.axes[0].set(ylabel=words.label("axis_quote"))
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
