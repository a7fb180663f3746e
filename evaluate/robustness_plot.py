"""Heat maps of what policies lose in markets they were not made for. They only draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from evaluate.robustness import Losses
from evaluate.style import new_figure

LEAST, MOST = 0.01, 100.0  # percent


def plot_losses(results: Sequence[Losses]) -> Figure:
    """One map per parameter and policy: made for a factor (upwards), graded at a factor (to the right)."""
    policies = list(results[0].losses)
    figure = new_figure(2.15 * len(policies) + 1.0, 2.0 * len(results) + 0.6)
    grid: Any = figure.subplots(len(results), len(policies), squeeze=False)
    norm = LogNorm(LEAST, MOST)
    for row, result in zip(grid, results, strict=True):
        names = [f"{factor:g}" for factor in result.factors]
        for axes, policy in zip(row, policies, strict=True):
            share = result.percent(policy)
            mesh = axes.imshow(np.clip(share, LEAST, MOST), norm=norm, cmap="magma_r", origin="lower")
            for (y, x), value in np.ndenumerate(share):
                if np.isfinite(value):
                    colour = "white" if value > 3 else "black"
                    axes.text(x, y, _percent(value), ha="center", va="center", fontsize=6.5, color=colour)
            axes.set_xticks(range(len(names)), names)
            axes.set_yticks(range(len(names)), names if policy == policies[0] else [])
        row[0].set_ylabel(f"made for {result.parameter} x")
        row[len(policies) // 2].set_xlabel(f"graded at {result.parameter} x")
    for axes, policy in zip(grid[0], policies, strict=True):
        axes.set_title(policy, fontsize=8.5)
    figure.colorbar(mesh, ax=grid, label="loss [% of the optimum there]", extend="both", shrink=0.8)
    return figure


def _percent(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{max(value, 0.0):.2f}"
