"""The Gymnasium environment: one session at a time, in Python numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from mmenv import _validate
from mmenv.dynamics import Quotes, initial_state, step
from mmenv.envs.batch import chunks_of, fresh_seed, state_info, step_info
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.problem import Problem
from mmenv.tape import BLOCK, Flow

if TYPE_CHECKING:
    from mmenv.data.replay import RecordedTape


class MarketMakingEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """Quote both sides of an Avellaneda-Stoikov market until the session ends.

    ## Description
    A maker quotes a bid below and an ask above the mid price. Takers reach a random depth on each side; a
    quote that they reach fills one unit. Then the mid moves. Inventory is charged by the objective, by default
    an exponential penalty. The exact optimum is known: `mmenv.solve(env.unwrapped.problem.market, ...)`,
    and `mmenv.grade(env, agent)` scores any agent against it.

    ## Action space
    `Box(-1, 1, (2,), float32)`: bid and ask depth, mapped affinely onto [min_depth, max_depth]; values beyond
    the box are clipped to it. At the inventory limit the side that would exceed it is not quoted. Where the market
    has a hedge venue, `Box(-1, 1, (3,), float32)`: the third number a trades the integer nearest to a Q at the mid,
    at a cost, before the quotes; what would lead beyond the limit is not traded.

    ## Observation space
    `Box((3,), float32)`, a function of step, inventory and regime only; with several regimes `Box((3 + regimes,))`:

    | entry | meaning | range |
    |---|---|---|
    | 0 | inventory in natural scales, q / L | [-Q/L, Q/L] |
    | 1 | time left t, as 2 t/T - 1 | [-1, 1] |
    | 2 | nearness of the end in relaxation times, 2 exp(-t/tau) - 1 | [-1, 1] |
    | 3 + z | 1 in regime z, else 0; only in a market of several regimes | [0, 1] |

    With `regime_observation="values"` entries 3 and on are the parameters that differ between regimes, each from 0 at
    its least to 1 at its most; with "hidden" the regime is not shown.

    ## Reward
    `realised` (default): what the step paid, spread earned + inventory profit - penalty; for CARA the increment
    of utility. `expected` (additive objectives): its expectation given state and quotes, same optimum and far
    less noise. `surrogate` (CARA): local mean-variance form.

    ## Episode end
    `terminated` after the last step, when time is T. Never truncated: the horizon is part of the model.

    ## Info
    `time`, `mid`, `inventory`, `cash`, `wealth` after the step, and `regime` where there are several;
    `bid_depth`, `ask_depth` as asked for; `bid_fill`, `ask_fill`; the reward's parts
    `spread_earned` (less fees and hedging costs), `inventory_profit`, `penalty`; with a hedge venue `hedge`, the
    units traded, and `hedge_cost`.

    ## Arguments
    Any field of `mmenv.Market` by name (or `market`), `objective`, `reward`, `regime_observation` ("one_hot", "values"
    or "hidden"), `render_mode`, and `index`: which
    of the streams of a seed this environment plays. Environment `index` of `MarketMakingVectorEnv` sees the same.
    `tape`: a recorded tape, or the file of one, to play instead of sessions of the market (docs/real-markets.md).

    ## Versions
    * v0: first version.

    Raises:
        TypeError: an unknown argument, or a value of the wrong type.
        ValueError: a value out of its range; the message names field, value and range.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 20}

    def __init__(
        self,
        market: Market | Mapping[str, Any] | None = None,
        objective: Objective | Mapping[str, Any] | None = None,
        reward: str = "realised",
        render_mode: str | None = None,
        index: int = 0,
        tape: RecordedTape | str | None = None,
        **parameters: Any,
    ) -> None:
        self.problem = Problem.from_arguments(market, objective, reward, **parameters)
        self._draw_chunks = chunks_of(self.problem, tape)
        if render_mode is not None:
            _validate.choice("render_mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self.index = _validate.integer("index", index, at_least=0)
        self.observation_space = self.problem.codec.observation_space
        self.action_space = self.problem.codec.action_space
        self._observations = self.problem.codec.observations
        self._centre, self._half_width = self.problem.codec.centre, self.problem.codec.half_width
        self._hedges = self.problem.market.hedges
        self._tick, (self._low, self._high) = self.problem.market.tick, self.problem.market.depth_range
        self._seed: int | None = None
        self._episode = 0
        self._state = initial_state(self.problem.market)
        self._flows: list[Flow] | None = None
        self._history: list[dict[str, Any]] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Start a session: the first of `seed`, or the next one of the seed in use, drawn at random if there is none.

        Args:
            seed: any integer >= 0.
            options: none are known; ignored.

        Returns:
            Observation, shape (entries,), and info.

        Raises:
            TypeError, ValueError: the seed is not an integer >= 0.
        """
        if seed is not None:
            seed = _validate.integer("seed", seed, at_least=0)
            self._seed, self._episode = seed, 0
        elif self._seed is None:
            self._seed, self._episode = fresh_seed(), 0
        else:
            self._episode += 1
        super().reset(seed=seed)
        self._state = initial_state(self.problem.market)
        self._flows = self._draw(self._seed)
        info = state_info(self.problem, self._state)
        self._history = [info]
        return self.problem.codec.observe(0, self._state.regime, 0), info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Quote and play one step.

        Args:
            action: two finite numbers, bid first; with a hedge venue a third, the hedge.

        Raises:
            ValueError: wrong shape, or a value that is not finite.
            RuntimeError: the session is over or was never started.
        """
        problem, before = self.problem, self._state
        quotes = self._quotes(action)
        if not self._flows:
            raise RuntimeError("the session is over or was never started: call reset() before step()")
        flow = self._flows.pop()
        state, fills = step(problem.market, before, quotes, flow)
        parts = problem.rewards.parts(state, fills, flow.mid_move)
        reward = float(problem.rewards.reward(before, quotes, state, parts))
        observation = self._observations[
            state.step, state.regime, state.inventory + problem.market.max_inventory
        ].copy()
        done = state.step == problem.market.steps
        self._state = state
        info = step_info(problem, state, quotes, fills, parts)
        if self.render_mode is not None:
            self._history.append(info)
        return observation, reward, done, False, info

    def render(self) -> str | np.ndarray | None:
        """The session so far: a line of text ("ansi") or a picture ("rgb_array", uint8, shape (height, width, 3)).

        Raises:
            ModuleNotFoundError: "rgb_array" without matplotlib; the message names the extra to install.
            RuntimeError: no session was ever started.
        """
        if self.render_mode is None:
            gymnasium.logger.warn("render() does nothing: pass render_mode='ansi' or 'rgb_array' to the environment")
            return None
        if not self._history:
            raise RuntimeError("there is nothing to show yet: call reset() before render()")
        from mmenv.envs import render

        return render.RENDERERS[self.render_mode](self.problem, self._history)

    def _quotes(self, action: np.ndarray) -> Quotes:
        try:
            numbers = action.tolist() if isinstance(action, np.ndarray) else list(map(float, action))
            bid, ask, hedge = numbers if self._hedges else (*numbers, 0.0)
            if not math.isfinite(bid + ask + hedge):
                raise ValueError
        except (TypeError, ValueError):
            wanted = "three finite numbers (bid, ask, hedge)" if self._hedges else "two finite numbers (bid, ask)"
            raise ValueError(f"action must be {wanted}, got {action!r}") from None
        centre, half_width = self._centre, self._half_width
        bid = centre + half_width * (-1.0 if bid < -1.0 else 1.0 if bid > 1.0 else bid)
        ask = centre + half_width * (-1.0 if ask < -1.0 else 1.0 if ask > 1.0 else ask)
        if self._tick is not None:
            bid, ask = self._on_tick(bid), self._on_tick(ask)
        if not self._hedges:
            return Quotes(bid, ask)
        return Quotes(bid, ask, round(max(-1.0, min(1.0, hedge)) * self.problem.market.max_inventory))

    def _on_tick(self, depth: float) -> float:
        """`Market.allowed` for one number, to the same bits."""
        assert self._tick is not None
        return min(max(math.floor(depth / self._tick + 0.5) * self._tick, self._low), self._high)

    def _draw(self, seed: int) -> list[Flow]:
        """The session's rows, last first, as Python floats."""
        block, column = divmod(self.index, BLOCK)
        rows: list[Flow] = []
        for chunk in self._draw_chunks(self.problem.market, range(block, block + 1), seed, self._episode):
            rows.extend(map(Flow, *(part[:, column].tolist() for part in chunk)))
        return rows[::-1]
