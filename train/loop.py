"""A training run: from a configuration to a run folder, and on from where a run was interrupted."""

from __future__ import annotations

import csv
import io
import math
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat

from agents import checkpoint
from agents.ppo import TrainedPolicy
from mmenv._files import write_atomically
from mmenv.grading import grade
from train.algorithm import MarketMakingPPO
from train.config import TrainingConfig
from train.state import restore, snapshot
from train.threads import use_threads

COLUMNS = ("transitions", "seconds", "objective", "gap_percent", "gap", "skill", "reward_mean", "noise", "value_loss")
PACKAGES = ("mmenv", "torch", "stable-baselines3", "gymnasium", "numpy", "scipy", "safetensors")
Report = Callable[[dict[str, float]], None]


def start(config: TrainingConfig, report: Report) -> Path:
    """Train a new agent.

    Args:
        config: the configuration.
        report: called with a row of progress.csv after each grade.

    Returns:
        The run folder.

    Raises:
        KeyboardInterrupt: interrupted; the run folder holds the state to go on from.
        Poisoned: a number that is not finite, or absurd, came up; nothing of it was saved.
    """
    use_threads(config.threads)
    algorithm = MarketMakingPPO(config.problem, config)
    folder = _new_folder(config)
    checkpoint.write_json(folder / "config.json", _description(config, folder))
    return _run(algorithm, folder, report)


def train_in_memory(config: TrainingConfig) -> TrainedPolicy:
    """Train a new agent and return it; nothing is written."""
    use_threads(config.threads)
    algorithm = MarketMakingPPO(config.problem, config)
    algorithm.learn(config.n_timesteps, log_interval=None)  # type: ignore[arg-type]
    return TrainedPolicy(f"PPO, seed {config.seed}", config.problem, algorithm.graded_network, config.to_dict())


def resume(folder: Path, report: Report) -> Path:
    """Continue an interrupted run, to the very weights it would have had without the interruption.

    Raises:
        RunError: the folder is no run, or a damaged one.
        KeyboardInterrupt, Poisoned: as `start` does.
    """
    config = read_config(folder)
    use_threads(config.threads)
    algorithm = MarketMakingPPO(config.problem, config)
    tensors, record = checkpoint.load_tensors(folder, "state")
    restore(algorithm, tensors, record, folder)
    seconds, rows = record.get("seconds"), record.get("rows")
    if not isinstance(seconds, float) or not isinstance(rows, int):
        raise checkpoint.RunError(f"{folder / 'state.safetensors'} states no valid state: seconds or rows are missing")
    return _run(algorithm, folder, report, seconds, rows)


def read_config(folder: Path) -> TrainingConfig:
    """The training configuration of a run folder.

    Raises:
        RunError: the folder is no run, or its configuration is not valid.
    """
    description = checkpoint.read_config(folder)
    try:
        return TrainingConfig(**description["training"])
    except (KeyError, TypeError, ValueError) as error:
        raise checkpoint.RunError(f"{folder / 'config.json'} states no valid configuration: {error}") from error


def _run(algorithm: MarketMakingPPO, folder: Path, report: Report, seconds: float = 0.0, rows: int = 0) -> Path:
    formats: list[KVWriter] = []
    if algorithm.config.tensorboard_log:
        formats.append(TensorBoardOutputFormat(str(folder / "tensorboard")))
    algorithm.set_logger(Logger(str(folder), formats))
    recorder = Recorder(folder, report, seconds, rows)
    left = algorithm.config.n_timesteps - algorithm.num_timesteps
    with _interrupts_noted(recorder):
        try:
            if left > 0:
                algorithm.learn(left, callback=recorder, log_interval=1, reset_num_timesteps=False)
        except KeyboardInterrupt:
            recorder.save()
            raise KeyboardInterrupt(str(folder)) from None
    return folder


