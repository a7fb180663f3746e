"""PPO that does the work of Stable-Baselines3's, with less around it.

`LeanPPO` is a drop-in subclass: same constructor, same callbacks and logger, same loss and gradients. What it
leaves out is bookkeeping: values and log-probabilities are computed once per rollout instead of at every
step, infos are looked at only when a session ends, one packed buffer is permuted once per epoch instead of
gathered per minibatch, and nothing waits for a number to be logged.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv

from train.guard import check, check_gradient
from train.perceptrons import Perceptrons

AT_ONCE = 4096  # rows whose activations fit a processor's cache
STATISTICS = ("entropy_loss", "policy_gradient_loss", "value_loss", "loss", "clip_fraction", "approx_kl")


class Minibatch(NamedTuple):
    """Rows of a rollout: observations (batch, entries), actions (batch, n), the rest (batch,)."""

    observations: torch.Tensor
    actions: torch.Tensor
    old_log_prob: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor
    old_values: torch.Tensor


class LeanPPO(PPO):
    """`stable_baselines3.PPO` for flat observations and continuous actions, with less overhead.

    Args:
        args, kwargs: those of `stable_baselines3.PPO`. Adam runs fused unless `policy_kwargs` says otherwise.

    Raises:
        ValueError: observations that are not a flat Box, actions that are not a Box, or gSDE.
    """

    _last_obs: np.ndarray
    _perceptrons: Perceptrons | None

    def __init__(self, *args: Any, policy_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        fused = {"optimizer_kwargs": {"eps": 1e-5, "fused": True}}
        super().__init__(*args, policy_kwargs=fused | (policy_kwargs or {}), **kwargs)  # type: ignore[misc]

    def _setup_model(self) -> None:
        flat = isinstance(self.observation_space, spaces.Box) and len(self.observation_space.shape) == 1
        if not flat or not isinstance(self.action_space, spaces.Box) or self.use_sde:
            raise ValueError(
                f"LeanPPO needs flat Box observations, Box actions and no gSDE, "
                f"got {self.observation_space}, {self.action_space}, use_sde={self.use_sde}"
            )
        super()._setup_model()
        self._perceptrons = Perceptrons.of(self.policy)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_perceptrons"]

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Play `n_rollout_steps` steps in every session and fill the buffer; False if the callback stopped it."""
        assert self._last_obs is not None
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        low, high = self.action_space.low, self.action_space.high  # type: ignore[attr-defined]
        for step in range(n_rollout_steps):
            with torch.no_grad():
                actions = self._sample(torch.as_tensor(self._last_obs, device=self.device)).cpu().numpy()
            check("action", actions, step, self.num_timesteps)
            new_obs, rewards, dones, infos = env.step(np.clip(actions, low, high))
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
        self._finish_rollout(rollout_buffer, dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _sample(self, observations: torch.Tensor) -> torch.Tensor:
        """Actions for one step of all sessions, shape (num_envs, n)."""
        if self._perceptrons is not None:
            return self._perceptrons.sample(observations)
        return self.policy.get_distribution(observations).get_actions()

    def _evaluate(
        self, observations: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Values, log-probabilities and entropies of actions."""
        return (self._perceptrons or self.policy.evaluate_actions)(observations, actions)

    def _check_terminal(self, infos: list[dict[str, Any]], step: int) -> None:
        last = [info["terminal_observation"] for info in infos if info.get("terminal_observation") is not None]
        if last:
            check("terminal observation", np.stack(last), step, self.num_timesteps)

    def _bootstrap_truncated(self, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]]) -> None:
        for i in np.flatnonzero(dones):
            if infos[i].get("TimeLimit.truncated", False) and infos[i].get("terminal_observation") is not None:
                last = self.policy.obs_to_tensor(infos[i]["terminal_observation"])[0]
                with torch.no_grad():
                    rewards[i] += self.gamma * self.policy.predict_values(last)[0].item()

    def _finish_rollout(self, buffer: RolloutBuffer, dones: np.ndarray) -> None:
        """Values, log-probabilities and advantages of a rollout, many rows at a time."""
        shape = buffer.rewards.shape
        observations = torch.from_numpy(buffer.observations).flatten(0, 1).to(self.device)
        actions = torch.from_numpy(buffer.actions).flatten(0, 1).to(self.device)
        with torch.no_grad():
            pieces = zip(observations.split(AT_ONCE), actions.split(AT_ONCE), strict=True)
            values, log_prob = (
                torch.cat(parts) for parts in zip(*(self._evaluate(*piece)[:2] for piece in pieces), strict=True)
            )
            last_values = self.policy.predict_values(torch.as_tensor(self._last_obs, device=self.device))
        buffer.values[:] = values.cpu().numpy().reshape(shape)
        buffer.log_probs[:] = log_prob.cpu().numpy().reshape(shape)
        buffer.compute_returns_and_advantage(last_values=last_values, dones=dones)

    def train(self) -> None:
        """Update the policy from the rollout in the buffer."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip_range = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        rollout, widths = self._pack()
        weights = list(self.policy.parameters())
        told: list[list[torch.Tensor]] = []
        for _ in range(self.n_epochs):
            self._n_updates += 1
            told.append([])
            for rows in rollout[torch.randperm(len(rollout))].split(self.batch_size):
                columns = rows.split(widths, dim=1)
                batch = Minibatch(columns[0], columns[1], *(column.squeeze(1) for column in columns[2:]))
                loss, statistics = self._loss(batch, clip_range)
                told[-1].append(statistics)
                if self.target_kl is not None and statistics[-1].item() > 1.5 * self.target_kl:
                    return self._log(told, clip_range)
                self._descend(loss, weights)
        self._log(told, clip_range)

    def _pack(self) -> tuple[torch.Tensor, list[int]]:
        """The rollout as one array of rows, and the widths of its columns in the order of `Minibatch`."""
        buffer, size = self.rollout_buffer, self.rollout_buffer.rewards.size
        names = ("observations", "actions", "log_probs", "advantages", "returns", "values")
        columns = [torch.from_numpy(getattr(buffer, name)).reshape(size, -1) for name in names]
        return torch.cat(columns, dim=1).to(self.device), [column.shape[1] for column in columns]

    def _loss(self, batch: Minibatch, clip_range: float) -> tuple[torch.Tensor, torch.Tensor]:
        """PPO's loss on a minibatch, and what is logged about it: see `STATISTICS`."""
        values, log_prob, entropy = self._evaluate(batch.observations, batch.actions)
        values = values.flatten()
        advantages = batch.advantages
        if self.normalize_advantage and len(advantages) > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        log_ratio = log_prob - batch.old_log_prob
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
        policy_loss = -torch.min(advantages * ratio, advantages * clipped).mean()
        if self.clip_range_vf is not None:
            reach = self.clip_range_vf(self._current_progress_remaining)  # type: ignore[operator]
            values = batch.old_values + (values - batch.old_values).clamp(-reach, reach)
        value_loss = self._value_loss(values, batch.returns)
        entropy_loss = log_prob.mean() if entropy is None else -entropy.mean()
        loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        with torch.no_grad():
            clip_fraction = ((ratio - 1).abs() > clip_range).float().mean()
            kl = (ratio - 1 - log_ratio).mean()
            return loss, torch.stack([entropy_loss, policy_loss, value_loss, loss, clip_fraction, kl])

    def _value_loss(self, values: torch.Tensor, returns: torch.Tensor) -> torch.Tensor:
        """The critic's loss on a minibatch."""
        return functional.mse_loss(values, returns)

    def _descend(self, loss: torch.Tensor, weights: list[torch.nn.Parameter]) -> None:
        """One step of the optimiser."""
        for weight in weights:
            weight.grad = None
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(weights, self.max_grad_norm)
        check_gradient(norm.item(), self.num_timesteps)
        self.policy.optimizer.step()

    def _log(self, told: list[list[torch.Tensor]], clip_range: float) -> None:
        """Log what stock PPO logs: means over all epochs, but the divergence over the last one and the last loss."""
        last = torch.stack(told[-1])
        means = torch.stack([statistics for epoch in told for statistics in epoch]).mean(dim=0)
        values = [*means[:3], last[-1, 3], means[4], last[:, 5].mean()]
        for name, value in zip(STATISTICS, values, strict=True):
            self.logger.record(f"train/{name}", value.item())
        buffer = self.rollout_buffer
        explained = explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        self.logger.record("train/explained_variance", explained)
        self.logger.record("train/std", self.policy.log_std.exp().mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", clip_range)
        if self.clip_range_vf is not None:
            reach = self.clip_range_vf(self._current_progress_remaining)  # type: ignore[operator]
            self.logger.record("train/clip_range_vf", reach)
