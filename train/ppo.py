"""PPO that does the work of Stable-Baselines3's, with less around it.

`LeanPPO` is a drop-in subclass: same constructor, same callbacks and logger, same loss and gradients. What it
leaves out is bookkeeping: the passes of the networks and the gradient of the loss are written out on arrays
(`train.passes`), values are computed once per rollout instead of at every step (so callbacks find none among the
locals), infos are looked at only when a session ends, and a rollout is shuffled once per epoch instead of gathered
per minibatch.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv

from train.guard import check, check_gradient
from train.passes import Passes

AT_ONCE = 2048  # rows whose activations fit a processor's cache


class Rows(NamedTuple):
    """Rows of a rollout: observations (batch, entries), actions (batch, n), the rest (batch,)."""

    observations: np.ndarray
    actions: np.ndarray
    old_log_prob: np.ndarray
    advantages: np.ndarray
    returns: np.ndarray
    old_values: np.ndarray

    def take(self, which: Any) -> Rows:
        """Some of the rows, by slice or by index."""
        return Rows(*(column[which] for column in self))


class Told(NamedTuple):
    """What is logged of a minibatch."""

    entropy_loss: float
    policy_gradient_loss: float
    value_loss: float
    loss: float
    clip_fraction: float
    approx_kl: float


class LeanPPO(PPO):
    """`stable_baselines3.PPO` for flat observations and continuous actions, with less overhead.

    That holds for `MlpPolicy` with its tanh networks, of any widths, on the CPU; with anything else it is stock PPO.

    Args:
        args, kwargs: those of `stable_baselines3.PPO`.
        policy_kwargs: likewise. Adam runs fused unless they have `optimizer_kwargs`.

    Raises:
        ValueError: observations that are not a flat Box, actions that are not a Box, or gSDE.
        Poisoned: while learning, a number that is not finite, or absurdly large, came up.
    """

    _last_obs: np.ndarray

    def __init__(self, *args: Any, policy_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        settings = dict(policy_kwargs or {})
        if settings.get("optimizer_class", torch.optim.Adam) is torch.optim.Adam:
            settings.setdefault("optimizer_kwargs", {"eps": 1e-5, "fused": True})
        super().__init__(*args, policy_kwargs=settings, **kwargs)  # type: ignore[misc]

    def _setup_model(self) -> None:
        flat = isinstance(self.observation_space, spaces.Box) and len(self.observation_space.shape) == 1
        if not flat or not isinstance(self.action_space, spaces.Box) or self.use_sde:
            raise ValueError(
                f"LeanPPO needs flat Box observations, Box actions and no gSDE, "
                f"got {self.observation_space}, {self.action_space}, use_sde={self.use_sde}"
            )
        super()._setup_model()

    def _passes(self) -> Passes | None:
        """The policy's passes as arrays; None if it has none, and stock PPO is to do the work."""
        return Passes.of_mlp_policy(self.policy) if type(self.rollout_buffer) is RolloutBuffer else None

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Play `n_rollout_steps` steps in every session and fill the buffer; False if the callback stopped it."""
        if self._passes() is None:
            return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        passes = self._passes()  # on the weights that the callback left
        assert self._last_obs is not None
        assert passes is not None
        low, high = self.action_space.low, self.action_space.high  # type: ignore[attr-defined]
        noise = np.empty(rollout_buffer.actions.shape, dtype=np.float32)
        for step in range(n_rollout_steps):
            actions, noise[step] = self._sample(passes)
            check("action", actions, step, self.num_timesteps)
            new_obs, rewards, dones, infos = env.step(actions.reshape(-1, *low.shape).clip(low, high))
            assert isinstance(new_obs, np.ndarray)
            check("reward", rewards, step, self.num_timesteps)
            check("observation", new_obs, step, self.num_timesteps)
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            if dones.any():
                self._update_info_buffer(infos, dones)
                self._check_terminal(infos, step)
                self._bootstrap_truncated(rewards, dones, infos)
            rollout_buffer.observations[step] = self._last_obs
            rollout_buffer.actions[step] = actions
            rollout_buffer.rewards[step] = rewards
            rollout_buffer.episode_starts[step] = self._last_episode_starts
            self._last_obs, self._last_episode_starts = new_obs, dones
        rollout_buffer.pos, rollout_buffer.full = n_rollout_steps, True
        rollout_buffer.log_probs[:] = passes.log_prob(noise)
        self._finish_rollout(passes, rollout_buffer, dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _sample(self, passes: Passes) -> tuple[np.ndarray, np.ndarray]:
        """Actions for one step of all sessions, and the noise in them; both of shape (num_envs, n)."""
        return passes.sample(self._last_obs)

    def _check_terminal(self, infos: list[dict[str, Any]], step: int) -> None:
        ends = [info.get("terminal_observation") for info in infos]
        last = [seen if end is None else end for seen, end in zip(self._last_obs, ends, strict=True)]
        check("terminal observation", np.stack(last), step, self.num_timesteps)

    def _bootstrap_truncated(self, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]]) -> None:
        for i in np.flatnonzero(dones):
            if infos[i].get("TimeLimit.truncated", False) and infos[i].get("terminal_observation") is not None:
                last = self.policy.obs_to_tensor(infos[i]["terminal_observation"])[0]
                with torch.no_grad():
                    rewards[i] += self.gamma * self.policy.predict_values(last)[0].item()

    def _finish_rollout(self, passes: Passes, buffer: RolloutBuffer, dones: np.ndarray) -> None:
        """Values and advantages of a rollout, many rows at a time."""
        values, observations = buffer.values.reshape(-1), buffer.observations.reshape(buffer.values.size, -1)
        for start in range(0, len(values), AT_ONCE):
            values[start : start + AT_ONCE] = passes.network.values(observations[start : start + AT_ONCE])
        last_values = torch.from_numpy(passes.network.values(self._last_obs))
        buffer.compute_returns_and_advantage(last_values=last_values, dones=dones)

    @np.errstate(over="ignore", invalid="ignore")  # what overflows ends in a gradient, and these are checked
    def train(self) -> None:
        """Update the policy from the rollout in the buffer."""
        passes = self._passes()
        if passes is None:
            return super().train()
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip_range = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        rollout = self._rollout()
        count = len(rollout.advantages)
        told: list[list[Told]] = []
        for _ in range(self.n_epochs):
            self._n_updates += 1
            told.append([])
            rows = rollout.take(torch.randperm(count).numpy())
            for start in range(0, count, self.batch_size):
                batch = rows.take(slice(start, start + self.batch_size))
                told[-1].append(self._gradient(passes, batch, clip_range))
                if self.target_kl is not None and told[-1][-1].approx_kl > 1.5 * self.target_kl:
                    return self._log(told, clip_range)
                self._descend(passes.gradient)
        self._log(told, clip_range)

    def _rollout(self) -> Rows:
        buffer = self.rollout_buffer
        count = buffer.rewards.size
        names = ("log_probs", "advantages", "returns", "values")
        actions = buffer.actions.reshape(count, -1).astype(np.float32, copy=False)
        return Rows(
            buffer.observations.reshape(count, -1), actions, *(getattr(buffer, name).reshape(count) for name in names)
        )

    def _gradient(self, passes: Passes, batch: Rows, clip_range: float) -> Told:
        """Leave the gradient of PPO's loss on a minibatch in `passes.gradient`."""
        count = len(batch.advantages)
        if self.normalize_advantage and count > 1:
            centred = batch.advantages - batch.advantages.mean()
            deviation = math.sqrt(centred @ centred / (count - 1))
            batch = batch._replace(advantages=centred / (deviation + 1e-8))
        passes.gradient[:] = 0.0
        passes.add_entropy_gradient(-self.ent_coef)
        starts = range(0, count, AT_ONCE)
        pieces = (batch if count <= AT_ONCE else batch.take(slice(start, start + AT_ONCE)) for start in starts)
        sums = [self._add_gradient(passes, piece, 1 / count, clip_range) for piece in pieces]
        surrogate, value_loss, clipped, kl = (sum(parts) / count for parts in zip(*sums, strict=True))
        loss = -surrogate - self.ent_coef * passes.entropy + self.vf_coef * value_loss
        return Told(-passes.entropy, -surrogate, value_loss, loss, clipped, kl)

    def _add_gradient(
        self, passes: Passes, rows: Rows, share: float, clip_range: float
    ) -> tuple[float, float, float, float]:
        """Add some rows' part of the gradient, each weighing `share`; sums of what is logged over these rows."""
        found = passes.evaluate(rows.observations, rows.actions)
        log_ratio = found.log_prob - rows.old_log_prob
        ratio = np.exp(log_ratio)
        gain = rows.advantages * ratio
        least = rows.advantages * ratio.clip(1 - clip_range, 1 + clip_range)
        by_log_prob = np.where(gain <= least, gain, 0.0)
        by_log_prob *= -share
        change = found.values - rows.old_values
        reach = self._value_reach
        error = (
            found.values - rows.returns
            if reach is None
            else rows.old_values + change.clip(-reach, reach) - rows.returns
        )
        value_loss, by_value = self._value_loss(error)
        if reach is not None:
            by_value = by_value * (np.abs(change) <= reach)
        passes.add_gradients(found, self.vf_coef * share * by_value, by_log_prob)
        clipped = np.count_nonzero(np.abs(ratio - 1) > clip_range)
        divergence = ratio - 1 - log_ratio
        return float(np.minimum(gain, least).sum()), float(value_loss.sum()), float(clipped), float(divergence.sum())

    def _value_loss(self, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The critic's loss in each row, and its derivative, from value less return; all of shape (batch,)."""
        return error * error, 2.0 * error

    def _descend(self, gradient: np.ndarray) -> None:
        """One step of the optimiser along a gradient that is clipped first, in place."""
        norm = math.sqrt(gradient @ gradient)
        check_gradient(norm, self.num_timesteps)
        gradient *= min(1.0, self.max_grad_norm / (norm + 1e-6))
        self.policy.optimizer.step()

    def _log(self, told: list[list[Told]], clip_range: float) -> None:
        """Log what stock PPO logs: means over all epochs, but the divergence over the last one and the last loss."""
        minibatches = [minibatch for epoch in told for minibatch in epoch]
        means = Told(*np.mean(minibatches, axis=0))
        kl = float(np.mean([minibatch.approx_kl for minibatch in told[-1]]))
        for name, value in means._replace(loss=minibatches[-1].loss, approx_kl=kl)._asdict().items():
            self.logger.record(f"train/{name}", float(value))
        buffer = self.rollout_buffer
        explained = explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        self.logger.record("train/explained_variance", explained)
        self.logger.record("train/std", self.policy.log_std.exp().mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", clip_range)
        if self.clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", self._value_reach)

    @property
    def _value_reach(self) -> float | None:
        """How far a value may move from what it was in the rollout; None for any distance."""
        if self.clip_range_vf is None:
            return None
        return self.clip_range_vf(self._current_progress_remaining)  # type: ignore[operator]
