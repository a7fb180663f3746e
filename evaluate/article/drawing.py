"""What the pictures of the article's page have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from evaluate.style import BLACK, KEY_COLOUR, LINE, ORANGE, PALE, light_grid

# Inventories that pictures show, to each side.
SHOWN = 12


def maker_style(name: str) -> dict[str, Any]:
    """How a maker's line looks in all pictures."""
    return {"color": KEY_COLOUR.get(name, ORANGE), "linestyle": LINE.get(name, ":"), "linewidth": 1.7}


def zero_line(axes: Axes, label: str | None = None) -> None:
    """A grid, and a line where there is nothing."""
    axes.axhline(0, color=BLACK, linewidth=0.7, zorder=1, label=label)
    light_grid(axes)


def shade(axes: Axes, q: np.ndarray, visits: np.ndarray) -> None:
    """Shade inventories by how often they are held."""
    for inventory, share in zip(q, visits / visits.max(), strict=True):
        axes.axvspan(inventory - 0.5, inventory + 0.5, color=PALE, alpha=0.8 * float(share), linewidth=0, zorder=-1)
