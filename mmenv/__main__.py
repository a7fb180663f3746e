"""`python -m mmenv calibrate`: from recorded trades to a market that the other commands take."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

BAD_INPUT = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m mmenv`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mmenv", description="Tools of the library.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_options(commands.add_parser("calibrate", help=_about()["description"], **_about()))
    return _run(parser.parse_args(arguments))


def calibrate(arguments: Sequence[str] | None = None) -> int:
    """Run `mmenv-calibrate`, which is `python -m mmenv calibrate`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="mmenv-calibrate", **_about())
    _add_options(parser)
    return _run(parser.parse_args(arguments))


def _about() -> dict[str, Any]:
    text = "Fit a market to recorded trades and quotes: volatility, arrival rate and decay of fills, with intervals."
    return {
        "description": text,
        "epilog": "Known files: Binance trades, aggTrades, bookTicker; Tardis trades, quotes; LOBSTER messages and "
        "orderbook; hftbacktest npz; any table with --columns. Plain, gzip or zip. See docs/real-markets.md.",
    }


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("trades", metavar="TRADES", help="file of trades")
    add("quotes", metavar="QUOTES", nargs="?", help="file of best quotes; without it they are guessed from the trades")
    add("--dt", type=float, metavar="SECONDS", help="length of a step (default: about 0.7 market orders per side)")
    add("--tick", type=float, metavar="PRICE", help="step of the prices (default: read from them)")
    add("--horizon", type=float, metavar="SECONDS", help="length of a session (default: 200 steps)")
    add(
        "--floor",
        type=float,
        metavar="PRICE",
        help="fit to trades beyond this depth (default: just inside half the usual spread)",
    )
    add("--law", choices=("poisson", "linear"), default="poisson", help="fill law (default: %(default)s)")
    add(
        "--regimes",
        choices=("1", "2", "auto"),
        default="1",
        help="of the market: one, two (quiet and busy), or two where they fit significantly better "
        "(default: %(default)s; the maker of a market with two sees which it is in)",
    )
    add(
        "--sides",
        choices=("alike", "apart", "auto"),
        default="auto",
        help="one A and one k in the market, or one for each side, or these where the sides differ significantly "
        "(default: %(default)s)",
    )
    add("--fee", type=float, default=0.0, metavar="PRICE", help="per unit filled; a rebate is negative")
    add("--fee-rate", type=float, default=0.0, metavar="SHARE", help="per unit filled, in parts of its value")
    add("--on-ticks", action="store_true", help="depths in the market are whole multiples of the tick")
    add(
        "--rule",
        choices=("through", "touch", "tick"),
        default="through",
        help="fill rule of the tape (default: %(default)s)",
    )
    add(
        "--gap", type=float, default=60.0, metavar="SECONDS", help="longer silences are left out (default: %(default)g)"
    )
    add("--split", type=float, metavar="SHARE", help="fit to the first part of the time, write a tape of each part")
    add(
        "--columns",
        metavar="NAME=COLUMN,...",
        help="columns of a table of trades: time=...,price=...,side=...[,size=...][,id=...]",
    )
    add("--quote-columns", metavar="NAME=COLUMN,...", help="columns of a table of quotes: time=...,bid=...,ask=...")
    add("--time-unit", choices=("s", "ms", "us", "ns"), help="of the times (default: told by their size)")
    add(
        "--side-is",
        choices=("taker", "maker"),
        default="taker",
        help="whose side --columns names (default: %(default)s)",
    )
    add("-o", "--out", metavar="FOLDER", default="calibration", help="where the files go (default: %(default)s)")
    add("--no-figures", action="store_true", help="write no pictures")
    add("-P", "--progress", action=argparse.BooleanOptionalAction, help="show a progress bar (default: in a terminal)")


def _run(options: argparse.Namespace) -> int:
    try:
        from mmenv.data import command

        command.calibrate(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ModuleNotFoundError, OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main())