@contextmanager
def _interrupts_noted(recorder: Recorder) -> Iterator[None]:
    """Let Ctrl-C, and a second one, be noted and not raised wherever the program is: there it may tear, or be lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, lambda *_: recorder.interrupted.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


class Recorder(BaseCallback):
    """Grades, records and saves a run between its rollouts. The grades are shown; nothing depends on them.

    Args:
        folder: the run folder.
        report: called with each row.
        seconds: time that earlier parts of the run took.
        rows: rows of progress.csv that they left.
    """

    model: MarketMakingPPO

    def __init__(self, folder: Path, report: Report, seconds: float, rows: int) -> None:
        super().__init__()
        self.folder = folder
        self.report = report
        self.rows = _kept_rows(folder / "progress.csv", rows)
        self._earlier = seconds
        self._started = time.perf_counter()
        self._kept: tuple[dict[str, np.ndarray], dict[str, Any]] | None = None
        self.interrupted = threading.Event()

    @property
    def seconds(self) -> float:
        """How long the run has taken, interruptions left out."""
        return self._earlier + time.perf_counter() - self._started

    def _on_step(self) -> bool:
        if self.interrupted.is_set():
            raise KeyboardInterrupt
        return True

    def _on_rollout_start(self) -> None:
        self._between_rollouts()

    def _on_training_end(self) -> None:
        self._between_rollouts()

    def _between_rollouts(self) -> None:
        model, config = self.model, self.model.config
        due = model.num_timesteps // config.eval_freq >= len(self.rows) or model.num_timesteps >= config.n_timesteps
        if due:
            self._record()
        self._kept = snapshot(model, {"seconds": self.seconds, "rows": len(self.rows)})
        if due:
            self.save()

    def _record(self) -> None:
        """Grade the policy, and add the row to progress.csv, TensorBoard and the terminal."""
        model = self.model
        policy = TrainedPolicy(self.folder.name, model.problem, model.graded_network, {})
        result = grade(model.problem, policy)
        row = {
            "transitions": model.num_timesteps,
            "seconds": round(self.seconds, 3),
            "objective": result.objective,
            "gap_percent": result.gap_percent,
            "gap": result.gap,
            "skill": result.skill,
            "reward_mean": model.reward_mean,
            "noise": model.noise,
            "value_loss": model.logger.name_to_value.get("train/value_loss", math.nan),
        }
        for name in ("objective", "gap_percent", "skill"):
            model.logger.record(f"grade/{name}", row[name])
        self.rows.append(row)
        with open(self.folder / "progress.csv", "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)
        self.report(row)

    def save(self) -> None:
        """Write the policy and the state as they were between the last two rollouts.

        Raises:
            OSError: the disk is full; the files saved before still load.
        """
        if self._kept is None:
            return
        tensors, record = self._kept
        prefix = "average." if record["averaged"] else "network."
        graded = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
        about = {"architecture": self.model.policy.architecture.to_dict(), "transitions": record["num_timesteps"]}
        checkpoint.save_tensors(self.folder, "state", tensors, record)
        checkpoint.save_tensors(self.folder, "policy", graded, about)


def _kept_rows(path: Path, rows: int) -> list[dict[str, Any]]:
    """Cut progress.csv to its header and first rows: what comes after them will be written again.

    Raises:
        RunError: it is missing or damaged.
    """
    kept: list[dict[str, Any]] = []
    if rows:
        try:
            lines = checkpoint.read(path, checkpoint.LARGEST_FILE).decode("utf-8").splitlines()
            kept = list(csv.DictReader(lines))[:rows]
        except (UnicodeDecodeError, csv.Error) as error:
            raise checkpoint.RunError(f"{path} is damaged: {error}") from error
        if any(set(row) != set(COLUMNS) for row in kept):
            raise checkpoint.RunError(f"{path} is damaged: its columns must be {', '.join(COLUMNS)}")
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(kept)
    write_atomically(path, text.getvalue().encode("utf-8"))
    return kept


def _new_folder(config: TrainingConfig) -> Path:
    """Make the first of runs/<env>_<seed>_1, _2, ... that does not exist yet."""
    root = Path(config.log_folder)
    root.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = root / f"{config.env.split('/')[-1]}_{config.seed}_{number}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def _description(config: TrainingConfig, folder: Path) -> dict[str, Any]:
    """What config.json says: enough to know, and to repeat, what was done."""
    return {
        "format": checkpoint.FORMAT,
        "name": folder.name,
        "problem": config.problem.to_dict(),
        "training": config.to_dict(),
        "algorithm": "PPO",
        "recording": _recording(config),
        "seed": config.seed,
        "threads": config.threads,
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "git_commit": _git_commit(),
        "command": ["python", "-m", "train", *sys.argv[1:]],
    }


def _recording(config: TrainingConfig) -> list[int] | None:
    """The first and last moment of the recording that is trained on [ns], so that nobody tests on it; None without."""
    if not config.tape:
        return None
    from mmenv.data import load_tape

    return list(load_tape(config.tape).span)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        return None


def _git_commit() -> str | None:
    """The commit of the checkout this runs from, with "+" where files differ from it; None outside a checkout."""
    here = Path(__file__).parent
    try:
        commit, changes = (
            subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True, timeout=10).stdout
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.strip() + ("+" if changes.strip() else "")
