"""No two environments share a stream; the same environment is the same everywhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mmenv import Market, Tape

pytestmark = pytest.mark.proof

SEEDS, ENVIRONMENTS, STEPS = 1000, 1024, 8
# Doubles of 52 random bits: chance makes about n^2 / 2^53 pairs of n draws equal, fewer than 0.1 here, and more
# than 5 with a chance below 10^-8. Two blocks that share a stream make at least 64 of them in every row.
CHANCE_PAIRS = 5


def repeats(values: np.ndarray) -> int:
    """How many values occur that have occurred before."""
    ordered = np.sort(values, axis=None)
    return int((ordered[1:] == ordered[:-1]).sum())


def test_no_stream_is_shared(claim: Callable[..., None]) -> None:
    market = Market(steps=STEPS)
    moves = np.empty((SEEDS, STEPS, ENVIRONMENTS))
    reaches = np.empty((SEEDS, 2, STEPS, ENVIRONMENTS))
    for seed in range(SEEDS):
        tape = Tape.draw(market, ENVIRONMENTS, seed)
        moves[seed], reaches[seed] = tape.mid_move, (tape.bid_reach, tape.ask_reach)
    where = f"{SEEDS:,} seeds x {ENVIRONMENTS:,} environments x {STEPS} steps"
    claim(f"repeated moves among {where}", 3, repeats(moves), CHANCE_PAIRS)
    claim(f"repeated reaches among {where}", 8, repeats(reaches), CHANCE_PAIRS)
    moves[-1, :, -64:] = moves[0, :, :64]
    claim("power: one shared block of 64 environments is seen", 3, repeats(moves), 64 * STEPS, at_least=True)


def test_an_environment_is_the_same_everywhere(claim: Callable[..., None]) -> None:
    market, differences = Market(steps=100), 0
    for seed in (0, 1, 2**64 - 1):
        widest = Tape.draw(market, 16_384, seed, episode=3)
        for paths in (1, 8, 63, 64, 65, 1024):
            tape = Tape.draw(market, paths, seed, episode=3)
            for part in ("mid_move", "bid_reach", "ask_reach"):
                differences += int((getattr(tape, part) != getattr(widest, part)[:, :paths]).sum())
    claim("numbers that differ when an environment runs among 1 to 16,384", 8, differences, 0)
