"""What `python -m mmenv calibrate` does: read, fit, print, write."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmenv import _validate
from mmenv._files import write_atomically
from mmenv.data import summary
from mmenv.data.calibration import Calibration
from mmenv.data.calibration import calibrate as fit_market
from mmenv.data.clean import Cleaning, silences
from mmenv.data.market_file import Choices
from mmenv.data.readers import read_quotes, read_trades
from mmenv.data.recording import SECOND, Quotes, RecordingError, Trades, split
from mmenv.data.replay import RecordedTape, save_tape, tape_of
from mmenv.data.steps import Steps, cut


def calibrate(options: argparse.Namespace) -> None:
    """Run the command with its parsed options.

    Raises:
        RecordingError, TypeError, ValueError, OSError: the message is one sentence.
    """
    bar = sys.stderr.isatty() if options.progress is None else options.progress
    out = Path(options.out)
    if out.exists() and not out.is_dir():
        raise RecordingError(f"--out must be a folder, got the file {options.out!r}")
    trades, quotes = _read(options, bar)
    later = None
    if options.split is not None:
        if quotes is None:
            raise RecordingError("--split needs a file of quotes")
        (trades, quotes), later = split(trades, quotes, options.split)
    found = fit_market(
        trades,
        quotes,
        dt=options.dt,
        tick=options.tick,
        horizon=options.horizon,
        floor=options.floor,
        law=options.law,
        gap=options.gap,
        **{field.name: getattr(options, field.name) for field in fields(Choices)},
    )
    del trades, quotes
    print(_heading(found))
    print(summary.text(found))
    markets = {"market.json": found.environment()}
    if found.toxic:
        markets["market-informed.json"] = found.environment(informed=True)
    tapes = {"tape.npz" if later is None else "train.npz": _tape(found, found.steps, options)}
    if later is not None:
        tapes["test.npz"] = _tape(found, cut(*later, found.steps.dt, found.steps.tick, options.gap), options)
    _write(out, {**markets, "calibration.json": summary.values(found)}, tapes)
    figures = [] if options.no_figures else _draw(out, found)
    print()
    print(_told(out, markets, tapes, figures))


def _read(options: argparse.Namespace, bar: bool) -> tuple[Trades, Quotes | None]:
    trades, report = read_trades(
        options.trades, _mapping(options.columns, "--columns"), options.time_unit, options.side_is, bar
    )
    if options.quotes is None:
        print(_with_silences(report, trades, options.gap))
        return trades, None
    print(report)
    columns = _mapping(options.quote_columns, "--quote-columns")
    quotes, report = read_quotes(options.quotes, columns, options.time_unit, messages=options.trades, bar=bar)
    print(_with_silences(report, quotes, options.gap))
    return trades, quotes


def _with_silences(report: Cleaning, table: Trades | Quotes, gap: float) -> Cleaning:
    """The report of a file whose silences will be left out."""
    gap = _validate.real("gap", gap, above=0)
    return replace(report, gaps=(np.diff(silences(table.time, gap), axis=1).ravel() / SECOND).tolist())


def _mapping(words: str | None, flag: str) -> dict[str, str] | None:
    if words is None:
        return None
    pairs = [word.partition("=") for word in words.split(",")]
    if not all(name and equals and column for name, equals, column in pairs):
        raise RecordingError(f"{flag} must be name=column pairs with commas between them, got {words!r}")
    return {name.strip(): column.strip() for name, _, column in pairs}


def _heading(found: Calibration) -> str:
    return (
        f"{found.seconds:,.1f} s in {len(found.steps):,} steps of {found.steps.dt:g} s; {found.trades:,} trades, "
        f"{found.orders:,} market orders; tick {found.steps.tick:g}; "
        f"fitted to trades beyond {found.floor:g} from the mid\n"
    )


def _tape(found: Calibration, steps: Steps, options: argparse.Namespace) -> RecordedTape | None:
    """Steps as a tape; None where they are shorter than a session."""
    try:
        tape = tape_of(steps, round(found.horizon / found.steps.dt), options.rule)
    except RecordingError:
        return None
    return replace(tape, source=Path(options.trades).name)


def _write(out: Path, files: dict[str, dict[str, Any]], tapes: dict[str, RecordedTape | None]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, values in files.items():
        write_atomically(out / name, (json.dumps(values, indent=2, allow_nan=False) + "\n").encode("utf-8"))
    for name, tape in tapes.items():
        if tape is not None:
            save_tape(out / name, tape)


def _draw(out: Path, found: Calibration) -> list[str]:
    from mmenv.data import plots

    return plots.draw_all(found, out)


def _told(
    out: Path, markets: dict[str, dict[str, Any]], tapes: dict[str, RecordedTape | None], figures: list[str]
) -> str:
    told = []
    for name, environment in markets.items():
        market = environment["market"]
        told.append(
            f"{out / name}: sessions of {market['horizon']:g} s in {market['steps']} steps, depths from "
            f"{market['min_depth']:g} to {market['max_depth']:g}, at most {market['max_inventory']} units"
        )
    told.append(f"{out / 'calibration.json'}: everything above")
    for name, tape in tapes.items():
        if tape is None:
            told.append(f"no {name}: the recording is shorter than a session (a shorter --horizon makes one)")
        else:
            told.append(f"{out / name}: {tape.tape.paths} recorded sessions")
    if figures:
        told.append(f"{out}: {', '.join(figures)}")
    return "\n".join(told)
