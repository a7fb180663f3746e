"""Figures in a notebook: in the style of the reports, sharp, and small enough to be committed."""

from __future__ import annotations

import io

import numpy as np

from evaluate.style import STYLE, Figure, matplotlib, rendered

# A PNG file's palette holds 256 colours, which takes a third of the room. The most frequent ones, of areas and the
# cores of lines, are kept exactly; the rest are spread over the shades at edges.
EXACT_COLOURS = 32
SPREAD_COLOURS = 224
DISPLAYED_PER_INCH = 90


def compact_png(figure: Figure) -> tuple[bytes, dict[str, int]]:
    """A figure as a PNG file with a palette, and the size in pixels at which a notebook shows it."""
    from PIL import Image

    with Image.open(io.BytesIO(rendered(figure, "png"))) as picture:
        full = picture.convert("RGB")
    spread = full.quantize(SPREAD_COLOURS, Image.Quantize.MAXCOVERAGE).getpalette() or []
    pixels = np.asarray(full, dtype=np.int64) @ np.array([1 << 16, 1 << 8, 1])
    found, places, counts = np.unique(pixels, return_inverse=True, return_counts=True)
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1)
    palette = np.concatenate([colours[np.argsort(-counts)[:EXACT_COLOURS]], np.reshape(spread, (-1, 3))])
    nearest = np.argmin(np.sum((colours[:, None] - palette) ** 2, axis=2), axis=1)
    small = Image.fromarray(nearest[places].reshape(pixels.shape).astype(np.uint8))
    small.putpalette(palette.astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    small.save(buffer, "png", optimize=True)
    width, height = (round(DISPLAYED_PER_INCH * side) for side in figure.get_size_inches())
    return buffer.getvalue(), {"width": width, "height": height}


def use_style() -> None:
    """Show every figure of the running notebook in the style of the reports.

    Raises:
        RuntimeError: there is no notebook running.
    """
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise RuntimeError("use_style is for notebooks: there is none running")
    matplotlib.rcParams.update(STYLE)
    shell.display_formatter.formatters["image/png"].for_type(Figure, compact_png)
