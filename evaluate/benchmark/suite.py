"""What is played: fixed markets, budgets of transitions, and seeds.

A version of the benchmark never changes. Its markets are spelled out, parameter by parameter, in a file of their own,
so that a later change of a registered id or of a default leaves it alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from mmenv import _validate
from mmenv.problem import Problem

REWARDS = ("realised", "expected")


class Task(NamedTuple):
    """One training run: a market, a budget of transitions and a seed."""

    market: str
    budget: int
    seed: int

    @property
    def name(self) -> str:
        """What its run and its file are called."""
        return f"{self.market}-{self.budget}-{self.seed}"


@dataclass(frozen=True)
class Benchmark:
    """A version of the benchmark.

    Attributes:
        version: its number.
        markets: the problems by name, with realised rewards.
        budgets: transitions that an agent may see in training.
        seeds: of training.
    """

    version: int
    markets: Mapping[str, Problem]
    budgets: tuple[int, ...]
    seeds: tuple[int, ...]

    def tasks(
        self,
        markets: Sequence[str] | None = None,
        budgets: Sequence[int] | None = None,
        seeds: Sequence[int] | None = None,
    ) -> list[Task]:
        """The tasks of some markets, budgets and seeds; of all where None.

        Raises:
            ValueError: one of them is not part of the benchmark.
        """
        chosen = [
            Task(_validate.choice("market", market, self.markets), budget, seed)
            for market in (self.markets if markets is None else markets)
            for budget in (self.budgets if budgets is None else budgets)
            for seed in (self.seeds if seeds is None else seeds)
        ]
        for task in chosen:
            _member("budget", task.budget, self.budgets)
            _member("seed", task.seed, self.seeds)
        return chosen

    def problem(self, market: str, reward: str) -> Problem:
        """What is trained on: a market paid in a reward form.

        Args:
            market: its name.
            reward: "realised", or "expected" for the least noisy form there is: under CARA that is the surrogate.

        Raises:
            ValueError: there is no such market or reward form.
        """
        problem = self.markets[_validate.choice("market", market, self.markets)]
        reward = _validate.choice("reward", reward, REWARDS)
        if reward == "expected" and problem.objective.risk_aversion > 0:
            reward = "surrogate"
        return Problem(problem.market, problem.objective, reward)


def _member(name: str, value: int, allowed: Sequence[int]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, got {value!r}")


@lru_cache(maxsize=1)
def version_0() -> Benchmark:
    """Version 0 of the benchmark."""
    values = json.loads((Path(__file__).parent / "v0.json").read_text(encoding="utf-8"))
    markets = {name: Problem.from_dict({**one, "reward": "realised"}) for name, one in values["markets"].items()}
    return Benchmark(values["version"], markets, tuple(values["budgets"]), tuple(values["seeds"]))
