"""Pictures of the registered markets: quotes by regime, and the band in which nothing is hedged. They only draw."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluate.markets import field_of, mid_session
from evaluate.quote_plots import shown_inventories
from evaluate.style import BLACK, BLUE, GREY, KEY_COLOUR, LINE, PALE, light_grid, new_figure
from mmenv.grading import grade, reference_solution
from mmenv.problem import Problem
from mmenv.solver import state_visits


def plot_regimes(problem: Problem) -> Figure:
    """Both quotes over inventory half-way through the session: a panel for each regime, a line for each policy."""
    market = problem.market
    best = reference_solution(market, problem.objective).quotes
    visits = state_visits(market, best)[:-1]
    at = shown_inventories(market, visits)
    q = market.inventories[at]
    figure = new_figure(2.6 * market.regimes + 2.4, 4.0)
    panels: Any = figure.subplots(1, market.regimes, sharey=True, squeeze=False)[0]
    for one in field_of(problem).values():
        bid, ask = mid_session(market, grade(problem, one.policy).quotes)
        for z, axes in enumerate(panels):
            style = {"color": KEY_COLOUR.get(one.key, BLACK), "linestyle": LINE.get(one.key, "-"), "linewidth": 1.6}
            for sign, depth in ((-1, bid[z, at]), (1, ask[z, at])):
                shown = np.where(np.isfinite(depth), sign * depth, np.nan)
                axes.plot(q, shown, label=one.label if sign < 0 and z == 0 else None, **style)
    for z, axes in enumerate(panels):
        axes.axhline(0, color=GREY, linewidth=0.7, zorder=0)
        axes.set_xlabel("inventory [units]")
        if market.regimes > 1:
            axes.set_title(f"regime {z}")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        light_grid(axes)
        now = visits[market.steps // 2, z, at]
        for inventory, share in zip(q, now / max(float(now.max()), 1e-300), strict=True):
            axes.axvspan(inventory - 0.5, inventory + 0.5, color=PALE, alpha=0.8 * float(share), linewidth=0, zorder=-1)
    panels[0].set_ylabel("quote less mid [price]\n(ask above, bid below)")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def plot_band(problem: Problem) -> Figure:
    """Hedges of the optimum: where inventory is led to half-way, and the band over time in which nothing is done."""
    market = problem.market
    quotes = reference_solution(market, problem.objective).quotes
    held, q = market.inventories[quotes.held[:, 0]], market.inventories
    figure = new_figure(9.0, 3.6)
    reached, band = figure.subplots(1, 2)
    reached.step(q, q, where="mid", color=GREY, linewidth=0.8, label="nothing hedged")
    reached.step(q, held[market.steps // 2], where="mid", color=BLACK, linewidth=1.7, label="exact optimum")
    reached.set(xlabel="inventory before [units]", ylabel="inventory after the hedge [units]")
    reached.legend()
    still = held == q
    low, high = (np.array([pick(q[row]) for row in still]) for pick in (np.min, np.max))
    time = np.arange(market.steps) * market.dt
    band.fill_between(time, low - 0.5, high + 0.5, step="post", color=BLUE, alpha=0.25, linewidth=0)
    band.set(xlabel="time", ylabel="inventories that are kept [units]", ylim=(q[0] - 0.5, q[-1] + 0.5))
    reached.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (reached, band):
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        light_grid(axes)
    return figure
