"""Does PPO trained over many markets lose less where the market is not the one assumed? Exact losses.

    python -m benchmarks.training_randomised [--preset quick] [--seeds 0 1] [--parameters decay arrivals]

One parameter of the default market is off by a factor. PPO is trained on the market as it is, and over all factors,
one drawn for each session: once shown which, once not. Each agent is graded in the plain market of every factor, in
percent of the optimum there. Beside them stand the optimum of the market as it is, and the optimum of the one factor
that is best to assume if all five are as likely. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from evaluate.robustness import FACTORS, PARAMETERS, scaled
from evaluate.text import markdown_table
from mmenv import ExponentialPenalty, Market, QuoteTable, evaluate_exactly, solve
from train.config import from_preset
from train.loop import train_in_memory

MARKET, OBJECTIVE = Market(), ExponentialPenalty()
THERE = sorted({1.0, *FACTORS})
ASSUMED = np.geomspace(THERE[0], THERE[-1], 41)
TRAINED = {"x 1": None, "all, shown": "one_hot", "all, hidden": "hidden"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--parameters", nargs="+", choices=PARAMETERS, default=["decay", "arrivals"])
    options = parser.parse_args()
    for parameter in options.parameters:
        print(markdown_table(table(parameter, options.preset, options.seeds)), flush=True)
        print()


def table(parameter: str, preset: str, seeds: Sequence[int]) -> list[list[str]]:
    """The rows of one parameter: a row per factor, and one for all of them; where there are seeds, a number of each."""
    markets = [scaled(MARKET, parameter, factor) for factor in THERE]
    optima = np.array([solve(market, OBJECTIVE).optimum for market in markets])

    def losses(quotes: Sequence[QuoteTable]) -> np.ndarray:
        """Percent lost at every factor, and of the optima's sum."""
        pairs = zip(markets, quotes, strict=True)
        lost = optima - [evaluate_exactly(market, OBJECTIVE, own).objective for market, own in pairs]
        return 100 * np.append(lost / optima, lost.sum() / optima.sum())

    def assuming(factor: float) -> np.ndarray:
        return losses([solve(scaled(MARKET, parameter, factor), OBJECTIVE).quotes] * len(THERE))

    best = min(ASSUMED, key=lambda factor: assuming(factor)[-1])
    columns = {f"optimum of x {factor:.3g}": [assuming(factor)] for factor in (1.0, best)}
    for name, shown in TRAINED.items():
        columns[f"PPO on {name}"] = [losses(trained(parameter, shown, preset, seed)) for seed in seeds]
        print(name, *columns[f"PPO on {name}"], f"{time.process_time():.0f} s", file=sys.stderr, flush=True)
    names = [*(f"{parameter} x {factor:g}" for factor in THERE), "all"]
    cells = ([" ".join(f"{one[row]:.2f}" for one in found) for found in columns.values()] for row in range(len(names)))
    return [["graded at", *columns], *([name, *row] for name, row in zip(names, cells, strict=True))]


def trained(parameter: str, shown: str | None, preset: str, seed: int) -> list[QuoteTable]:
    """An agent's quotes at every factor: trained on the market as it is, or over all factors."""
    if shown is None:
        return [_trained(MARKET, "one_hot", preset, seed)] * len(THERE)
    quotes = _trained(family(parameter), shown, preset, seed)
    columns = ([regime] for regime in range(1, 1 + len(THERE)))
    return [QuoteTable(quotes.bid_depth[:, column], quotes.ask_depth[:, column]) for column in columns]


@lru_cache
def _trained(market: Market, shown: str, preset: str, seed: int) -> QuoteTable:
    config = from_preset(preset, {"env_kwargs": {"market": market, "regime_observation": shown}, "seed": seed})
    return train_in_memory(config).tabulate(config.problem.market)


def family(parameter: str) -> Market:
    """The market with a regime for each factor, one of which a session stays in, all as likely.

    A session's first regime is given, so regime 0, the market as it is, comes first, for a single step.
    """
    regimes = [MARKET, *(scaled(MARKET, parameter, factor) for factor in THERE)]
    fields: dict[str, Any] = {
        name: [getattr(regime, name) for regime in regimes]
        for name in PARAMETERS[parameter]
        if getattr(MARKET, name) is not None
    }
    to = np.eye(len(regimes))
    to[0] = np.append(0.0, np.full(len(THERE), 1 / len(THERE)))
    return replace(MARKET, transition_matrix=to.tolist(), **fields)


if __name__ == "__main__":
    main()
