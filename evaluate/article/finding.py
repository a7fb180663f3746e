"""What is found about a claim, in no language: numbers, facts, tables of labels and numbers, curves, a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What the model says to a claim."""

    HOLDS = "holds"
    OTHERWISE = "holds by another mechanism or with another sign"
    FAILS = "does not hold"


@dataclass(frozen=True)
class Label:
    """Words of a table: a key of the translations, and the numbers to fill in."""

    key: str
    values: dict[str, Any] = field(default_factory=dict)


Cell = Label | str
Grid = Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Finding:
    """What is found about one claim.

    Attributes:
        claim: its number, 0 to 8.
        verdict: by a rule from `facts`.
        values: the numbers that the prose quotes, by name.
        facts: what the numbers say yes or no to; prose and verdict follow from them.
        grids: tables by name; the first row is the header.
        curves: what the pictures draw, by name.
    """

    claim: int
    verdict: Verdict
    values: dict[str, float]
    facts: dict[str, bool]
    grids: Mapping[str, Grid] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict)


def labels(*keys: str) -> list[Cell]:
    """A row of labels."""
    return [Label(key) for key in keys]
