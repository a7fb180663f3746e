"""The words of the article's page, by language: prose and labels as data, to be filled with the numbers found."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from evaluate.article.finding import Cell, Finding, Label

LANGUAGES = ("en", "zh-TW")

Sentence = str | Mapping[str, str]


@dataclass(frozen=True)
class Words:
    """One language.

    Attributes:
        language: its tag.
        data: what its file holds; the same keys in every language.
    """

    language: str
    data: dict[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def label(self, key: str, **values: Any) -> str:
        """A label of tables and pictures, filled in."""
        return fill(self.data["labels"][key], values)

    def cell(self, cell: Cell) -> str:
        """A cell of a table."""
        return self.label(cell.key, **cell.values) if isinstance(cell, Label) else minus(cell)

    def prose(self, sentences: Sequence[Sentence], finding: Finding) -> str:
        """Sentences filled with what was found; where there is a choice, the one that the facts ask for."""
        chosen = (s if isinstance(s, str) else s["yes" if finding.facts[s["fact"]] else "no"] for s in sentences)
        return fill(self.data["joiner"].join(chosen), finding.values)

    def claim(self, finding: Finding) -> dict[str, Any]:
        """The words of a claim."""
        return self.data["claims"][finding.claim]

    def verdict(self, finding: Finding) -> str:
        """The verdict in this language."""
        return self.data["verdicts"][finding.verdict.value]


def fill(text: str, values: Mapping[str, Any]) -> str:
    """A text with its numbers filled in, negative ones with a true minus sign."""
    return minus(text.format(**values))


def minus(text: str) -> str:
    """The text with true minus signs before negative numbers, and none before zeros."""
    text = re.sub(r"(?<![\w-])-(?=0(\.0*)?(?![\d.]))", "", text)
    return re.sub(r"(?<![\w-])-(?=\d)", "−", text)


@lru_cache
def words(language: str) -> Words:
    """The words of a language among LANGUAGES."""
    text = resources.files("evaluate.article").joinpath(f"{language}.toml").read_text(encoding="utf-8")
    return Words(language, tomllib.loads(text))
