"""Many sessions side by side: the core under both vector shells."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from mmenv import _validate
from mmenv.dynamics import Fills, Quotes, State, initial_state, step
from mmenv.market import Market
from mmenv.problem import Problem
from mmenv.rewards import RewardParts
from mmenv.tape import BLOCK, Flow, draw_chunks


class Transition(NamedTuple):
    """One step of a batch; arrays of shape (num_envs, ...), the info's time a scalar."""

    observation: np.ndarray
    reward: np.ndarray
    done: bool
    outcome: tuple[State, Quotes, Fills, RewardParts]


class Batch:
    """Sessions that start and end together, each on its own column of the tape.

    Args:
        problem: the market, objective and reward form.
        num_envs: number of sessions, >= 1.
        tape: a recorded tape, or the file of one, whose sessions are played instead of the market's.
    """

    def __init__(self, problem: Problem, num_envs: int, tape: Any = None) -> None:
        self.problem = problem
        self._draw_chunks = chunks_of(problem, tape)
        self.num_envs = _validate.integer("num_envs", num_envs, at_least=1)
        self.seed: int | None = None
        self.episode = 0
        self.state = initial_state(problem.market, self.num_envs)
        self._flows: Iterator[Flow] = iter(())

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Start a session: the first of `seed`, or the next one of the seed in use, drawn at random if there is none.

        Returns:
            Observations, shape (num_envs, entries), float32.
        """
        if seed is not None:
            self.seed, self.episode = _validate.integer("seed", seed, at_least=0), 0
        elif self.seed is None:
            self.seed, self.episode = fresh_seed(), 0
        else:
            self.episode += 1
        self.state = initial_state(self.problem.market, self.num_envs)
        self._flows = self._draw()
        return self.problem.codec.observe(0, self.state.regime, self.state.inventory)

    def step(self, actions: np.ndarray) -> Transition:
        """Quote and play one step.

        Args:
            actions: shape (num_envs, 2), bid first; values beyond [-1, 1] are clipped.

        Raises:
            ValueError: wrong shape, or a value that is not a finite number.
            RuntimeError: the session is over or was never started.
        """
        problem = self.problem
        actions = np.asarray(actions)
        numbers = actions.dtype.kind in "fiub"
        if not numbers or actions.shape != (self.num_envs, 2) or not math.isfinite(actions.sum()):
            raise ValueError(f"actions must be finite numbers of shape {(self.num_envs, 2)}, got {actions!r}")
        flow = next(self._flows, None)
        if flow is None:
            raise RuntimeError("the sessions are over or were never started: call reset() before step()")
        quotes = Quotes(*problem.codec.depths(actions.T))
        before = self.state
        self.state, fills = step(problem.market, before, quotes, flow)
        parts = problem.rewards.parts(self.state, fills, flow.mid_move)
        reward = problem.rewards.reward(before, quotes, self.state, parts)
        observation = problem.codec.observe(self.state.step, self.state.regime, self.state.inventory)
        done = self.state.step == problem.market.steps
        return Transition(observation, reward, done, (self.state, quotes, fills, parts))

    def _draw(self) -> Iterator[Flow]:
        assert self.seed is not None
        blocks = range(-(-self.num_envs // BLOCK))
        for chunk in self._draw_chunks(self.problem.market, blocks, self.seed, self.episode):
            for rows in zip(*chunk, strict=True):
                yield Flow(*(row[: self.num_envs] for row in rows))

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the generator of the tape, which cannot be copied and follows from the rest."""
        return {name: value for name, value in self.__dict__.items() if name != "_flows"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._flows = iter(()) if self.seed is None else islice(self._draw(), self.state.step, None)


def chunks_of(problem: Problem, tape: Any) -> Callable[[Market, range, int, int], Iterator[tuple[np.ndarray, ...]]]:
    """What draws sessions: the market itself, or a recorded tape (docs/real-markets.md).

    Raises:
        ValueError: the tape does not fit the market, or the reward is not the realised one.
    """
    if tape is None:
        return draw_chunks
    from mmenv.data.replay import as_recorded

    return as_recorded(tape, problem.market, problem.reward).draw_chunks


def fresh_seed() -> int:
    """A seed drawn from the operating system's entropy."""
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])


def step_info(problem: Problem, state: State, quotes: Quotes, fills: Fills, parts: RewardParts) -> dict[str, Any]:
    """The `info` of a step: state, quotes, fills and the reward's parts; arrays (num_envs,), the time a scalar."""
    spread_earned, inventory_profit, penalty = parts
    return {
        **state_info(problem, state),
        "bid_depth": quotes.bid_depth,
        "ask_depth": quotes.ask_depth,
        "bid_fill": fills.bid,
        "ask_fill": fills.ask,
        "spread_earned": spread_earned,
        "inventory_profit": inventory_profit,
        "penalty": penalty,
    }


def state_info(problem: Problem, state: State) -> dict[str, Any]:
    """The `info` of a reset: time, mid, inventory, cash and wealth, and the regime where there are several."""
    step, regime, inventory, cash, mid = state
    info = {
        "time": step * problem.market.dt,
        "mid": mid,
        "inventory": inventory,
        "cash": cash,
        "wealth": cash + inventory * mid,
    }
    if problem.market.regimes > 1:
        info["regime"] = regime
    return info
