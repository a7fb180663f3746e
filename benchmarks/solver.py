"""How long the exact answers take and how much memory, against steps, inventories and regimes.

Run: python -m benchmarks.solver [--quick]

Processor time of this process (everything here is single-threaded), the least of interleaved repeats; memory is the
most that was held at once beyond what the answer itself needs, by tracemalloc, in megabytes.

- plain: the plain market and the same market told the long way (a chain of two regimes that are alike, nobody
  informed, no fee): what generality costs where it is not used.
- growth: solving and evaluating with each of N, Q and the number of regimes doubled, and the ratio to the line before.
- registered: every registered market; `line` is the fit of the best linear skew.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from mmenv import ExponentialPenalty, Market, Objective, Problem, Solution, evaluate_exactly, solve
from mmenv.envs.registration import IDS
from mmenv.linear_skew import best_linear_skew

MEGABYTE = 2**20


def seconds(*works: Callable[[], Any], repeats: int) -> list[float]:
    """The least processor time of each of some works, run in turn after a warm-up."""
    taken = [float("inf")] * len(works)
    for work in works:
        work()
    for _ in range(repeats):
        for i, work in enumerate(works):
            start = time.process_time()
            work()
            taken[i] = min(taken[i], time.process_time() - start)
    return taken


def memory(work: Callable[[], Solution]) -> tuple[float, float]:
    """Megabytes of an answer, and the most held at once beyond it."""
    tracemalloc.start()
    solution = work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    arrays = (solution.value, solution.quotes.bid_depth, solution.quotes.ask_depth)
    own = sum(array.nbytes for array in arrays)
    return own / MEGABYTE, (peak - own) / MEGABYTE


def of_regimes(regimes: int, **fields: Any) -> Market:
    """The default market, whose volatility and arrival rate change from regime to regime."""
    if regimes == 1:
        return Market(**fields)
    chain = np.full((regimes, regimes), 0.05 / (regimes - 1))
    np.fill_diagonal(chain, 0.95)
    rates, volatility = np.linspace(100, 180, regimes).tolist(), np.linspace(1.5, 2.5, regimes).tolist()
    return Market(arrival_rate=rates, volatility=volatility, transition_matrix=chain.tolist(), **fields)


def plain(repeats: int) -> None:
    market, objective = Market(), ExponentialPenalty()
    long_way = replace(market, volatility=(2.0, 2.0), transition_matrix=((0.5, 0.5), (0.5, 0.5)))
    short, long = seconds(lambda: solve(market, objective), lambda: solve(long_way, objective), repeats=repeats)
    print(f"plain market                 solve {1000 * short:7.1f} ms")
    print(
        f"two regimes that are alike   solve {1000 * long:7.1f} ms   ({long / short:.2f} times, for twice the states)"
    )


def growth(repeats: int) -> None:
    objective = ExponentialPenalty()
    print(f"\n{'N':>5} {'Q':>4} {'regimes':>7} {'solve':>9} {'evaluate':>9} {'answer':>9} {'beyond':>9}   ratios")
    for series in _series():
        before: list[float] = []
        for market in series:
            quotes = solve(market, objective).quotes
            times = seconds(*_works(market, objective, quotes), repeats=repeats)
            figures = [*(1000 * each for each in times), *memory(_works(market, objective, quotes)[0])]
            ratios = " ".join(f"{now / then:6.2f}" for now, then in zip(figures, before, strict=False))
            shape = f"{market.steps:5d} {market.max_inventory:4d} {market.regimes:7d}"
            told = "{:6.0f} ms {:6.0f} ms {:6.2f} MB {:6.2f} MB".format(*figures)
            print(f"{shape} {told}   {ratios}")
            before = figures
        print()


def _series() -> Iterator[list[Market]]:
    yield [of_regimes(5, steps=n, horizon=n / 200) for n in (100, 200, 400, 800)]
    yield [of_regimes(5, max_inventory=q) for q in (10, 20, 40, 80)]
    yield [of_regimes(regimes) for regimes in (1, 2, 4, 8)]


def registered(repeats: int) -> None:
    print(f"{'market':24} {'states':>8} {'solve':>9} {'evaluate':>9} {'line':>9}")
    for name, arguments in IDS.items():
        problem = Problem.from_arguments(**arguments)
        market, objective = problem.market, problem.objective
        quotes = solve(market, objective).quotes
        solving, evaluating = seconds(*_works(market, objective, quotes), repeats=repeats)
        start = time.process_time()
        best_linear_skew(market, objective, quotes)
        line = time.process_time() - start
        states = market.steps * market.regimes * (2 * market.max_inventory + 1)
        times = " ".join(f"{1000 * figure:6.0f} ms" for figure in (solving, evaluating, line))
        print(f"{name.split('/')[1]:24} {states:8,} {times}")


def _works(market: Market, objective: Objective, quotes: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    return lambda: solve(market, objective), lambda: evaluate_exactly(market, objective, quotes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    repeats = 2 if parser.parse_args().quick else 5
    plain(repeats)
    growth(repeats)
    registered(repeats)


if __name__ == "__main__":
    main()
