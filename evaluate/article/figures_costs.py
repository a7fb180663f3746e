"""Pictures of claims 4, 5 and 7: what trading costs, what hedging leaves and costs. They only draw what was found."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from evaluate.article.drawing import maker_style, zero_line
from evaluate.article.finding import Finding
from evaluate.article.words import Words
from evaluate.style import BLACK, BLUE, GREY, ORANGE, PURPLE, RED, light_grid, new_figure

MARKETS = {"thin": RED, "plain": BLACK, "deep": BLUE}
PAUSES = (RED, ORANGE, PURPLE, BLACK)
SIZES = (1, 5, 10, 15, 20)


def plot_asks(finding: Finding, words: Words) -> Figure:
    """Claim 4: every slice's ask against the first, and against what it would be without us."""
    c = finding.curves
    figure = new_figure(9.6, 4.6)
    numbers = np.arange(1, c["units"] + 1)
    longest = max(c["asks"]["optimum"])
    for panel, axes in enumerate(figure.subplots(1, 2, sharey=True)):
        for colour, (pause, asks) in zip(PAUSES, c["asks"]["optimum"].items(), strict=False):
            label = words.label("maker_pause", maker=words.label("optimum"), time=pause * c["dt"])
            axes.plot(numbers, asks[panel], color=colour, marker="o", markersize=3.5, linewidth=1.5, label=label)
        for name in ("as", "glft"):
            label = words.label("maker_pause", maker=words.label(name), time=longest * c["dt"])
            axes.plot(
                numbers, c["asks"][name][longest][panel], marker="s", markersize=3, label=label, **maker_style(name)
            )
        axes.plot(numbers, c["still"][panel], color=GREY, linestyle="--", linewidth=1.5, label=words.label("nobody"))
        axes.set(xlabel=words.label("axis_slice"), xticks=numbers)
        zero_line(axes)
    first, untouched = figure.axes
    first.set(ylabel=words.label("axis_ask_first"))
    untouched.set(ylabel=words.label("axis_ask_untouched"))
    untouched.tick_params(axis="y", labelleft=True)
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return figure


def plot_costs(finding: Finding, words: Words) -> Figure:
    """Claim 4: cost against the number of slices and their pauses, and against the size of the order."""
    c = finding.curves
    figure = new_figure(9.6, 4.0)
    slices, sizes = figure.subplots(1, 2)
    for colour, (pause, (numbers, costs)) in zip(PAUSES, c["slices"].items(), strict=False):
        label = words.label("pause", time=pause * c["dt"])
        slices.plot(numbers, costs, color=colour, marker="o", markersize=3.5, linewidth=1.5, label=label)
    for key, line in (("best", "--"), ("one", ":")):
        slices.axhline(c[key], color=BLUE, linestyle=line, linewidth=1.3, label=words.label(key))
    slices.set(xlabel=words.label("axis_slices"), ylabel=words.label("axis_cost"), xticks=numbers)
    looks = dict(zip(c["sizes"], (RED, BLACK, ORANGE, PURPLE, BLUE), strict=True))
    for name, (numbers, costs) in c["sizes"].items():
        line = "--" if name == "best" else "-"
        sizes.plot(numbers, costs, line, color=looks[name], linewidth=1.5, label=words.label(name))
    sizes.set(xlabel=words.label("axis_size"), ylabel=words.label("axis_cost"), xlim=(1, None), xticks=SIZES)
    for axes in (slices, sizes):
        axes.legend(fontsize=8)
        light_grid(axes)
    return figure


def plot_thin(finding: Finding, words: Words) -> Figure:
    """Claim 5: cost and recovery in a thin, a plain and a deep market."""
    figure = new_figure(9.6, 3.8)
    cost, event = figure.subplots(1, 2)
    for name, c in finding.curves.items():
        style = {"color": MARKETS[name], "linewidth": 1.6}
        for key, line, label in (("surcharge", "-", "swept"), ("even", "--", "sliced")):
            text = words.label(label, market=words.label(name))
            cost.plot(c["sizes"], c[key], line, label=text, **style)
        since = np.arange(len(c["event"])) * c["dt"]
        event.plot(since, 100 * c["event"] / c["event"][0], label=words.label(name), **style)
    cost.set(xlabel=words.label("axis_size"), ylabel=words.label("axis_beyond"), xlim=(1, None), xticks=SIZES)
    event.set(xlabel=words.label("axis_since"), ylabel=words.label("axis_left"), xlim=(0, None), ylim=(0, 100))
    for axes in (cost, event):
        axes.legend(fontsize=8)
    zero_line(cost)
    light_grid(event)
    return figure


def plot_hedge(finding: Finding, words: Words) -> Figure:
    """Claim 7: what a hedge that comes late leaves."""
    figure = new_figure(6.8, 4.0)
    axes = figure.subplots()
    for name, c in finding.curves["late"].items():
        style = {**maker_style(name), "linestyle": "-"}
        axes.plot(c["lags"], c["std"], marker="o", markersize=3.5, label=words.label(name), **style)
        axes.axhline(c["unhedged"], color=style["color"], linestyle="--", linewidth=1.1)
    axes.plot([], [], color=GREY, linestyle="--", linewidth=1.1, label=words.label("no_hedge"))
    axes.set(xlabel=words.label("axis_lag"), ylabel=words.label("axis_std"), xlim=(0, None), ylim=(0, None))
    axes.legend(ncols=2, loc="lower right")
    light_grid(axes)
    return figure


def plot_venue(finding: Finding, words: Words) -> Figure:
    """Claim 7: what the mid leaves, and what is earned, by what a hedge costs."""
    c = finding.curves["venue"]
    looks: dict[str, dict[str, str]] = {
        "hedge_never": {"color": GREY, "linestyle": "--"},
        "hedge_best": {"color": BLACK, "linestyle": "-"},
        "hedge_all": {"color": BLUE, "linestyle": "-."},
    }
    figure = new_figure(9.6, 3.8)
    for axes, key, label in zip(
        figure.subplots(1, 2), ("std_mid", "mean"), ("axis_std_mid", "axis_profit"), strict=True
    ):
        for name, look in looks.items():
            axes.plot(c["costs"], c[key][name], marker="o", markersize=3.5, label=words.label(name), **look)
        axes.set(xlabel=words.label("axis_cost_unit"), ylabel=words.label(label), xlim=(0, None), ylim=(0, None))
        light_grid(axes)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
