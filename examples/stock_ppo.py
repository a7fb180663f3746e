"""Stock Stable-Baselines3 PPO, graded exactly: within 1 % of the optimum in under a minute.

Run: python examples/stock_ppo.py [transitions]
"""

import sys

from stable_baselines3 import PPO

import mmenv
from mmenv.envs import MarketMakingVecEnv

SETTINGS = {
    "n_steps": 200,
    "batch_size": 3200,
    "n_epochs": 6,
    "learning_rate": lambda left: 1e-3 * left,
    "gamma": 1.0,
    "gae_lambda": 0.8,
    "policy_kwargs": {"log_std_init": -2.0, "net_arch": [64, 64]},
}


def main(transitions: int = 1_500_000) -> mmenv.Grade:
    env = MarketMakingVecEnv(num_envs=64, reward="expected", seed=0)
    print("PPO with", {name: value for name, value in SETTINGS.items() if name != "learning_rate"})
    model = PPO("MlpPolicy", env, seed=0, device="cpu", **SETTINGS)
    model.learn(transitions)
    grade = mmenv.grade(env, model)
    print(grade)
    return grade


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
