"""Figures in a notebook: in the style of the reports, sharp, and small enough to be committed."""

from __future__ import annotations

import io

from evaluate.style import STYLE, Figure, matplotlib, rendered

# As many as a PNG file's palette holds: a picture takes a third of the room, and every line keeps its colour.
COLOURS = 256
DISPLAYED_PER_INCH = 90


def compact_png(figure: Figure) -> tuple[bytes, dict[str, int]]:
    """A figure as a PNG file with a palette, and the size in pixels at which a notebook shows it."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(rendered(figure, "png"))) as picture:
        # This way to choose a palette misses no pixel by much; a median cut merges the colours of thin lines.
        few = picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(buffer, "png", optimize=True)
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
