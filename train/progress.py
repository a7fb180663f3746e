"""What a person sees while a run trains."""

from __future__ import annotations

import sys
from types import TracebackType

from train.config import TrainingConfig


class Progress:
    """Prints a line per grade, and a progress bar if asked to.

    Args:
        config: of the run.
        bar: show the bar.
        label: what every line begins with.
    """

    def __init__(self, config: TrainingConfig, bar: bool, label: str = "") -> None:
        self._label = label
        self._total = config.n_timesteps
        self._bar = None
        if bar:
            from tqdm import tqdm

            self._bar = tqdm(total=self._total, unit="", unit_scale=True, desc=config.env, file=sys.stderr)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, row: dict[str, float]) -> None:
        """Show a row of progress.csv."""
        gap = f"{row['gap_percent']:9.4f} %" if row["gap_percent"] == row["gap_percent"] else f"{row['gap']:.6g}"
        line = (
            f"{self._label}{int(row['transitions']):>12,} transitions {row['seconds']:7.1f} s   exact gap {gap}   "
            f"skill {row['skill']:7.3f}"
        )
        if self._bar is None:
            print(line, flush=True)
        else:
            self._bar.write(line)
            self._bar.n = min(int(row["transitions"]), self._total)
            self._bar.refresh()
