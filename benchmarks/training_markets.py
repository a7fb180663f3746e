"""One preset, untouched, in many markets: exact gap and skill of PPO as one parameter at a time is varied.

    python benchmarks/training_markets.py [--preset quick] [--seeds 0 1 2] [--only poisson ...]

Boxes of depths are in units of 1/k, as in the default market. Prints a Markdown table and writes it, with every
seed's figures, to benchmarks/results/training_markets.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

PENALTY, UTILITY = "mmenv/AvellanedaStoikov-v0", "mmenv/ExponentialUtility-v0"
RESULTS = Path(__file__).parent / "results" / "training_markets.json"
SMALL_STRAIGHT_GAP = 0.03


def _penalty(weight: float, rate: float = 0.3) -> dict[str, Any]:
    return {"objective": {"name": "exponential_penalty", "weight": weight, "rate": rate}}


def _decay(k: float) -> dict[str, Any]:
    return {"depth_decay": k, "min_depth": -1.5 / k, "max_depth": 4.5 / k}


MARKETS: dict[str, tuple[str, dict[str, Any]]] = {
    "default": (PENALTY, {}),
    "A=20": (PENALTY, {"arrival_rate": 20}),
    "A=500": (PENALTY, {"arrival_rate": 500}),
    "k=0.5": (PENALTY, _decay(0.5)),
    "k=5": (PENALTY, _decay(5.0)),
    "N=100": (PENALTY, {"steps": 100}),
    "N=1000": (PENALTY, {"steps": 1000}),
    "poisson": (PENALTY, {"fill_law": "poisson"}),
    "eta=0": (PENALTY, _penalty(0.0)),
    "eta=50": (PENALTY, _penalty(50.0)),
    "eta=50,kappa=0.5": (PENALTY, _penalty(50.0, 0.5)),
    "CARA": (UTILITY, {}),
    "CARA,sigma=0.5": (UTILITY, {"volatility": 0.5}),
    "CARA,sigma=5": (UTILITY, {"volatility": 5.0}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=MARKETS, default=list(MARKETS))
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=JSON", help="fields changed from the preset")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    changes = {name: json.loads(value) for name, value in (word.split("=", 1) for word in options.set)}
    rows = []
    for name in options.only:
        rows.append(measure(name, options.preset, options.seeds, changes))
        print(line(rows[-1]), flush=True)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps({"preset": options.preset, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    print(
        "\n| market | straight line, gap % | gap %, median (seeds) | skill, median | reached |\n|---|---|---|---|---|"
    )
    print("\n".join(line(row) for row in rows))


def measure(name: str, preset: str, seeds: list[int], changes: dict[str, Any]) -> dict[str, Any]:
    """Train in a market once per seed and grade the results."""
    from mmenv.grading import grade
    from train.config import from_preset
    from train.loop import train_in_memory

    env, kwargs = MARKETS[name]
    gaps, skills, seconds = [], [], []
    for seed in seeds:
        started = time.process_time()
        config = from_preset(preset, {"env": env, "env_kwargs": kwargs, "seed": seed, **changes})
        result = grade(config.problem, train_in_memory(config))
        seconds.append(time.process_time() - started)
        gaps.append(100 * result.gap / abs(result.optimum))
        skills.append(result.skill)
    straight = 100 * (result.optimum - result.linear_skew) / abs(result.optimum)
    return {"market": name, "straight_line_gap": straight, "gaps": gaps, "skills": skills, "cpu_seconds": seconds}


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    gap, skill = statistics.median(row["gaps"]), statistics.median(row["skills"])
    easy = row["straight_line_gap"] <= SMALL_STRAIGHT_GAP
    reached = skill > 0 or (easy and gap <= SMALL_STRAIGHT_GAP)
    seeds = " ".join(f"{value:.4f}" for value in row["gaps"])
    return (
        f"| {row['market']} | {row['straight_line_gap']:.4f} | {gap:.4f} ({seeds}) | {skill:.2f} "
        f"| {'yes' if reached else 'no'} |"
    )


if __name__ == "__main__":
    main()
