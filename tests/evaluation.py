"""Run folders and agents that the tests of `evaluate` share."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agents import RunError
from mmenv import Market, Problem, QuoteTable, solve

MARKET = Market(steps=20, max_inventory=3, arrival_rate=30)
PROBLEM = Problem(MARKET, reward="expected")


@dataclass
class FakeAgent:
    """What `agents.load` promises: the optimal quotes with an error that the seed decides."""

    name: str
    problem: Problem
    config: dict[str, Any] = field(default_factory=dict)

    def tabulate(self, market: Market) -> QuoteTable:
        rng = np.random.default_rng(self.config["seed"])
        optimal = solve(market, self.problem.objective).quotes
        error = 0.05 + 0.05 * rng.random(market.grid_shape)
        return QuoteTable(optimal.bid_depth + error, optimal.ask_depth + error)


def make_run(folder: Path, seed: int = 0, problem: Problem = PROBLEM, **training: Any) -> Path:
    """A folder that `fake_load` reads, with a learning curve."""
    folder.mkdir(parents=True)
    config = {
        "name": folder.name,
        "problem": problem.to_dict(),
        "algorithm": "PPO",
        "seed": seed,
        "training": {"seed": seed, "log_folder": str(folder.parent), "learning_rate": 0.003, **training},
        "versions": {"torch": "2.9"},
        "command": ["python", "-m", "train", "--seed", str(seed)],
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with open(folder / "progress.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["transitions", "seconds", "objective", "gap_percent", "gap", "skill"])
        for i, gap in enumerate((10.0, 3.0, 1.0 + seed)):
            rows.writerow([i * 1000, i * 0.5, 1 - gap / 100, gap, gap / 100, 1 - gap])
    return folder


def fake_load(name: str) -> FakeAgent:
    """Stands in for `agents.load`, and refuses in the same way."""
    path = Path(name)
    if not (path / "config.json").exists():
        raise RunError(f"there is no run folder {str(name)!r}")
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    return FakeAgent(path.name, Problem.from_dict(config["problem"]), config)
