"""The article's page: the same findings in every language, as one HTML file each that needs nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from evaluate import folder, style
from evaluate.article.bench import RISK_AVERSION, Bench
from evaluate.article.figures import PICTURES
from evaluate.article.finding import Finding
from evaluate.article.words import LANGUAGES, Words, fill, words
from evaluate.describe import listed, versions
from evaluate.document import Block, Bullets, Heading, Paragraph, Picture, Table, to_html

# The first table holds sentences, not numbers.
SUMMARY_STYLE = (
    "main > .wide:first-of-type td { white-space: normal; text-align: left; vertical-align: top; } "
    "main > .wide:first-of-type th { text-align: left; }"
)


def setting(bench: Bench, command: str) -> dict[str, Any]:
    """The numbers that the introduction and the last section quote."""
    market = ", ".join(f"{name} {value}" for name, value in bench.market.to_dict().items())
    penalty = bench.objective.to_dict()
    kind = f"exp({penalty['rate']:g}·|q|) − 1"
    return {
        "risk_aversion": RISK_AVERSION,
        "penalty": kind if penalty["weight"] == 1 else f"{penalty['weight']:g}·({kind})",
        "first": bench.time(bench.first),
        "horizon": bench.market.horizon,
        "steps": bench.market.steps,
        "episodes": bench.episodes,
        "seed": bench.seed,
        "market": market,
        "command": command,
        "versions": listed(versions()),
    }


def summary_rows(findings: Sequence[Finding], language: Words) -> list[list[str]]:
    """The table of all claims: claim, what the model says, numbers, verdict."""
    rows = [list(language["columns"])]
    for finding in findings:
        claim = language.claim(finding)
        title = language["claim_heading"].format(number=finding.claim, title=claim["title"])
        numbers = fill(claim["numbers"], finding.values)
        rows.append([title, language.prose(claim["says"], finding), numbers, language.verdict(finding)])
    return rows


def compose(findings: Sequence[Finding], language: Words, numbers: dict[str, Any]) -> list[Block]:
    """The content of the page in one language."""
    blocks: list[Block] = [Paragraph(text.format(**numbers)) for text in language["intro"]]
    blocks += [Paragraph(language["other"]), Heading(language["summary"])]
    blocks.append(Table(summary_rows(findings, language), language["table_caption"]))
    for finding in findings:
        blocks += _claim(finding, language)
    blocks += [Heading(language["made"]), Bullets([text.format(**numbers) for text in language["how"]])]
    return blocks


def _claim(finding: Finding, language: Words) -> list[Block]:
    claim = language.claim(finding)
    blocks: list[Block] = [
        Heading(language["claim_heading"].format(number=finding.claim, title=claim["title"])),
        Paragraph(language["article_says"].format(text=claim["article"])),
        Paragraph(language["verdict_is"].format(verdict=language.verdict(finding))),
        *(_part(part, finding, language) for part in claim["model"]),
    ]
    for name in PICTURES[finding.claim]:
        blocks.append(Picture(_picture(finding, name), fill(claim["pictures"][name], finding.values)))
    for name, grid in finding.grids.items():
        rows = [[language.cell(cell) for cell in row] for row in grid]
        blocks.append(Table(rows, fill(claim["captions"][name], finding.values)))
    return blocks


def _part(part: Any, finding: Finding, language: Words) -> Block:
    """A paragraph, given as its sentences, or a list."""
    if isinstance(part, dict):
        return Bullets([language.prose([sentence], finding) for sentence in part["bullets"]])
    return Paragraph(language.prose(part, finding))


def _picture(finding: Finding, name: str) -> str:
    return f"{finding.claim}-{name}"


def draw(findings: Sequence[Finding], language: Words) -> dict[str, bytes]:
    """The SVG of all pictures by name.

    Chinese text stays text, which the reader's browser sets in a font of its own: Matplotlib's has no such glyphs.
    """
    drawn = {}
    text: Any = {} if language.language == "en" else {"svg.fonttype": "none"}
    with style.styled(), style.matplotlib.rc_context(text), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for finding in findings:
            for name, plot in PICTURES[finding.claim].items():
                drawn[_picture(finding, name)] = style.rendered(plot(finding, language), "svg")
    return drawn


def html(findings: Sequence[Finding], language: Words, numbers: dict[str, Any]) -> str:
    """The page in one language."""
    page = to_html(language["title"], compose(findings, language, numbers), draw(findings, language))
    page = page.replace('<html lang="en">', f'<html lang="{language["html_lang"]}">', 1)
    return page.replace("</style>", f"{SUMMARY_STYLE}\n</style>", 1)


def write(
    bench: Bench,
    findings: Sequence[Finding],
    out: Path,
    command: str,
    progress: Callable[[Sequence[str], str], Iterable[str]] = lambda tags, what: tags,
) -> list[Path]:
    """Write the page in every language and the numbers as JSON, all or none.

    Args:
        bench: what was tested on.
        findings: of all claims.
        out: the folder; see `folder.choose`.
        command: that makes the page.
        progress: wraps the languages as their pages are made.

    Returns:
        The pages, one for each language.
    """
    numbers = setting(bench, command)
    with folder.publish(out) as new:
        for tag in progress(LANGUAGES, "pages"):
            (new / words(tag)["file"]).write_text(html(findings, words(tag), numbers), encoding="utf-8", newline="\n")
        folder.mark(new, _about(bench, findings, command))
    return [out / words(tag)["file"] for tag in LANGUAGES]


def _about(bench: Bench, findings: Sequence[Finding], command: str) -> dict[str, Any]:
    return {
        "report": "article",
        "market": bench.market.to_dict(),
        "objective": bench.objective.to_dict(),
        "episodes": bench.episodes,
        "seed": bench.seed,
        "command": command,
        "claims": [
            {
                "claim": finding.claim,
                "verdict": finding.verdict.value,
                "facts": {name: bool(fact) for name, fact in finding.facts.items()},
                "values": {name: float(value) for name, value in finding.values.items()},
            }
            for finding in findings
        ],
    }
