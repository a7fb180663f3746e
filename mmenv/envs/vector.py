"""The Gymnasium vector environment: many sessions at once, in NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from mmenv import _validate
from mmenv.envs.batch import Batch, state_info, step_info
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.problem import Problem

if TYPE_CHECKING:
    from mmenv.data.replay import RecordedTape


class MarketMakingVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many sessions of `MarketMakingEnv` side by side, in native NumPy.

    Environment i of a seed plays the same tape as `MarketMakingEnv(index=i)` under that seed, whatever
    `num_envs` is. All sessions have the same length, so they end together.

    Args:
        num_envs: number of sessions, >= 1.
        market: a Market or its fields; or give the fields by name in `parameters`.
        objective: an Objective or its mapping.
        reward: "realised", "expected" or "surrogate".
        render_mode: must be None; render a single environment instead.
        autoreset_mode: "NextStep" (Gymnasium's default), "SameStep" or "Disabled".
        tape: a recorded tape, or the file of one, to play instead of sessions of the market; see docs/real-markets.md.
        parameters: fields of Market.

    Raises:
        TypeError, ValueError: as `MarketMakingEnv` does.
    """

    def __init__(
        self,
        num_envs: int = 1,
        market: Market | Mapping[str, Any] | None = None,
        objective: Objective | Mapping[str, Any] | None = None,
        reward: str = "realised",
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        tape: RecordedTape | str | None = None,
        **parameters: Any,
    ) -> None:
        self.problem = Problem.from_arguments(market, objective, reward, **parameters)
        self.num_envs = _validate.integer("num_envs", num_envs, at_least=1)
        if render_mode is not None:
            raise ValueError(f"render_mode must be None for a vector environment, got {render_mode!r}")
        self.render_mode = None
        modes = {mode.value: mode for mode in AutoresetMode}
        name = autoreset_mode.value if isinstance(autoreset_mode, AutoresetMode) else autoreset_mode
        self.autoreset_mode = modes[_validate.choice("autoreset_mode", name, modes)]
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = self.problem.codec.observation_space
        self.single_action_space = self.problem.codec.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._batch = Batch(self.problem, self.num_envs, tape)
        self._done = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start the first session of `seed`, or the next one of the seed in use.

        Args:
            seed: any integer >= 0; one seed serves all sessions.
            options: `reset_mask` must select all sessions, as they end together; nothing else is known.

        Raises:
            TypeError, ValueError: the seed is not an integer >= 0, or the mask selects only some sessions.
        """
        if options and "reset_mask" in options and not np.all(options["reset_mask"]):
            raise ValueError("reset_mask must select every environment: sessions start and end together")
        if seed is not None:
            super().reset(seed=_validate.integer("seed", seed, at_least=0))
        self._done = False
        return self._batch.reset(seed), self._info(state_info(self.problem, self._batch.state))

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Quote and play one step in every session.

        Args:
            actions: shape (num_envs, 2), bid first.

        Returns:
            Observations (num_envs, entries) float32, rewards (num_envs,) float64, terminations, truncations, infos.

        Raises:
            ValueError: actions of the wrong shape or not finite.
            RuntimeError: the sessions are over (autoreset "Disabled") or were never started.
        """
        never = np.zeros(self.num_envs, dtype=bool)
        if self._done and self.autoreset_mode == AutoresetMode.NEXT_STEP:
            observation, info = self.reset()
            return observation, np.zeros(self.num_envs), never, never.copy(), info
        transition = self._batch.step(actions)
        observation, info = transition.observation, self._info(step_info(self.problem, *transition.outcome))
        terminated = np.full(self.num_envs, transition.done)
        if transition.done and self.autoreset_mode == AutoresetMode.SAME_STEP:
            final = np.empty(self.num_envs, dtype=object)
            final[:] = list(observation)
            ended = {"final_obs": final, "_final_obs": terminated.copy(), "final_info": info}
            observation, info = self.reset()
            info = {**info, **ended, "_final_info": terminated.copy()}
        else:
            self._done = transition.done
        return observation, transition.reward, terminated, never, info

    def _info(self, values: dict[str, Any]) -> dict[str, Any]:
        """Arrays for every session, with the masks that Gymnasium's vector wrappers look for."""
        everywhere = np.ones(self.num_envs, dtype=bool)
        info = {**values, "time": np.full(self.num_envs, values["time"])}
        for name in values:
            info["_" + name] = everywhere
        return info
