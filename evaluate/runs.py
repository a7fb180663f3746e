"""Run folders as the report sees them: the policy, how it was trained, and the seeds that belong together."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from agents import RunError
from agents.shipped import locate
from evaluate.ladder import Entrant
from mmenv.problem import Problem

# Settings that change where or how a run is watched, but not what kind of agent comes out.
INCIDENTAL = ("seed", "log_folder", "tensorboard_log", "eval_freq", "threads")


@dataclass(frozen=True)
class Progress:
    """The exact gap while a run trained; arrays of shape (rows,).

    Attributes:
        transitions: transitions seen.
        seconds: time taken.
        gap_percent: exact gap [percent of the optimum]; NaN where the optimum is not positive.
        gap: exact gap [price]; NaN where it was not recorded.
    """

    transitions: np.ndarray
    seconds: np.ndarray
    gap_percent: np.ndarray
    gap: np.ndarray


@dataclass(frozen=True)
class Run:
    """A trained agent.

    Attributes:
        folder: where it was read from.
        policy: what `agents.load` returned.
        progress: its learning curve, or None where there is none.
        label: what tables call it; differs between runs.
        group: what it shares with the other seeds of its recipe.
    """

    folder: Path
    policy: Any = field(repr=False)
    progress: Progress | None = field(repr=False)
    label: str = ""
    group: str = ""

    @property
    def problem(self) -> Problem:
        """What it was trained on."""
        return self.policy.problem

    @property
    def seed(self) -> Any:
        """The seed it was trained with, if it is known."""
        return self.policy.config.get("seed")

    @property
    def entrant(self) -> Entrant:
        """The agent as it stands on the ladder."""
        return Entrant(self.label, "agent", self.policy, self.group)


def load_runs(names: Sequence[str]) -> list[Run]:
    """Load trained agents, and label them so that seeds of one recipe belong together.

    Args:
        names: run folders, or names that `agents.load` knows; at least one.

    Raises:
        RunError: a run is missing, damaged, given twice, or trained in another market or for another objective.
    """
    runs: list[Run] = []
    for name in names:
        folder = locate(name)
        if any(folder.resolve() == locate(run.folder).resolve() for run in runs):
            raise RunError(f"the run {name!r} is given twice")
        runs.append(Run(Path(name), _load(name), read_progress(folder)))
    _check_same_problem(runs)
    return _labelled(runs)


def _load(name: str) -> Any:
    from agents import load

    try:
        return load(name)
    except RunError as error:
        folder = Path(name)
        if folder.is_dir() and not (folder / "config.json").exists():
            inside = sorted(path.parent.name for path in folder.glob("*/config.json"))
            if inside:
                raise RunError(f"{name!r} is no run folder, but holds {_listed(inside)}: name one of them") from None
        if not folder.exists():
            siblings = [path.parent.name for path in folder.parent.glob("*/config.json")]
            close = get_close_matches(folder.name, siblings, n=1, cutoff=0.4)
            hint = (
                f" (did you mean {str(folder.parent / close[0])!r}?)" if close and "did you" not in str(error) else ""
            )
            raise RunError(f"{error}{hint}") from None
        raise


def _listed(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _check_same_problem(runs: Sequence[Run]) -> None:
    first = runs[0].problem
    for run in runs[1:]:
        if (run.problem.market, run.problem.objective) != (first.market, first.objective):
            ours, theirs = ({**p.market.to_dict(), "objective": p.objective.to_dict()} for p in (first, run.problem))
            name = next(key for key in ours if ours[key] != theirs[key])
            raise RunError(
                f"runs must share market and objective to be compared: {name} is {ours[name]} in {runs[0].folder} "
                f"but {theirs[name]} in {run.folder}"
            )


def read_progress(folder: Path) -> Progress | None:
    """The learning curve of a run folder; None where there is none or it cannot be read."""
    try:
        with open(folder / "progress.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        table = np.array([[float(row.get(name) or math.nan) for name in Progress.__dataclass_fields__] for row in rows])
    except (OSError, ValueError, csv.Error):
        return None
    # A row that is being written may lack its end.
    table = table[np.isfinite(table[:, :2]).all(axis=1)] if rows else np.empty((0, 4))
    return Progress(*table.T) if len(table) else None


def recipe(run: Run) -> dict[str, Any]:
    """How a run was trained, its seed and incidental settings left out."""
    config = run.policy.config
    settings = {key: value for key, value in config.get("training", {}).items() if key not in INCIDENTAL}
    return {"algorithm": config.get("algorithm"), "reward": run.problem.reward, **settings}


def differences(recipes: Sequence[dict[str, Any]]) -> list[str]:
    """The settings in which recipes differ, in the order of the first."""
    names = dict.fromkeys(name for values in recipes for name in values)
    return [name for name in names if len({json.dumps(values.get(name), sort_keys=True) for values in recipes}) > 1]


def _labelled(runs: Sequence[Run]) -> list[Run]:
    recipes = [recipe(run) for run in runs]
    differing = differences(recipes)[:2]
    labelled: list[Run] = []
    for run, values in zip(runs, recipes, strict=True):
        group = str(values["algorithm"] or run.policy.name)
        if differing:
            group += " (" + ", ".join(f"{name} {values.get(name)}" for name in differing) + ")"
        label = group if run.seed is None else f"{group}, seed {run.seed}"
        if label in [other.label for other in labelled]:
            label = f"{label}, {run.policy.name}"
        if label in [other.label for other in labelled]:
            label = f"{label}, {run.folder}"
        labelled.append(Run(run.folder, run.policy, run.progress, label, group))
    return labelled


def newest_run(folder: Path) -> Path:
    """The run folder below `folder` that was started last.

    Raises:
        RunError: there is none.
    """
    configs = list(folder.glob("*/config.json"))
    if not configs:
        raise RunError(f"there is no run folder below {str(folder)!r}: train an agent first with python -m train")
    return max(configs, key=lambda path: path.stat().st_mtime_ns).parent
