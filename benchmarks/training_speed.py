"""How fast LeanPPO trains beside stock Stable-Baselines3 PPO: the same work on the same vector environment.

    python benchmarks/training_speed.py [--repeats 5]
    python benchmarks/training_speed.py --curves 10

Both collect rollouts and update from them with equal settings; what is compared is the processor time of whole
iterations, medians of interleaved repeats. Only the ratios mean anything on another machine. With `--curves`, what
is compared is what they learn: exact gaps after each rollout, over as many seeds, other ones for either.
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
    parser.add_argument("--curves", type=int, metavar="SEEDS", help="compare learning curves instead")
    options = parser.parse_args()
    if options.curves:
        return compare_curves(options.curves)
    compare_speed(options.settings, options.repeats)


def compare_speed(settings: list[int], repeats: int) -> None:
    """Print how long whole iterations take."""
    from stable_baselines3 import PPO

    from train.ppo import LeanPPO
    from train.threads import use_threads

    use_threads(1)
    print("| sessions | steps | minibatch | epochs | stock, us/transition | lean | ratio: rollouts | updates | all |")
    print("|---|---|---|---|---|---|---|---|---|")
    for index in settings:
        sessions, steps, batch, epochs = SETTINGS[index]
        stock, lean = (Timed(kind, sessions, steps, batch, epochs) for kind in (PPO, LeanPPO))
        for _ in range(repeats + 1):  # the first is a warm-up
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


def compare_curves(seeds: int, rollouts: int = 8) -> None:
    """Print the exact gaps of both after each rollout, and how surprising their difference would be by chance."""
    from scipy.stats import ks_2samp
    from stable_baselines3 import PPO

    from train.ppo import LeanPPO
    from train.threads import use_threads

    use_threads(1)
    stock, lean = (
        [curve(kind, first + i, rollouts) for i in range(seeds)] for kind, first in ((PPO, 0), (LeanPPO, seeds))
    )
    print("| transitions | stock: gap %, median | best to worst | lean | best to worst | Kolmogorov-Smirnov p |")
    print("|---|---|---|---|---|---|")
    for i, columns in enumerate(zip(zip(*stock, strict=True), zip(*lean, strict=True), strict=True)):
        cells = [f"{statistics.median(gaps):.2f} | {min(gaps):.2f} to {max(gaps):.2f}" for gaps in columns]
        chance = ks_2samp(*columns).pvalue
        print(f"| {(i + 1) * SETTINGS[0][0] * SETTINGS[0][1]:,} | {' | '.join(cells)} | {chance:.2f} |")


def curve(kind: type, seed: int, rollouts: int) -> list[float]:
    """Exact gaps in percent after each rollout, with the defaults of Stable-Baselines3 but no discounting."""
    from mmenv.envs import MarketMakingVecEnv
    from mmenv.grading import grade

    env = MarketMakingVecEnv(SETTINGS[0][0], reward="expected")
    model = kind("MlpPolicy", env, device="cpu", seed=seed, gamma=1.0)
    gaps = []
    for _ in range(rollouts):
        model.learn(SETTINGS[0][0] * SETTINGS[0][1], reset_num_timesteps=False)
        gaps.append(grade(env.problem, model).gap_percent)
    return gaps


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
