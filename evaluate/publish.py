"""Agents to share: a run folder without what only training needs, with its card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from agents.checkpoint import write_json
from agents.shipped import locate
from evaluate import card
from evaluate.folder import FolderError
from evaluate.folder import publish as publish_folder

COPIED = ("policy.safetensors", "progress.csv")
FILES = ("config.json", *COPIED, "README.md")


def publish(names: Sequence[str], out: str, overwrite: bool = False) -> Path:
    """Write the first run to a folder of its own, with a card on it and the other seeds of its recipe.

    Args:
        names: as `card.compose` takes them.
        out: the folder; its name becomes the agent's.
        overwrite: replace the agent that is there.

    Returns:
        The folder.

    Raises:
        RunError: a run is missing or damaged.
        FolderError: `out` exists and may not be replaced, or holds something else.
    """
    target = Path(out)
    _check(target, overwrite)
    source, title = locate(names[0]), target.resolve().name
    text, facts = card.compose(names, title)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    with publish_folder(target) as new:
        for name in COPIED:
            if (source / name).exists():
                shutil.copyfile(source / name, new / name)
        write_json(new / "config.json", config | {"name": title, "card": facts})
        (new / "README.md").write_text(text, encoding="utf-8", newline="\n")
    return target


def _check(target: Path, overwrite: bool) -> None:
    """Refuse to replace anything but an agent, and that only when asked to."""
    if not target.exists():
        return
    foreign = [path.name for path in target.iterdir() if path.name not in FILES] if target.is_dir() else [target.name]
    if foreign:
        raise FolderError(f"{str(target)!r} holds {foreign[0]!r}, which is not part of an agent: it is left alone")
    if not overwrite:
        raise FolderError(f"{str(target)!r} exists: choose another --out, or replace it with --overwrite")
