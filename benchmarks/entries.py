"""Entries of the benchmark (docs/benchmark.md): our PPO, and what Stable-Baselines3 gives for free.

    python -m evaluate benchmark --run benchmarks/entries.py:sb3_a2c --budgets 100000

Stable-Baselines3's algorithms run as they come, on 8 sessions side by side; nothing about them is tuned. Needs the
extra train.
"""

from __future__ import annotations

from typing import Any

import stable_baselines3

from evaluate.benchmark import Entry
from mmenv import Problem
from mmenv.envs import MarketMakingVecEnv
from train.config import from_preset
from train.loop import train_in_memory
from train.threads import use_threads

ENVIRONMENTS = 8
SB3 = "https://github.com/DLR-RM/stable-baselines3"


def stock(name: str, text: str) -> Entry:
    """An algorithm of Stable-Baselines3 with its defaults."""

    def train(problem: Problem, transitions: int, seed: int) -> Any:
        use_threads(1)
        env = MarketMakingVecEnv(ENVIRONMENTS, problem.market, problem.objective, reward=problem.reward, seed=seed)
        model = getattr(stable_baselines3, name)("MlpPolicy", env, seed=seed, device="cpu")
        rollout = ENVIRONMENTS * getattr(model, "n_steps", 1)
        return model.learn(transitions // rollout * rollout)  # whole rollouts, or it would overrun the budget

    settings = f"defaults of Stable-Baselines3, {ENVIRONMENTS} environments, device cpu, 1 thread"
    return Entry(f"SB3 {name}", f"{text}: {settings}", train, link=SB3)


def train_ours(problem: Problem, transitions: int, seed: int) -> Any:
    """Our recipe, as `python -m train` runs it."""
    changes = {"n_timesteps": transitions, "seed": seed, "env_kwargs": problem.to_dict()}
    return train_in_memory(from_preset("quick", changes))


ppo = Entry(
    "mmenv PPO",
    "python -m train --preset quick, with 100 rollouts of 20 minibatches, 1 thread",
    train_ours,
    tuned="the preset, by exact gap, on the default market with larger budgets; the two numbers above, by exact gap, "
    "in 18 trials of 1 to 3 seeds from 100 on, in AvellanedaStoikov and ToxicFlow",
)
sb3_ppo = stock("PPO", "Proximal policy optimisation")
sb3_a2c = stock("A2C", "Advantage actor-critic")
sb3_sac = stock("SAC", "Soft actor-critic")
sb3_td3 = stock("TD3", "Twin delayed DDPG")
