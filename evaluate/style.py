"""How all pictures look: colours that the colour-blind can tell apart, quiet axes, PNG and SVG."""

from __future__ import annotations

import io
from typing import Any

from mmenv._extras import needs

with needs("report"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito's palette, which is told apart in all common forms of colour blindness.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
GREY = "#767676"
PALE = "#D9D9D9"
KIND_COLOUR = {"baseline": GREY, "agent": RED, "optimum": BLACK}
KEY_COLOUR = {
    "as": SKY,
    "glft": GREEN,
    "linear_skew": PURPLE,
    "symmetric": GREY,
    "fixed": GREY,
    "optimum": BLACK,
}
LINE = {"fixed": (0, (5, 1)), "as": "--", "glft": "-.", "linear_skew": ":", "optimum": "-"}

STYLE: Any = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "mmenv",
    "svg.fonttype": "path",
}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches; no window, no global state."""
    return Figure(figsize=(width, height), layout="constrained")


def rendered(figure: Figure, suffix: str) -> bytes:
    """A figure as the bytes of a "png" or "svg" file, the same for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, dpi=130, metadata={"Date": None} if suffix == "svg" else {"Software": None})
    return buffer.getvalue()


def styled() -> Any:
    """The context in which all figures are drawn."""
    return matplotlib.rc_context(STYLE)


def light_grid(axes: Axes, axis: str = "both") -> None:
    """A grid that stays behind the data."""
    axes.grid(True, axis=axis, color="#E6E6E6", linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
