"""`python -m train`: train an agent and leave a run folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from mmenv import _validate
from mmenv._extras import needs
from mmenv.environment_file import read_environment
from train.config import PRESETS, TrainingConfig, from_preset

BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    preset, run, bar = options.pop("preset"), options.pop("continue"), options.pop("progress")
    market, count = options.pop("market"), options.pop("seeds")
    given = {name: value for name, value in options.items() if value is not None}
    job: TrainingConfig | Path
    try:
        if run is not None and (given or preset is not None or market is not None or count > 1):
            raise ValueError("-i continues a run with its own configuration: give no other options, except -P")
        _validate.integer("seeds", count, at_least=1)
        if "env_kwargs" in given:
            given["env_kwargs"] = _env_kwargs(given["env_kwargs"])
        if market is not None:
            given["env_kwargs"] = read_environment(market) | given.get("env_kwargs", {})
        job = Path(run) if run is not None else from_preset(preset or "quick", given)
        with needs("train"):
            from train import seeds, session
    except (TypeError, ValueError, ModuleNotFoundError) as error:
        return _refuse(error)
    if isinstance(job, TrainingConfig) and count > 1:
        return seeds.train_seeds(job, count)
    return session.run(job, sys.stderr.isatty() if bar is None else bar)[0]


def _refuse(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__.split(": ")[1])
    parser.add_argument("--preset", choices=PRESETS, help="a set of defaults for the options below (default: quick)")
    parser.add_argument("-i", "--continue", metavar="RUN", help="continue the run in this folder")
    parser.add_argument(
        "-P", "--progress", action=argparse.BooleanOptionalAction, help="show a progress bar (default: in a terminal)"
    )
    parser.add_argument("--market", metavar="FILE", help="keyword arguments of the environment: market.json")
    parser.add_argument("--seeds", type=int, default=1, metavar="COUNT", help="train that many seeds, from --seed on")
    for entry in fields(TrainingConfig):
        _add(parser, entry)
    return parser


def _add(parser: argparse.ArgumentParser, entry: Field[Any]) -> None:
    flags = entry.metadata["flags"] or ("--" + entry.name.replace("_", "-"),)
    text = entry.metadata["help"].replace("%", "%%")
    if entry.name == "env_kwargs":
        parser.add_argument(*flags, dest=entry.name, nargs="+", metavar="NAME:VALUE", help=text)
    elif isinstance(entry.default, bool):
        parser.add_argument(
            *flags,
            dest=entry.name,
            action=argparse.BooleanOptionalAction,
            default=None,
            help=f"{text} (default: {'yes' if entry.default else 'no'})",
        )
    elif isinstance(entry.default, tuple):
        parser.add_argument(
            *flags,
            dest=entry.name,
            nargs="+",
            type=int,
            metavar="WIDTH",
            help=f"{text} (default: {' '.join(map(str, entry.default))})",
        )
    else:
        parser.add_argument(
            *flags,
            dest=entry.name,
            type=type(entry.default),
            metavar=type(entry.default).__name__,
            help=f"{text} (default: {entry.default})",
        )


def _env_kwargs(words: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments from one JSON object, or from words name:value whose values are JSON or bare strings."""
    text = " ".join(words).strip()
    if text.startswith("{"):
        return _json_object(text)
    kwargs: dict[str, Any] = {}
    for word in words:
        name, colon, value = word.partition(":")
        if not name or not colon:
            raise ValueError(f"env-kwargs must be a JSON object or words name:value, got {word!r}")
        try:
            kwargs[name] = json.loads(value)
        except ValueError:
            kwargs[name] = value
    return kwargs


def _json_object(text: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"env-kwargs must be a JSON object or words name:value, got {text!r} ({error})") from None


if __name__ == "__main__":
    sys.exit(main())
