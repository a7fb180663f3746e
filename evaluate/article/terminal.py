"""A table of sentences for the terminal: cells wrap, and characters that take two columns count as two."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import zip_longest

GAP = "  "


def width_of(text: str) -> int:
    """The columns that a text takes in a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def wrapped_table(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    """Rows of cells, each wrapped to the width of its column; the first row is the header."""
    lines = []
    for number, row in enumerate(rows):
        cells = [wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
        for parts in zip_longest(*cells, fillvalue=""):
            padded = (part + " " * (width - width_of(part)) for part, width in zip(parts, widths, strict=True))
            lines.append(GAP.join(padded).rstrip())
        last = number == len(rows) - 1
        lines += [] if last else ["-" * (sum(widths) + len(GAP) * (len(widths) - 1))] if number == 0 else [""]
    return "\n".join(lines)


def wrap(text: str, width: int) -> list[str]:
    """A text in lines of at most `width` columns; broken at spaces, and beside any character that is two wide."""
    lines, line = [], ""
    for piece in _pieces(text):
        if line and width_of(line) + width_of(piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
    return [*lines, line.rstrip()]


def _pieces(text: str) -> Iterator[str]:
    """Words with the space after them, and wide characters with the punctuation after them."""
    for word in re.findall(r"\S+\s*", text):
        piece = ""
        for char in word:
            wide = width_of(char) == 2
            if piece and (wide or width_of(piece[-1]) == 2) and unicodedata.category(char)[0] not in "PZ":
                yield piece
                piece = ""
            piece += char
        yield piece
