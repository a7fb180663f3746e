"""Several seeds of one configuration, in processes side by side where there are cores for them."""

from __future__ import annotations

import csv
import math
import multiprocessing
import os
import signal
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from train import session
from train.config import TrainingConfig

PATIENCE = 5.0  # between one interrupt and the next [s]; one that comes while a process starts may be lost


def train_seeds(config: TrainingConfig, count: int, workers: int | None = None) -> int:
    """Train the seeds config.seed, config.seed + 1, ... and print the spread of their exact gaps.

    Args:
        config: of the first; the others differ in the seed.
        count: how many seeds, >= 1.
        workers: how many at a time; as many as there are cores for `config.threads` each, if None.

    Returns:
        The exit code: 0 if all finished, else the largest of theirs; 130 if interrupted, every run then being saved.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's locked threads
    finished = context.SimpleQueue()
    configs = [replace(config, seed=config.seed + i) for i in range(count)]
    processes: list[BaseProcess] = [context.Process(target=_train, args=(each, finished)) for each in configs]
    try:
        _run(processes, workers or max(1, (os.cpu_count() or 1) // config.threads))
    except KeyboardInterrupt:
        return session.INTERRUPTED
    folders = []
    while not finished.empty():
        folders.append(Path(finished.get()))
    print(summary(sorted(folders)))
    return max(map(_exit_code, processes))


def _exit_code(process: BaseProcess) -> int:
    """A process's exit code; 128 + n where signal n ended it, as shells tell it."""
    code = process.exitcode or 0
    return code if code >= 0 else 128 - code


def _run(processes: list[BaseProcess], workers: int) -> None:
    waiting, running = list(processes), list[BaseProcess]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(waiting.pop(0))
                running[-1].start()
            wait([process.sentinel for process in running])
            running = [process for process in running if process.is_alive()]
    except KeyboardInterrupt:
        for process in running:
            _interrupt(process)
        raise


def _interrupt(process: BaseProcess) -> None:
    """Pass Ctrl-C on until it is heeded; a terminal has sent it to all processes already, but `kill` has not."""
    while process.is_alive():
        if os.name == "posix" and process.pid is not None:
            os.kill(process.pid, signal.SIGINT)
        process.join(timeout=PATIENCE)


def _train(config: TrainingConfig, finished: Any) -> None:
    """What a process does: one run, its lines marked with the seed."""
    code, folder = session.run(config, bar=False, label=f"seed {config.seed}: ")
    if folder is not None:
        finished.put(str(folder))
    sys.exit(code)


def summary(folders: Sequence[Path]) -> str:
    """The exact gaps of finished runs and their spread: a line per run, and one for all."""
    rows = [_last_row(folder) for folder in folders]
    lines = [
        f"{folder}: exact gap {_gap(row)}, skill {row['skill']:.3f}" for folder, row in zip(folders, rows, strict=True)
    ]
    if rows:
        gaps = sorted(rows, key=lambda row: row["gap"])
        middle, best, worst = _gap(gaps[(len(gaps) - 1) // 2]), _gap(gaps[0]), _gap(gaps[-1])
        skill = statistics.median(row["skill"] for row in rows)
        lines.append(f"{len(rows)} seeds: median exact gap {middle} ({best} to {worst}), median skill {skill:.3f}")
    return "\n".join(lines)


def _gap(row: dict[str, float]) -> str:
    return f"{row['gap']:.6g}" if math.isnan(row["gap_percent"]) else f"{row['gap_percent']:.4f} %"


def _last_row(folder: Path) -> dict[str, float]:
    with open(folder / "progress.csv", newline="", encoding="utf-8") as file:
        return {name: float(value) for name, value in list(csv.DictReader(file))[-1].items()}
