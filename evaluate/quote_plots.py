"""Pictures over the grid of states: quotes, and where they lose against the optimum. They only draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluate.advantage import AdvantageMap
from evaluate.results import SELDOM
from evaluate.style import BLACK, GREY, KEY_COLOUR, LINE, PALE, RED, light_grid, new_figure
from mmenv.market import Market
from mmenv.quotes import QuoteTable

SIDES = ("bid", "ask")


def shown_inventories(market: Market, visits: np.ndarray) -> slice:
    """The inventories that are visited at some time at least once in 1/SELDOM sessions; symmetric around 0."""
    seen = np.flatnonzero(visits.max(axis=(0, 1)) > SELDOM) - market.max_inventory
    reach = min(int(np.abs(seen).max()) + 1, market.max_inventory)
    return slice(market.max_inventory - reach, market.max_inventory + reach + 1)


def plot_quotes(
    market: Market, learned: QuoteTable, optimal: QuoteTable, visits: np.ndarray, name: str, regime: int = 0
) -> Figure:
    """Heat maps of both depths over time and inventory: learned, optimal, and their difference where it matters.

    In a market with a hedge venue, the same of the units traded there.

    Args:
        market: the market.
        learned: the agent's quotes.
        optimal: the optimal quotes.
        visits: the agent's visits, shape (steps, regimes, 2Q+1).
        name: of the agent.
        regime: which regime to show.
    """
    at = shown_inventories(market, visits)
    often = visits[:, regime, at] > SELDOM
    shown = (*SIDES, "hedge") if market.hedges else SIDES
    figure = new_figure(10.8, 2.8 * len(shown))
    figure.get_layout_engine().set(wspace=0.05)  # type: ignore[union-attr, call-arg]
    grid: Any = figure.subplots(len(shown), 3, sharex=True, sharey=True)
    for row, side in zip(grid, shown, strict=True):
        ours, best = (_finite(_decision(table, side)[:, regime, at]) for table in (learned, optimal))
        seen = np.concatenate([ours[often], best[often]])
        low, high = np.nanmin(seen), np.nanmax(seen)
        for axes, depth in zip(row[:2], (ours, best), strict=True):
            mesh = _mesh(axes, market, at, depth, cmap="cividis", vmin=low, vmax=max(high, low + 1e-9))
        unit = "units" if side == "hedge" else "price"
        label = "hedge [units]" if side == "hedge" else f"{side} depth [price]"
        figure.colorbar(mesh, ax=row[:2], label=label, extend="both")
        _difference(figure, row[2], market, at, np.where(often, ours - best, np.nan), unit)
        row[0].set_ylabel(f"{side}\ninventory [units]")
    for axes, title in zip(grid[0], (name, "exact optimum", f"{name} less optimum"), strict=True):
        axes.set_title(title)
    for axes in grid[-1]:
        axes.set_xlabel("time")
    for axes in grid.flat:
        _contour(axes, market, at, visits[:, regime, at])
    return figure


def _decision(table: QuoteTable, side: str) -> np.ndarray:
    """What a table does about a side in every state, shape (steps, regimes, 2Q+1): its depth, or the units hedged."""
    if side == "hedge":
        return table.held - np.arange(table.bid_depth.shape[-1])
    return table.bid_depth if side == "bid" else table.ask_depth


def _difference(figure: Figure, axes: Axes, market: Market, at: slice, difference: np.ndarray, unit: str) -> None:
    largest = max(float(np.nanquantile(np.abs(difference), 0.995)), 1e-6)
    axes.set_facecolor(PALE)
    norm = TwoSlopeNorm(0.0, -largest, largest)
    mesh = _mesh(axes, market, at, difference, cmap="PuOr_r", norm=norm)
    figure.colorbar(mesh, ax=axes, label=f"difference [{unit}]", extend="both")


def _finite(depth: np.ndarray) -> np.ndarray:
    """Depths with NaN on the sides that are not quoted."""
    return np.where(np.isfinite(depth), depth, np.nan)


def _mesh(axes: Axes, market: Market, at: slice, values: np.ndarray, **style: Any) -> Any:
    """One cell a state; values of shape (steps, inventories), time to the right, inventory upwards."""
    q = market.inventories[at]
    times = np.arange(market.steps + 1) * market.dt
    edges = np.append(q, q[-1] + 1) - 0.5
    return axes.pcolormesh(times, edges, values.T, rasterized=True, **style)


def _contour(axes: Axes, market: Market, at: slice, visits: np.ndarray) -> None:
    """A thin line around the states in which 99 % of the time is spent."""
    ordered = np.sort(visits, axis=None)[::-1]
    level = ordered[np.searchsorted(np.cumsum(ordered), 0.99 * ordered.sum())]
    times, q = (np.arange(market.steps) + 0.5) * market.dt, market.inventories[at]
    if market.steps > 1 and visits.min() < level < visits.max():
        axes.contour(times, q, visits.T, levels=[level], colors="white", linewidths=1.6)
        axes.contour(times, q, visits.T, levels=[level], colors=BLACK, linewidths=0.8)


def plot_slices(
    market: Market,
    tables: Mapping[str, tuple[str, QuoteTable]],
    optimal: QuoteTable,
    visits: np.ndarray,
    regime: int = 0,
) -> Figure:
    """Quotes over inventory at three times: both around the mid, and how far the ask is from the optimal ask.

    Args:
        market: the market.
        tables: by label, the colour's key ("agent", or a baseline's) and the quotes.
        optimal: the optimal quotes.
        visits: the agent's visits, shape (steps, regimes, 2Q+1).
        regime: which regime to show.
    """
    times = _three_times(market)
    figure = new_figure(10.5, 6.2)
    grid: Any = figure.subplots(2, len(times), sharey="row", sharex=True, height_ratios=(1.35, 1), squeeze=False)
    at = shown_inventories(market, visits)
    q = market.inventories[at]
    far = 0.0
    for column, n in enumerate(times):
        quotes, off = grid[:, column]
        for label, (key, table) in {**tables, "exact optimum": ("optimum", optimal)}.items():
            style = _line(key)
            for sign, depth in ((-1, table.bid_depth), (1, table.ask_depth)):
                named = label if sign < 0 and column == 0 else None
                quotes.plot(q, _finite(sign * depth[n, regime, at]), label=named, **style)
            difference = _finite(table.ask_depth[n, regime, at]) - _finite(optimal.ask_depth[n, regime, at])
            off.plot(q, difference, **style)
            seen = visits[n, regime, at] > 1e-3
            if key != "as" and (seen & np.isfinite(difference)).any():
                far = max(far, float(np.nanmax(np.abs(difference[seen]))))
        quotes.set_title(f"time {n * market.dt:.3g} of {market.horizon:g}")
        off.set_xlabel("inventory [units]")
        for axes in (quotes, off):
            axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
            light_grid(axes)
            _shade(axes, q, visits[n, regime, at])
    grid[0, 0].set(ylabel="quote less mid [price]\n(ask above, bid below)")
    grid[1, 0].set(ylabel="ask less optimal ask [price]", ylim=(-1.15 * far - 1e-6, 1.15 * far + 1e-6))
    often = visits[:, regime, at] > SELDOM
    depths = [side[:, regime, at][often] for side in (optimal.bid_depth, optimal.ask_depth)]
    high = 1.25 * max(float(np.max(np.abs(side[np.isfinite(side)]), initial=1e-9)) for side in depths)
    grid[0, 0].set_ylim(-high, high)
    grid[0, 0].set_xlim(q[0] - 0.5, q[-1] + 0.5)
    grid[0, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=len(tables) + 1)
    return figure


def _three_times(market: Market) -> Sequence[int]:
    """Early, midway and shortly before the end, as far as they differ."""
    soon, last = market.steps // 20, market.steps - 1
    return sorted({soon, last // 2, last - soon})


def _line(key: str) -> dict[str, Any]:
    if key == "agent":
        return {"color": RED, "linewidth": 1.8, "marker": "o", "markersize": 3.5, "zorder": 3}
    width = 2.4 if key == "optimum" else 1.3
    order = 1 if key == "optimum" else 2
    return {"color": KEY_COLOUR.get(key, GREY), "linestyle": LINE.get(key, "--"), "linewidth": width, "zorder": order}


def _shade(axes: Axes, q: np.ndarray, visits: np.ndarray) -> None:
    """Shade the inventories by how often they are seen at that time."""
    for inventory, share in zip(q, visits / max(float(visits.max()), SELDOM), strict=True):
        axes.axvspan(inventory - 0.5, inventory + 0.5, color=PALE, alpha=0.8 * float(share), linewidth=0, zorder=-1)


def plot_advantage(market: Market, losses: AdvantageMap, name: str) -> Figure:
    """Where the gap comes from: state by state, and added up over inventory and over time.

    Args:
        market: the market.
        losses: the agent's advantage map.
        name: of the agent.
    """
    unit = "% of the gap"
    cost = 100 * losses.cost.sum(axis=1) / losses.gap
    at = shown_inventories(market, losses.visits)
    figure = new_figure(10.0, 5.4)
    grid: Any = figure.subplots(2, 2, height_ratios=(1, 2.6), width_ratios=(3.2, 1), sharex="col", sharey="row")
    over_time, corner, over_states, over_inventory = grid.flat
    corner.remove()
    times = (np.arange(market.steps) + 0.5) * market.dt
    over_time.fill_between(times, cost.sum(axis=1), step="mid", color=RED, alpha=0.75, linewidth=0)
    over_time.set(ylabel=f"per step\n[{unit}]", ylim=(0, None), title=f"{name}: cost of each state's quotes [{unit}]")
    largest = max(float(cost.max()), 1e-300)
    shown = np.where(cost[:, at] > largest * 1e-4, cost[:, at], np.nan)
    over_states.set_facecolor("#F2F2F2")
    mesh = _mesh(over_states, market, at, shown, cmap="inferno_r", norm=LogNorm(largest * 1e-4, largest))
    figure.colorbar(mesh, ax=over_inventory, label=f"cost of a state [{unit}]", pad=0.04)
    over_states.set(xlabel="time", ylabel="inventory [units]", xlim=(0, market.horizon))
    over_inventory.barh(market.inventories[at], cost.sum(axis=0)[at], color=RED, alpha=0.75, height=0.85)
    over_inventory.set(xlabel=f"per inventory\n[{unit}]")
    for axes in (over_time, over_inventory):
        light_grid(axes)
    return figure
