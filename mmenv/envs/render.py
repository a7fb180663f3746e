"""Pictures of a session in progress, as text or as an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mmenv._extras import needs
from mmenv.problem import Problem


def ansi(problem: Problem, history: list[dict[str, Any]]) -> str:
    """The last step in one line."""
    now = history[-1]
    state = (
        f"t {now['time']:6.3f}  mid {now['mid']:9.3f}  inventory {now['inventory']:+4d}  wealth {now['wealth']:+9.3f}"
    )
    if "bid_depth" not in now:
        return state
    marks = {"bid": "*" if now["bid_fill"] else " ", "ask": "*" if now["ask_fill"] else " "}
    return f"{state}  bid {now['bid_depth']:+7.3f}{marks['bid']}  ask {now['ask_depth']:+7.3f}{marks['ask']}"


def rgb_array(problem: Problem, history: list[dict[str, Any]]) -> np.ndarray:
    """Price with both quotes, inventory and profit so far; uint8, shape (480, 720, 3).

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    with needs("report"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    market = problem.market
    time, mid, inventory, wealth = (
        np.array([info[key] for info in history]) for key in ("time", "mid", "inventory", "wealth")
    )
    figure = Figure(figsize=(7.2, 4.8), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    price, held, profit = figure.subplots(3, 1, sharex=True, height_ratios=(2, 1, 1))
    price.plot(time, mid, color="black", linewidth=1)
    if len(history) > 1:
        _quotes(price, history, mid[:-1], time[:-1])
    held.step(time, inventory, where="post", color="black", linewidth=1)
    profit.plot(time, wealth, color="black", linewidth=1)
    price.set(ylabel="price", xlim=(0, market.horizon))
    held.set(ylabel="inventory")
    profit.set(ylabel="profit", xlabel="time")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _quotes(axes: Any, history: list[dict[str, Any]], mid: np.ndarray, time: np.ndarray) -> None:
    """Both quotes around the mid at which they stood, with a mark at every fill."""
    for side, sign, colour in (("bid", -1, "#0072B2"), ("ask", 1, "#D55E00")):
        quote = mid + sign * np.array([info[f"{side}_depth"] for info in history[1:]])
        filled = np.array([info[f"{side}_fill"] for info in history[1:]])
        axes.step(time, quote, where="post", color=colour, linewidth=0.8, label=side)
        axes.plot(time[filled], quote[filled], "v" if side == "ask" else "^", color=colour, markersize=4)
    axes.legend(loc="upper left", ncols=2, frameon=False, fontsize=8)


RENDERERS: dict[str, Callable[[Problem, list[dict[str, Any]]], Any]] = {"ansi": ansi, "rgb_array": rgb_array}
