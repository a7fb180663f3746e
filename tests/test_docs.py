"""docs/model.md: equations are numbered in order, and every number that the code cites is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODEL = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")
PACKAGES = ("mmenv", "agents", "train", "evaluate", "tests")

# "equation 7", "equations 5 to 7", "equations 12 and 13"; and the second argument of a claim in a test.
CITATION = re.compile(r"equations?\s+(\d+)(?:\s+(to|and)\s+(\d+))?(?!\.\d)", re.IGNORECASE)
CLAIM = re.compile(r"claim\(\s*f?\"[^\"]*\",\s*\"?(\d+)(?:\s*(?:to|and|,|-)\s*(\d+))?")
SECTION = re.compile(r"model\.md, section (\d+)")


def numbered() -> list[int]:
    return [int(number) for number in re.findall(r"\\tag\{(\d+)\}", MODEL)]


def sources() -> list[tuple[Path, str]]:
    files = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return [(path, path.read_text(encoding="utf-8")) for path in files if path != Path(__file__)]


def cited() -> set[tuple[str, int]]:
    found = set()
    for path, text in sources():
        flat = re.sub(r"\s+", " ", text)
        pairs = [(first, last) for first, _, last in CITATION.findall(flat)] + CLAIM.findall(flat)
        found |= {(path.name, int(number)) for pair in pairs for number in pair if number}
    return found


def test_equations_are_numbered_in_order() -> None:
    assert numbered() == list(range(1, len(numbered()) + 1))


def test_every_cited_equation_exists() -> None:
    known, citations = set(numbered()), cited()
    missing = {citation for citation in citations if citation[1] not in known}
    assert not missing, f"cited, but not in docs/model.md: {sorted(missing)}"
    assert len(citations) > 20  # the pattern still finds them


def test_every_cited_section_exists() -> None:
    sections = {int(number) for number in re.findall(r"^## (\d+)\.", MODEL, re.MULTILINE)}
    missing = {(path.name, int(n)) for path, text in sources() for n in SECTION.findall(text) if int(n) not in sections}
    assert not missing


def test_every_file_named_exists() -> None:
    for name in re.findall(r"`((?:mmenv|agents|evaluate|train)/[\w/]+\.py)`", MODEL):
        assert (ROOT / name).is_file(), name
