"""One run as a command: what it prints, and its exit code."""

from __future__ import annotations

import sys
from pathlib import Path

from agents.checkpoint import RunError
from mmenv.data.recording import RecordingError
from train import loop
from train.config import TrainingConfig
from train.guard import Poisoned
from train.progress import Progress

FINISHED, REFUSED, INTERRUPTED = 0, 2, 130


def run(job: TrainingConfig | Path, bar: bool, label: str = "") -> tuple[int, Path | None]:
    """Train, and say how it went.

    Args:
        job: the configuration of a new run, or the folder of one to go on with.
        bar: show a progress bar.
        label: what every line begins with.

    Returns:
        The exit code, and the run folder of a run that finished.
    """
    try:
        config = loop.read_config(job) if isinstance(job, Path) else job
        with Progress(config, bar, label) as progress:
            done = loop.resume(job, progress) if isinstance(job, Path) else loop.start(job, progress)
    except KeyboardInterrupt as interrupt:
        saved = f"; go on with: python -m train -i {interrupt}" if interrupt.args else ""
        print(f"\n{label}interrupted{saved}", file=sys.stderr)
        return INTERRUPTED, None
    except (RunError, RecordingError, Poisoned, OSError, MemoryError) as error:
        print(f"{label}error: {error}", file=sys.stderr)
        return REFUSED, None
    print(f"{label}run folder: {done}", flush=True)
    return FINISHED, done
