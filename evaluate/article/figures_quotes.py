"""Pictures of claims 0 to 3 and 8: quotes and how they move. They only draw what was found, in a language."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluate.article.drawing import SHOWN, maker_style, shade, zero_line
from evaluate.article.finding import Finding
from evaluate.article.words import Words
from evaluate.style import BLACK, BLUE, GREEN, GREY, ORANGE, RED, light_grid, new_figure

SETTINGS = {"linear": BLACK, "poisson": RED, "small": BLUE, "continuous": GREEN}
OBJECTIVES = {"exponential": (BLACK, "-"), "cara": (RED, "--"), "quadratic": (BLUE, "-."), "neutral": (GREY, ":")}


def plot_event(finding: Finding, words: Words) -> Figure:
    """Claim 0: what is left of the jump, and the cost of a round trip."""
    c = finding.curves
    figure = new_figure(9.6, 3.7)
    left, trip = figure.subplots(1, 2)
    for name, event in c["events"].items():
        since = np.arange(len(event)) * c["dt"]
        label = words.label("with_jump", maker=words.label(name), jump=event[0])
        left.plot(since, 100 * event / event[0], label=label, **maker_style(name))
        trip.plot(c["holding"], c["trips"][name], **maker_style(name))
    left.set(xlabel=words.label("axis_since"), ylabel=words.label("axis_left"), xlim=(0, None))
    trip.set(xlabel=words.label("axis_held"), ylabel=words.label("axis_trip"), xlim=(0, None), ylim=(0, None))
    zero_line(left, words.label("true_mid"))
    left.legend()
    light_grid(trip)
    return figure


def plot_skew(finding: Finding, words: Words) -> Figure:
    """Claim 1: both quotes over inventory."""
    c = finding.curves
    figure = new_figure(6.4, 4.2)
    axes = figure.subplots()
    q = c["inventories"]
    shown = np.abs(q) <= SHOWN
    for name, (bid, ask) in c["quotes"].items():
        axes.plot(q[shown], ask[shown], label=words.label(name), **maker_style(name))
        axes.plot(q[shown], -bid[shown], **maker_style(name))
    shade(axes, q[shown], c["visits"][shown])
    axes.set(xlabel=words.label("axis_inventory"), ylabel=words.label("axis_quote"), xlim=(-SHOWN - 0.5, SHOWN + 0.5))
    axes.legend()
    zero_line(axes)
    return figure


def plot_sign(finding: Finding, words: Words) -> Figure:
    """Claim 2: quotes of both signs, and where inventory goes."""
    c = finding.curves
    looks = {"raised": (BLACK, "-"), "unmoved": (GREY, ":"), "lowered": (RED, "--")}
    figure = new_figure(9.6, 3.9)
    quotes, path = figure.subplots(1, 2)
    q = c["inventories"]
    shown = np.abs(q) <= SHOWN
    for name, (bid, ask) in c["quotes"].items():
        colour, line = looks[name]
        for side in (ask, -bid):
            quotes.plot(q[shown], side[shown], color=colour, linestyle=line, linewidth=1.7)
    for name, inventory in c["inventory"].items():
        colour, line = looks[name]
        since = np.arange(len(inventory)) * c["dt"]
        path.plot(since, inventory, color=colour, linestyle=line, linewidth=1.7, label=words.label(name))
    quotes.set(xlabel=words.label("axis_inventory"), ylabel=words.label("axis_quote"), xlim=(-SHOWN, SHOWN))
    path.set(xlabel=words.label("axis_since"), ylabel=words.label("axis_expected_inventory"), xlim=(0, None))
    figure.legend(loc="outside lower center", ncols=3)
    zero_line(quotes)
    zero_line(path)
    return figure


def plot_widening(finding: Finding, words: Words) -> Figure:
    """Claim 3: how the spread grows, and what each family of quotes gains."""
    c = finding.curves
    figure = new_figure(9.6, 3.9)
    spread, gain = figure.subplots(1, 2)
    for where, by_inventory in c["spreads"].items():
        q = np.array([key for key in by_inventory if key <= SHOWN])
        wider = np.array([by_inventory[int(i)] for i in q]) - by_inventory[0]
        colour = SETTINGS[where]
        line = "--" if where == "continuous" else "-"
        spread.plot(q, wider, line, color=colour, marker="o", markersize=3, linewidth=1.5, label=words.label(where))
    spread.set(xlabel=words.label("axis_inventory"), ylabel=words.label("axis_spread"))
    spread.xaxis.set_major_locator(MaxNLocator(integer=True))
    spread.legend()
    zero_line(spread)
    bars = list(c["ablations"].items())
    for y, (_, ablation) in enumerate(reversed(bars)):
        for shift, family, colour in ((0.2, "skew", BLACK), (-0.2, "widening", ORANGE)):
            share = 100 * ablation.share(family)
            inside = share > 80
            gain.barh(y + shift, share, height=0.36, color=colour, label=words.label(family) if y == 0 else None)
            place = {"ha": "right", "color": "white"} if inside else {"ha": "left", "color": BLACK}
            gain.annotate(
                f"{share:.3f}" if inside else f"{share:.1f}",
                (share, y + shift),
                (-4 if inside else 4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
                **place,
            )
    names = [f"{words.label(f'penalty_{penalty}')}\n{words.label(where)}" for (where, penalty), _ in reversed(bars)]
    gain.set(xlabel=words.label("axis_gain"), yticks=range(len(bars)), yticklabels=names, xlim=(0, 100))
    gain.tick_params(axis="y", length=0, labelsize=8)
    handles, labels = gain.get_legend_handles_labels()
    gain.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    light_grid(gain, "x")
    return figure


def plot_punished(finding: Finding, words: Words) -> Figure:
    """Claim 8: how far four objectives skew."""
    c = finding.curves
    figure = new_figure(6.8, 4.2)
    axes = figure.subplots()
    q = c["inventories"]
    shown = np.abs(q) <= SHOWN + 4
    for name, midpoint in c["midpoints"].items():
        colour, line = OBJECTIVES[name]
        label = words.label(f"objective_{name}")
        axes.plot(q[shown], midpoint[shown], color=colour, linestyle=line, linewidth=1.8, label=label)
    shade(axes, q[shown], c["visits"][shown])
    axes.set(xlabel=words.label("axis_inventory"), ylabel=words.label("axis_centre"), xlim=(q[shown][0], q[shown][-1]))
    axes.legend()
    zero_line(axes)
    return figure
