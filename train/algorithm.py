"""PPO for market making: LeanPPO on centred rewards, with noise on a schedule and weights averaged at the end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.buffers import RolloutBuffer

from agents.ppo import Architecture, QuoteNetwork
from mmenv import Problem
from mmenv.dynamics import hedged_inventory
from mmenv.envs import MarketMakingVecEnv
from mmenv.spaces import depth_decay, relaxation_time, trading_rate
from train.advantages import expected_next_values, generalised_advantages, regime_means
from train.config import LARGEST_ROLLOUT, LEAST_ROLLOUTS, MINIBATCHES, TrainingConfig
from train.passes import Passes
from train.policy import QuotePolicy
from train.ppo import LeanPPO

LARGE_ERROR = 10.0  # of the critic, in units of `MarketMakingPPO.unit`


class MarketMakingPPO(LeanPPO):
    """PPO for one problem; every hyperparameter is in the problem's own units.

    Args:
        problem: what to train on.
        config: the hyperparameters.
    """

    policy: QuotePolicy

    def __init__(self, problem: Problem, config: TrainingConfig) -> None:
        self.problem = problem
        self.config = config
        market = problem.market
        sessions = max(1, round(_rollout_size(config) / market.steps))
        self._sessions = MarketMakingVecEnv(
            sessions,
            market,
            problem.objective,
            reward=problem.reward,
            tape=config.tape or None,
            regime_observation=problem.regime_observation,
        )
        architecture = Architecture.for_problem(problem, config.hidden, config.fold)
        super().__init__(
            QuotePolicy,
            self._sessions,
            learning_rate=lambda left: config.learning_rate * left,
            n_steps=market.steps,
            batch_size=_batch_size(config, sessions * market.steps),
            n_epochs=config.n_epochs,
            gamma=1.0,
            gae_lambda=gae_lambda(problem, config.gae_horizon),
            clip_range=config.clip_range,
            ent_coef=0.0,
            vf_coef=config.vf_coef,
            max_grad_norm=config.max_grad_norm,
            policy_kwargs={"architecture": architecture},
            seed=config.seed,
            device="cpu",
        )
        for weight in self.policy.weights.values():  # Adam would make these at its first step; a state has them
            self.policy.optimizer.state[weight].update(
                step=torch.zeros(()), exp_avg=torch.zeros_like(weight), exp_avg_sq=torch.zeros_like(weight)
            )
        self.centre = self.unit = 0.0
        self.reward_mean = math.nan
        self.average = QuoteNetwork(
            architecture, {name: values.copy() for name, values in self.policy.network.arrays.items()}
        )
        self.averaged = 0

    @property
    def graded_network(self) -> QuoteNetwork:
        """The network that is saved and graded: the average where it has begun, else the last weights."""
        return self.average if self.averaged else self.policy.network

    @property
    def noise(self) -> float:
        """Standard deviation of the noise on depths in the next rollout [price]."""
        done = min(self.num_timesteps / self.config.n_timesteps, 1.0)
        start, end = self.config.noise_start, self.config.noise_end
        return start * (end / start) ** done / depth_decay(self.problem.market)

    @property
    def episode(self) -> int:
        """Number of the sessions that the next rollout plays."""
        return self._sessions.episode

    def continue_from(self, episode: int) -> None:
        """Let the next rollout play the sessions of that number."""
        self._sessions.seek(self.config.seed, episode)
        self._last_obs = self._sessions.reset()
        self._last_episode_starts = np.ones(self.n_envs, dtype=bool)

    def collect_rollouts(self, *args: Any, **kwargs: Any) -> bool:
        """Play one session in every environment, with the noise of the schedule."""
        self.policy.log_std.data.fill_(math.log(self.noise / self.problem.codec.half_width))
        self._regimes: list[np.ndarray] = []
        return super().collect_rollouts(*args, **kwargs)

    def _passes(self) -> Passes:
        policy = self.policy
        return Passes(policy.network, [*policy.actor.parameters()], [*policy.critic.parameters()], policy.log_std)

    def _sample(self, passes: Passes) -> tuple[np.ndarray, np.ndarray]:
        self._regimes.append(self._sessions.regime)
        return super()._sample(passes)

    def _finish_rollout(self, passes: Passes, buffer: RolloutBuffer, dones: np.ndarray) -> None:
        """Centre the rewards, then compute values and advantages."""
        self._normalise(buffer.rewards)
        market, codec = self.problem.market, self.problem.codec
        if self.config.tape or not self.config.expected_next_value:  # a recording does not obey the market's fill law
            return super()._finish_rollout(passes, buffer, dones)
        grid = self._grid_values()
        # Fills come at the odds of the regime that is there; the critic knows no more of it than observations tell.
        inventory, regime = codec.inventory(buffer.observations), np.stack(self._regimes)
        if not codec.tells_regime:
            buffer.rewards -= regime_means(buffer.rewards, regime)
        actions = buffer.actions
        values = grid[np.arange(market.steps)[:, None], regime, inventory + market.max_inventory]
        if market.hedges:
            inventory = hedged_inventory(market, inventory, codec.hedges(actions[..., 2]))
        following = expected_next_values(market, grid, regime, inventory, codec.depths(actions[..., :2]))
        advantages = generalised_advantages(buffer.rewards + following - values, self.gae_lambda)
        buffer.values[:], buffer.advantages[:], buffer.returns[:] = values, advantages, advantages + values

    def _grid_values(self) -> np.ndarray:
        """The critic's values on the grid, shape (steps + 1, regimes, 2Q+1), 0 after the end."""
        observations = self.problem.codec.observations
        rows = observations.reshape(-1, observations.shape[-1])
        values = self.policy.network.values(rows).astype(np.float64).reshape(observations.shape[:-1])
        values[-1] = 0.0
        return values

    def _normalise(self, rewards: np.ndarray) -> None:
        """Centre and scale rewards, in place, by constants that follow their mean and spread.

        Without discounting, a constant taken off every reward changes no advantage of one action over another;
        it keeps the values that the critic must learn near zero. The scale keeps them of order one: early
        sessions can cost ten thousand times what later ones do, and would saturate the critic for good.
        """
        self.reward_mean = float(rewards.mean())
        relaxation = relaxation_time(self.problem.market, self.problem.objective) / self.problem.market.dt
        spread = float(rewards.std()) * math.sqrt(relaxation)
        rate = self.config.centre_rate if self.unit > 0 else 1.0
        self.centre += rate * (self.reward_mean - self.centre)
        self.unit += rate * (spread - self.unit)
        rewards -= self.centre
        rewards /= self.unit or 1.0

    def _value_loss(self, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The squared error, but linear beyond `LARGE_ERROR`: early sessions' errors would drown all others."""
        near = error.clip(-LARGE_ERROR, LARGE_ERROR)
        return near * (2.0 * error - near), 2.0 * near

    def train(self) -> None:
        """Update from the rollout, then take the weights into the average where it has begun."""
        super().train()
        if 1 - self.num_timesteps / self.config.n_timesteps < self.config.average_last:
            self.averaged += 1
            for name, values in self.policy.network.arrays.items():
                mean = self.average.arrays[name]
                mean += (values - mean) / self.averaged


def gae_lambda(problem: Problem, horizon: float) -> float:
    """GAE's lambda, from its horizon in expected fills per side: exp(-fills per step / horizon)."""
    return math.exp(-trading_rate(problem.market) * problem.market.dt / horizon)


def _rollout_size(config: TrainingConfig) -> int:
    """Transitions per rollout; a short run is cut into enough rollouts to learn from one to the next."""
    return config.rollout_size or min(LARGEST_ROLLOUT, config.n_timesteps // LEAST_ROLLOUTS)


def _batch_size(config: TrainingConfig, rollout: int) -> int:
    """The minibatch size closest to the configured one that cuts a rollout into (nearly) equal parts, >= 2."""
    parts = round(rollout / config.batch_size) if config.batch_size else MINIBATCHES
    return max(2, math.ceil(rollout / max(1, parts)))
