"""The trained agents that come with the package: run folders without what only training needs.

Each folder below `pretrained/` is called by the id that its agent was trained for, and holds `config.json`,
`policy.safetensors`, `progress.csv` and its card, `README.md`.
"""

from __future__ import annotations

import os
from pathlib import Path

from mmenv._validate import hint
from mmenv.envs.registration import IDS

FOLDER = Path(__file__).parent / "pretrained"


def shipped() -> list[str]:
    """The names of all shipped agents, "AvellanedaStoikov-v0" and so on, in the order of the registered ids."""
    names = (name.removeprefix("mmenv/") for name in IDS)
    return [name for name in names if (FOLDER / name / "config.json").is_file()]


def locate(run: str | os.PathLike[str]) -> Path:
    """The run folder that is meant by a path, or by the name of a shipped agent; a folder that is there comes first."""
    folder = Path(run)
    name = folder.as_posix().removeprefix("mmenv/")
    return FOLDER / name if name in shipped() and not folder.is_dir() else folder


def suggestion(run: str | os.PathLike[str]) -> str:
    """What to say after "there is no run folder ..." to someone who may have meant a shipped agent."""
    name = Path(run).as_posix().removeprefix("mmenv/")
    if "/" in name:
        return ""
    return hint(name, shipped()) or f", and no agent of that name is shipped: there are {', '.join(shipped())}"
