"""A report as blocks of content, and their two forms: Markdown, and one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

from evaluate.text import markdown_table


@dataclass(frozen=True)
class Heading:
    """A section starts; level 2 or 3."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Prose; **bold** and `code` are understood."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of short prose."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows of cells, the first of which is the header.

    Attributes:
        rows: the cells.
        caption: what they show.
        highlight: first cells of the rows to set off.
    """

    rows: Sequence[Sequence[str]]
    caption: str
    highlight: Sequence[str] = ()


@dataclass(frozen=True)
class Picture:
    """A figure, by name.

    Attributes:
        name: of its files, without a suffix.
        caption: what it shows and how to read it.
    """

    name: str
    caption: str


Block = Heading | Paragraph | Bullets | Table | Picture


def to_markdown(title: str, blocks: Sequence[Block], pictures: Mapping[str, str]) -> str:
    """The blocks as Markdown.

    Args:
        title: of the document.
        blocks: its content.
        pictures: for each picture's name the path to link to; others are left out.
    """
    parts = [f"# {title}"]
    for block in blocks:
        match block:
            case Heading(text, level):
                parts.append(f"{'#' * level} {text}")
            case Paragraph(text):
                parts.append(text)
            case Bullets(items):
                parts.append("\n".join(f"- {item}" for item in items))
            case Table(rows, caption):
                parts.append(f"{markdown_table([list(row) for row in rows])}\n\n*{caption}*")
            case Picture(name, caption) if name in pictures:
                parts.append(f"![{name}]({pictures[name]})\n\n*{caption}*")
    return "\n\n".join(parts) + "\n"


def to_html(title: str, blocks: Sequence[Block], pictures: Mapping[str, bytes]) -> str:
    """The blocks as one HTML page with its pictures inside.

    Args:
        title: of the page.
        blocks: its content.
        pictures: the SVG of each picture by name; others are left out.
    """
    body, contents = [], []
    for number, block in enumerate(blocks):
        match block:
            case Heading(text, level):
                body.append(f'<h{level} id="s{number}">{_inline(text)}</h{level}>')
                if level == 2:
                    contents.append(f'<a href="#s{number}">{_inline(text)}</a>')
            case Paragraph(text):
                body.append(f"<p>{_inline(text)}</p>")
            case Bullets(items):
                body.append("<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>")
            case Table():
                body.append(_html_table(block))
            case Picture(name, caption) if name in pictures:
                source = base64.b64encode(pictures[name]).decode("ascii")
                body.append(
                    f'<figure><img alt="{html.escape(caption)}" src="data:image/svg+xml;base64,{source}">'
                    f"<figcaption>{_inline(caption)}</figcaption></figure>"
                )
    return template("report.html").substitute(
        title=html.escape(title), contents="\n".join(contents), body="\n".join(body)
    )


def template(name: str) -> Template:
    """A page template of this package, with $names to fill in."""
    return Template(resources.files("evaluate").joinpath("templates", name).read_text(encoding="utf-8"))


def _html_table(table: Table) -> str:
    head, *rows = table.rows
    cells = "".join(f"<th>{_inline(cell)}</th>" for cell in head)
    lines = [f"<thead><tr>{cells}</tr></thead><tbody>"]
    for row in rows:
        mark = ' class="set-off"' if row[0] in table.highlight else ""
        lines.append(f"<tr{mark}>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>")
    return f'<div class="wide"><table><caption>{_inline(table.caption)}</caption>{"".join(lines)}</tbody></table></div>'


def _inline(text: str) -> str:
    escaped = html.escape(text)
    escaped = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escaped)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", escaped)
