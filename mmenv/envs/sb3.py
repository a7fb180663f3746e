"""The Stable-Baselines3 VecEnv: many sessions at once, with the autoreset that SB3 expects."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmenv._extras import needs
from mmenv.envs.batch import Batch, state_info, step_info
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.problem import Problem

with needs("train"):
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env.base_vec_env import VecEnv

if TYPE_CHECKING:
    from mmenv.data.replay import RecordedTape


class MarketMakingVecEnv(VecEnv):
    """Many sessions of `MarketMakingEnv` side by side, for Stable-Baselines3.

    Sessions end together and restart within the same step, as SB3 expects. The `info` of an ended session
    carries `terminal_observation`, `episode` (return, length, seconds) and everything that `MarketMakingEnv`
    reports; the infos of other steps are empty unless `step_info` is set, since dictionaries for every
    session and step would cost more than the step. Reaching T is termination, not truncation.

    Args:
        num_envs: number of sessions, >= 1.
        market: a Market or its fields; or give the fields by name in `parameters`.
        objective: an Objective or its mapping.
        reward: "realised", "expected" or "surrogate".
        seed: any integer >= 0, for the first reset; None draws one at random.
        step_info: fill the infos at every step.
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
        seed: int | None = None,
        step_info: bool = False,
        tape: RecordedTape | str | None = None,
        **parameters: Any,
    ) -> None:
        self.problem = Problem.from_arguments(market, objective, reward, **parameters)
        self._batch = Batch(self.problem, num_envs, tape)
        self._next_seed = seed
        self._step_info = step_info
        self._actions = np.zeros((num_envs, 2))
        self.render_mode: str | None = None
        super().__init__(num_envs, self.problem.codec.observation_space, self.problem.codec.action_space)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next reset. One seed serves all sessions; their streams share nothing."""
        self._next_seed = seed
        return [seed] * self.num_envs

    @property
    def episode(self) -> int:
        """Number of the sessions being played, among those of the seed in use."""
        return self._batch.episode

    @property
    def regime(self) -> np.ndarray:
        """The regime that each session is in, shape (num_envs,), whether or not observations show it."""
        return np.array(np.broadcast_to(self._batch.state.regime, self.num_envs))

    def seek(self, seed: int, episode: int) -> None:
        """Let the next reset start the sessions of that number under that seed."""
        self._next_seed = None
        self._batch.seed, self._batch.episode = seed, episode - 1

    def reset(self) -> np.ndarray:
        """Start the sessions of the seed set last, or the next ones of the seed in use."""
        observation = self._batch.reset(self._next_seed)
        self._next_seed = None
        self._returns = np.zeros(self.num_envs)
        self._started = time.perf_counter()
        self.reset_infos = (
            self._infos(state_info(self.problem, self._batch.state)) if self._step_info else self._empty()
        )
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions, shape (num_envs, 2), bid first."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Play one step: observations, rewards, dones and infos.

        Raises:
            ValueError: actions of the wrong shape or not finite.
        """
        transition = self._batch.step(self._actions)
        self._returns += transition.reward
        observation = transition.observation
        told = self._step_info or transition.done
        infos = self._infos(step_info(self.problem, *transition.outcome)) if told else self._empty()
        if transition.done:
            seconds = round(time.perf_counter() - self._started, 6)
            for info, last, total in zip(infos, observation, self._returns.tolist(), strict=True):
                info["terminal_observation"] = last
                info["TimeLimit.truncated"] = False
                info["episode"] = {"r": total, "l": self.problem.market.steps, "t": seconds}
            observation = self.reset()
        return observation, transition.reward.astype(np.float32), np.full(self.num_envs, transition.done), infos

    def _empty(self) -> list[dict[str, Any]]:
        return [{} for _ in range(self.num_envs)]

    def _infos(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        columns = [np.broadcast_to(value, self.num_envs).tolist() for value in values.values()]
        return [dict(zip(values, row, strict=True)) for row in zip(*columns, strict=True)]

    def close(self) -> None:
        """Nothing to release."""

    def _indices(self, indices: int | Iterable[int] | None) -> list[int]:
        return list(self._get_indices(indices))

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """The attribute of the batch, once per selected session."""
        return [getattr(self, attr_name) for _ in self._indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None) -> None:
        """Refused: sessions of a batch share their problem, which is frozen.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(f"{attr_name} cannot be set: sessions share one frozen problem; make a new environment")

    def env_method(
        self, method_name: str, *args: Any, indices: int | Iterable[int] | None = None, **kwargs: Any
    ) -> list[Any]:
        """Refused: the sessions of a batch are columns of arrays, not objects with methods.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(f"{method_name} cannot be called: sessions are columns of arrays, not objects")

    def env_is_wrapped(self, wrapper_class: type, indices: int | Iterable[int] | None = None) -> list[bool]:
        """Whether the wrapper's work is done for every selected session: that of SB3's Monitor is, no other's."""
        return [issubclass(wrapper_class, Monitor) for _ in self._indices(indices)]
