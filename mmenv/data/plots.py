"""Pictures of a calibration. They only draw: every number comes from the calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmenv._extras import needs
from mmenv.data.calibration import Calibration
from mmenv.data.goodness import empirical

with needs("data"):
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

# Readable for the colour-blind (Okabe and Ito).
DATA, BLUE, ORANGE, GREEN = "#333333", "#0072B2", "#D55E00", "#009E73"
SHAPES = {"exponential": (BLUE, "-"), "power law": (ORANGE, "--"), "table": (GREEN, ":")}


def draw_all(calibration: Calibration, folder: Path) -> list[str]:
    """Draw every picture into a folder; returns the names of the files."""
    pictures = {
        "fill-curve.png": fill_curve(calibration),
        "volatility.png": volatility(calibration),
        "flow.png": order_flow(calibration),
    }
    for name, figure in pictures.items():
        figure.savefig(folder / name, dpi=130)
    return list(pictures)


def fill_curve(calibration: Calibration) -> Figure:
    """How often a quote fills in a step, by depth: recorded, and as each fitted shape has it; both sides, log scale."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, name in zip(axes, ("bid", "ask"), strict=True):
        side = calibration.sides[name]
        data = side.fits["exponential"].data
        depth, frequency = empirical(data)
        axis.plot(depth, frequency, color=DATA, lw=2, label="recorded")
        smooth = np.linspace(data.floor, float(depth[frequency > 0][-1]), 400)
        for shape, fitted in side.fits.items():
            colour, line = SHAPES[shape]
            axis.plot(smooth, fitted.survival(smooth), line, color=colour, label=f"{shape} (AIC {fitted.aic:,.0f})")
        axis.set_yscale("log")
        axis.set_ylim(0.5 / sum(data.steps), 1.3)
        axis.set_title(
            f"{name}: k = {side.depth_decay.value:.3g}, misses by up to {side.goodness.miss:.2f}", fontsize=10
        )
        axis.set_xlabel("depth beyond the mid [price]")
        axis.legend(fontsize=8, frameon=False)
        _plain(axis)
    axes[0].set_ylabel(f"chance of a fill in {calibration.steps.dt:g} s")
    return figure


def volatility(calibration: Calibration) -> Figure:
    """Signature plot: volatility by lag, with both intervals, the chosen lag marked."""
    found = calibration.signature
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    value = np.array([estimate.value for estimate in found.volatility])
    for low, high, width, alpha in (("robust_low", "robust_high", 5, 0.3), ("low", "high", 2, 1.0)):
        ends = [[getattr(estimate, name) for estimate in found.volatility] for name in (low, high)]
        axis.vlines(found.lag, ends[0], ends[1], color=BLUE, lw=width, alpha=alpha)
    axis.plot(found.lag, value, "o-", color=BLUE, ms=5, lw=1)
    axis.plot(found.lag[found.chosen], value[found.chosen], "o", ms=12, mfc="none", color=ORANGE, label="used")
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("lag [s]")
    axis.set_ylabel("volatility of the mid [price / sqrt(s)]")
    axis.set_title("thin: 95 % if moves are independent; broad: if they cluster", fontsize=10)
    axis.legend(frameon=False, loc="lower right")
    _plain(axis)
    return figure


def order_flow(calibration: Calibration) -> Figure:
    """Markouts, and how orders and their sides cluster."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    horizon = range(len(calibration.markouts))
    kinds = {"all orders": (calibration.markouts, BLUE), "beyond the floor": (calibration.deep_markouts, GREEN)}
    for label, (markouts, colour) in kinds.items():
        mean = [markout.mean for markout in markouts]
        ends = [m.robust_low for m in mean], [m.robust_high for m in mean]
        left.vlines(range(len(mean)), ends[0], ends[1], color=colour, lw=5, alpha=0.3)
        left.plot(range(len(mean)), [m.value for m in mean], "o-", color=colour, label=label)
    margin = 1 / calibration.sides["both"].depth_decay.value
    left.axhline(margin, color=ORANGE, ls="--", label="1/k, the margin of the model")
    left.set_xticks(list(horizon), [f"{markout.horizon:g}" for markout in calibration.markouts])
    low, high = left.get_ylim()
    left.set_ylim(min(0.0, low), high + 0.35 * (high - low))  # room for the legend
    left.set(xlabel="seconds after a market order", ylabel="move of the mid its way [price]", title="markouts")
    left.legend(frameon=False, fontsize=8, loc="upper left")
    fano = calibration.clustering.fano
    middle.plot([window for window, _ in fano], [value for _, value in fano], "o-", color=BLUE, label="recorded")
    middle.axhline(1, color=ORANGE, ls="--", label="Poisson")
    middle.set(
        xscale="log",
        yscale="log",
        xlabel="window [s]",
        ylabel="variance / mean of the orders in it",
        title="Fano factor",
    )
    middle.legend(frameon=False, fontsize=8)
    sign = calibration.clustering.sign
    right.plot([lag for lag, _ in sign], [value for _, value in sign], "o-", color=BLUE)
    right.axhspan(
        -calibration.clustering.sign_bound, calibration.clustering.sign_bound, color=DATA, alpha=0.15, label="noise"
    )
    right.set(xscale="log", xlabel="lag [orders]", ylabel="autocorrelation of the side", title="runs of one side")
    right.legend(frameon=False, fontsize=8)
    for axis in (left, middle, right):
        _plain(axis)
    return figure


def _plain(axis: Any) -> None:
    for side in (axis.xaxis, axis.yaxis):
        if side.get_scale() == "log":
            side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
