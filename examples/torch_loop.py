"""A plain torch loop on the Gymnasium vector environment: clipped policy gradients (PPO) in 60 lines.

Run: python examples/torch_loop.py [sessions]
"""

import sys

import gymnasium
import numpy as np
import torch

import mmenv


def advantages(rewards: torch.Tensor, values: torch.Tensor, decay: float = 0.8) -> torch.Tensor:
    """Generalised advantage estimates of whole sessions, shape (steps, sessions), undiscounted."""
    found, ahead, next_value = torch.empty_like(rewards), torch.zeros(rewards.shape[1]), torch.zeros(rewards.shape[1])
    for n in reversed(range(len(rewards))):
        ahead = rewards[n] + next_value - values[n] + decay * ahead
        found[n], next_value = ahead, values[n]
    return found


def main(sessions: int = 500, num_envs: int = 64) -> mmenv.Grade:
    torch.manual_seed(0)
    env = gymnasium.make_vec("mmenv/AvellanedaStoikov-v0", num_envs=num_envs, reward="expected")
    entries = env.single_observation_space.shape[0]
    actor, critic = (
        torch.nn.Sequential(torch.nn.Linear(entries, 64), torch.nn.Tanh(), torch.nn.Linear(64, outputs))
        for outputs in (2, 1)
    )
    optimiser = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=3e-3)
    noise = 0.1
    observation, _ = env.reset(seed=0)
    for session in range(sessions):
        seen, acted, paid, done = [], [], [], False
        while not done:
            seen.append(torch.from_numpy(observation))
            with torch.no_grad():
                acted.append(actor(seen[-1]) + noise * torch.randn(num_envs, 2))
            observation, reward, terminated, _, _ = env.step(acted[-1].numpy())
            paid.append(torch.from_numpy(reward).float())
            done = terminated.all()
        observation, *_ = env.step(np.zeros((num_envs, 2), dtype=np.float32))  # starts the next session

        states, actions, rewards = torch.stack(seen), torch.stack(acted), torch.stack(paid)
        with torch.no_grad():
            value = critic(states).squeeze(-1)
            distance = ((actions - actor(states)) ** 2).sum(-1)
        advantage = advantages(rewards - rewards.mean(), value)
        batch = [
            part.flatten(0, 1) for part in (states, actions, distance, advantage / advantage.std(), advantage + value)
        ]
        for rows in torch.randperm(advantage.numel()).split(1600):
            state, action, before, weight, target = (part[rows] for part in batch)
            log_ratio = (before - ((action - actor(state)) ** 2).sum(-1)) / (2 * noise**2)
            ratio = log_ratio.exp()
            gain = torch.minimum(ratio * weight, ratio.clamp(0.8, 1.2) * weight)
            loss = -gain.mean() + ((target - critic(state).squeeze(-1)) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (1 - session / sessions)

    grade = mmenv.grade(env, lambda states: actor(torch.from_numpy(states)).detach().numpy())
    print(grade)
    return grade


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
