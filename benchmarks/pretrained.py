"""Train the shipped agents, and write them and their cards to agents/pretrained.

    python benchmarks/pretrained.py [--runs runs/pretrained] [--seeds 0 1 2] [--only ToxicFlow-v0 ...] [--cards]

The agent that is shipped is that of the first seed, whatever the others reach; they only tell how far seeds differ.
Runs that are there are continued, finished ones kept; `--cards` trains nothing and takes what is finished.
Needs the extras train and report; about two minutes of one core for each agent and seed, as `seconds` in the last
rows of their progress.csv say.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

from agents.shipped import FOLDER
from mmenv.envs.registration import IDS

NAMES = [name.removeprefix("mmenv/") for name in IDS]


def train(name: str, seed: int, runs: Path) -> None:
    """Train one agent, or what is left of its training."""
    folder = runs / f"{name}_{seed}_1"
    started = (folder / "state.safetensors").exists()
    new = ["--preset", "standard", "--env", name, "--seed", str(seed), "--log-folder", runs.as_posix()]
    words = ["-i", str(folder)] if started else new
    subprocess.run([sys.executable, "-m", "train", *words], check=True)


def finished(folder: Path) -> bool:
    """Whether a run folder holds a run that came to its end."""
    try:
        planned = json.loads((folder / "config.json").read_text(encoding="utf-8"))["training"]["n_timesteps"]
        with open(folder / "progress.csv", newline="", encoding="utf-8") as file:
            return int(list(csv.DictReader(file))[-1]["transitions"]) >= planned
    except (OSError, IndexError):
        return False


def ship(name: str, seeds: list[int], runs: Path) -> None:
    """Write the agent of the first seed, with the range of all that are finished."""
    done = [folder for seed in seeds if finished(folder := runs / f"{name}_{seed}_1")]
    if not done or done[0].name != f"{name}_{seeds[0]}_1":
        print(f"{name}: seed {seeds[0]} has not finished, nothing is shipped")
        return
    out = ["--out", str(FOLDER / name), "--overwrite"]
    subprocess.run([sys.executable, "-m", "evaluate", "card", *map(str, done), *out], check=True)


def main() -> None:
    """Train, then ship, one id after another."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs") / "pretrained", help="where the run folders are")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="the first is shipped")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="ID", help="these ids")
    parser.add_argument("--cards", action="store_true", help="train nothing: ship what is finished")
    options = parser.parse_args()
    for name in options.only:
        for seed in [] if options.cards else options.seeds:
            train(name, seed, options.runs)
        ship(name, options.seeds, options.runs)


if __name__ == "__main__":
    main()
