"""What each choice in the training recipe is worth: the recipe with one choice undone at a time, graded exactly.

    python benchmarks/training_ablation.py [--transitions 2048000] [--seeds 0 1 2] [--only "the recipe" ...]

Prints a Markdown table and writes it to benchmarks/results/training_ablation.json, the picture beside it as PNG.
Needs the extras train and report.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmenv import Problem
from mmenv.grading import Grade, grade
from mmenv.spaces import Codec

RESULTS = Path(__file__).parent / "results" / "training_ablation.json"
ENV = "mmenv/AvellanedaStoikov-v0"


class RawCodec(Codec):
    """Observations without scaling: inventory in units, steps left, and the fraction of the session left."""

    @property
    def observations(self) -> np.ndarray:  # type: ignore[override]
        market = self.market
        left = np.arange(market.steps, -1, -1)[:, None, None]
        shape = (market.steps + 1, market.regimes, 2 * market.max_inventory + 1)
        entries = (market.inventories, left, left / market.steps)
        return np.stack([np.broadcast_to(entry, shape) for entry in entries], axis=-1).astype(np.float32)

    def inventory(self, observations: np.ndarray) -> np.ndarray:
        return np.rint(observations[..., 0]).astype(np.int64)


def recipe(**changes: Any) -> Callable[[int, int], Grade]:
    """Our training with some fields of its configuration changed."""

    def train(seed: int, transitions: int) -> Grade:
        from train.config import TrainingConfig
        from train.loop import train_in_memory

        config = TrainingConfig(env=ENV, seed=seed, **{"n_timesteps": transitions, **changes})
        return grade(config.problem, train_in_memory(config))

    return train


def raw_observations(seed: int, transitions: int) -> Grade:
    """Our training on observations that are not scaled."""
    from agents.ppo import TrainedPolicy
    from train.algorithm import MarketMakingPPO
    from train.config import TrainingConfig

    config = TrainingConfig(env=ENV, seed=seed, n_timesteps=transitions)
    problem = replace(config.problem)
    problem.__dict__["codec"] = RawCodec(problem.market, problem.objective)
    algorithm = MarketMakingPPO(problem, config)
    algorithm.learn(transitions, log_interval=None)  # type: ignore[arg-type]
    return grade(problem, TrainedPolicy("raw", problem, algorithm.graded_network, {}))


def stock(reward: str, **settings: Any) -> Callable[[int, int], Grade]:
    """Stable-Baselines3's own PPO on our vector environment."""

    def train(seed: int, transitions: int) -> Grade:
        from stable_baselines3 import PPO

        from mmenv.envs import MarketMakingVecEnv

        env = MarketMakingVecEnv(8, reward=reward)
        model = PPO("MlpPolicy", env, seed=seed, device="cpu", **settings)
        model.learn(transitions)
        return grade(Problem(env.problem.market, env.problem.objective, reward), model)

    return train


SAMPLED = {"expected_next_value": False}
VARIANTS: dict[str, Callable[[int, int], Grade]] = {
    "the recipe": recipe(),
    "next values as sampled": recipe(**SAMPLED),
    "next values as sampled, GAE lambda 0.5": recipe(**SAMPLED, gae_horizon=0.37),
    "next values as sampled, realised rewards": recipe(**SAMPLED, env_kwargs={"reward": "realised"}),
    "GAE lambda 0.95": recipe(gae_horizon=5.0),
    "GAE lambda 0": recipe(gae_horizon=0.01),
    "noise constant at 0.3/k": recipe(noise_start=0.3, noise_end=0.3),
    "noise constant at 0.03/k": recipe(noise_start=0.03, noise_end=0.03),
    "no folding": recipe(fold=False),
    "observations not scaled": raw_observations,
    "last weights, no average": recipe(average_last=0.0),
    "networks of 64 x 64": recipe(hidden=(64, 64)),
    "SB3 defaults, expected rewards": stock("expected"),
    "SB3 defaults, undiscounted": stock("expected", gamma=1.0),
    "SB3 defaults, realised rewards": stock("realised"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--transitions", type=int, default=2_048_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    from train.threads import use_threads

    use_threads(1)
    rows = []
    for name in options.only:
        gaps, seconds = [], time.process_time()
        for seed in options.seeds:
            gaps.append(VARIANTS[name](seed, options.transitions).gap_percent)
        rows.append({"choice": name, "gaps": gaps, "cpu_seconds": (time.process_time() - seconds) / len(gaps)})
        print(line(rows[-1]), flush=True)
    options.output.parent.mkdir(exist_ok=True)
    result = {"env": ENV, "transitions": options.transitions, "seeds": options.seeds, "rows": rows}
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    draw(result, options.output.with_suffix(".png"))
    print("\n| choice undone | exact gap %, median | best to worst | CPU s |\n|---|---|---|---|")
    print("\n".join(line(row) for row in rows))


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    gaps = row["gaps"]
    return (
        f"| {row['choice']} | {statistics.median(gaps):.4f} | {min(gaps):.4f} to {max(gaps):.4f} "
        f"| {row['cpu_seconds']:.0f} |"
    )


def draw(result: dict[str, Any], path: Path) -> None:
    """A dot per seed, a bar at the median, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    rows = result["rows"][::-1]
    figure, axes = plt.subplots(figsize=(8, 0.38 * len(rows) + 1), layout="constrained")
    for i, row in enumerate(rows):
        axes.plot(row["gaps"], [i] * len(row["gaps"]), "o", color="tab:blue", alpha=0.6)
        axes.plot(statistics.median(row["gaps"]), i, "|", color="black", markersize=16)
    axes.set_yticks(range(len(rows)), [row["choice"] for row in rows])
    axes.set_xscale("log")
    axes.set_xlabel(f"exact gap [% of the optimum] after {result['transitions']:,} transitions")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
