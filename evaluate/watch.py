"""One session of an agent as an animation: a single HTML page that needs nothing else."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import numpy as np

from evaluate.document import template
from evaluate.folder import FolderError
from evaluate.runs import load_runs
from evaluate.streaming import EVALUATION_STREAMS
from mmenv import _validate
from mmenv._files import write_atomically
from mmenv.grading import tabulate
from mmenv.market import Market
from mmenv.simulation import Paths, simulate
from mmenv.tape import Tape


def watch(name: str, seed: int, out: str | None, overwrite: bool) -> Path:
    """Write the page that animates a session of a run.

    Args:
        name: a run folder.
        seed: of the session, on the evaluation's streams.
        out: the file to write; by default reports/watch-RUN.html, or the next free name.
        overwrite: replace `out` if it exists.

    Returns:
        The path of the page.

    Raises:
        RunError: the run is missing or damaged.
        FolderError: `out` exists.
        ValueError: the seed is not an integer >= 0.
    """
    path = _choose(name, out, overwrite)
    run = load_runs([name])[0]
    market = run.problem.market
    tape = Tape.draw(market, 1, EVALUATION_STREAMS + _validate.integer("seed", seed, at_least=0))
    paths = simulate(market, tabulate(run.problem, run.policy), tape)
    page = session_page(f"{run.label}: session {seed}", market, paths)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page.encode("utf-8"))
    return path


def _choose(name: str, out: str | None, overwrite: bool) -> Path:
    if out is not None:
        path = Path(out)
        if path.is_dir() or (path.exists() and not overwrite):
            raise FolderError(f"{out!r} exists: choose another --out, or replace the page with --overwrite")
        return path
    stem = f"watch-{Path(name).resolve().name}"
    path, number = Path("reports") / f"{stem}.html", 2
    while path.exists():
        path, number = Path("reports") / f"{stem}-{number}.html", number + 1
    return path


def session_page(title: str, market: Market, paths: Paths) -> str:
    """The page of one session, the first of `paths`."""
    data = json.dumps(session_data(market, paths), separators=(",", ":"), allow_nan=False)
    return template("watch.html").substitute(title=html.escape(title), data=data)


def session_data(market: Market, paths: Paths) -> dict[str, Any]:
    """One session as plain lists; a side that is not quoted is null."""
    mid = paths.mid[:, 0]
    return {
        "horizon": market.horizon,
        "steps": market.steps,
        "mid": _rounded(mid),
        "bid": _rounded(mid[:-1] - paths.bid_depth[:, 0]),
        "ask": _rounded(mid[:-1] + paths.ask_depth[:, 0]),
        "bidFill": paths.bid_fill[:, 0].astype(int).tolist(),
        "askFill": paths.ask_fill[:, 0].astype(int).tolist(),
        "inventory": paths.inventory[:, 0].tolist(),
        "profit": _rounded(paths.wealth[:, 0] - paths.wealth[0, 0]),
    }


def _rounded(values: np.ndarray) -> list[float | None]:
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]
