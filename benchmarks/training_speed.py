"""How fast LeanPPO trains beside stock Stable-Baselines3 PPO: the same work on the same vector environment.

    python benchmarks/training_speed.py [--repeats 5]

Both collect rollouts and update from them with equal settings; what is compared is the processor time of whole
iterations, medians of interleaved repeats. Only the ratios mean anything on another machine.
"""

from __future__ import annotations

import argparse
import statistics
import time

# Sessions side by side, steps per rollout, minibatch, epochs: SB3's defaults first, then larger and larger batches.
SETTINGS = ((8, 2048, 64, 10), (8, 2048, 256, 10), (64, 200, 512, 10), (128, 200, 2048, 6), (512, 200, 4096, 6))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--settings", type=int, nargs="+", default=list(range(len(SETTINGS))))
    options = parser.parse_args()
    from stable_baselines3 import PPO

    from train.ppo import LeanPPO
    from train.threads import use_threads

    use_threads(1)
    print("| sessions | steps | minibatch | epochs | stock, us/transition | lean | ratio: rollouts | updates | all |")
    print("|---|---|---|---|---|---|---|---|---|")
    for index in options.settings:
        sessions, steps, batch, epochs = SETTINGS[index]
        stock, lean = (Timed(kind, sessions, steps, batch, epochs) for kind in (PPO, LeanPPO))
        for _ in range(options.repeats + 1):  # the first is a warm-up
            stock.iterate()
            lean.iterate()
        (s_play, s_update), (l_play, l_update) = stock.medians(), lean.medians()
        scale = 1e6 / (sessions * steps)
        print(
            f"| {sessions} | {steps} | {batch} | {epochs} | {(s_play + s_update) * scale:.1f} "
            f"| {(l_play + l_update) * scale:.1f} | {s_play / l_play:.2f} | {s_update / l_update:.2f} "
            f"| **{(s_play + s_update) / (l_play + l_update):.2f}** |",
            flush=True,
        )


class Timed:
    """A model whose iterations are timed in two parts."""

    def __init__(self, kind: type, sessions: int, steps: int, batch: int, epochs: int) -> None:
        from mmenv.envs import MarketMakingVecEnv

        env = MarketMakingVecEnv(sessions, reward="expected")
        self.model = kind(
            "MlpPolicy", env, n_steps=steps, batch_size=batch, n_epochs=epochs, device="cpu", seed=0, gamma=1.0
        )
        self.times: list[tuple[float, float]] = []
        _, self.callback = self.model._setup_learn(10**9)

    def iterate(self) -> None:
        """One rollout and the update from it."""
        model = self.model
        started = time.process_time()
        model.collect_rollouts(model.env, self.callback, model.rollout_buffer, model.n_steps)
        played = time.process_time()
        model.train()
        self.times.append((played - started, time.process_time() - played))

    def medians(self) -> tuple[float, float]:
        """Seconds of a rollout and of an update."""
        plays, updates = zip(*self.times[1:], strict=True)
        return statistics.median(plays), statistics.median(updates)


if __name__ == "__main__":
    main()
