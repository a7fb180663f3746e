"""Where reports go: a new folder each time, complete or not there at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Lists the files of a report; nothing but these is ever replaced.
MARKER = "report.json"


class FolderError(ValueError):
    """A folder that a report cannot be written to; the message is one sentence."""


def choose(out: str | None, name: str, overwrite: bool) -> Path:
    """The folder for a report: `out`, or the first of reports/NAME, NAME-2, ... that does not exist.

    Raises:
        FolderError: `out` exists and may not be replaced, or no folder can be made there.
    """
    if out is None:
        folder, number = Path("reports") / name, 2
        while folder.exists():
            folder, number = Path("reports") / f"{name}-{number}", number + 1
        return folder
    folder = Path(out)
    if folder.exists() and not _is_empty(folder):
        if not overwrite:
            raise FolderError(f"{out!r} exists: choose another --out, or replace the report there with --overwrite")
        foreign = _foreign(folder)
        if foreign:
            raise FolderError(f"{out!r} holds {foreign!r}, which is not part of a report: --overwrite leaves it alone")
    parent = next(path for path in folder.absolute().parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise FolderError(f"--out must lie in a folder that can be written to, got {out!r}")
    return folder


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _foreign(folder: Path) -> str | None:
    """Something in a folder that no report put there; None if there is nothing of the kind."""
    if not folder.is_dir():
        return folder.name
    try:
        ours = set(json.loads((folder / MARKER).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    found = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if not path.is_dir())
    return next((path for path in found if path not in ours), None)


def mark(folder: Path, about: dict[str, Any]) -> None:
    """Write the marker: what the report is, and which files belong to it."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    text = json.dumps({**about, "files": [*files, MARKER]}, indent=2)
    (folder / MARKER).write_text(text + "\n", encoding="utf-8")


@contextmanager
def publish(folder: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `folder` when all went well and vanishes otherwise.

    A report that stands there is replaced in the end, not before.

    Raises:
        OSError: the disk is full, or the folder cannot be made; what stood there still does.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    new.mkdir()
    try:
        yield new
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(new, folder)
        except OSError:
            if old.exists():
                os.replace(old, folder)
            raise
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
