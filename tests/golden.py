"""A golden trajectory per registered id: recorded once, compared for ever.

Each id is played twice with fixed actions, and what it shows is compared with a file in tests/golden_data:

- `raw`: on a tape made from raw bits of our own (SplitMix64, inverse distribution functions). Neither a change of
  NumPy's generators nor of its distributions can touch it.
- `drawn`: on the tape that the environment draws from seed 0. It pins our streams; NumPy promises the bits of SFC64,
  and says that how normals and exponentials are made of them may change in a minor version.

Inventories must be equal. Prices and rewards may differ by TOLERANCE: logarithms and exponentials may differ in the
last bits between processors and versions, and 200 of them are added up. `python -m tests.golden` records anew, to
be run only when a trajectory changes for a reason that the changelog states.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from statistics import NormalDist
from typing import Any
from unittest import mock

import gymnasium
import numpy as np

from mmenv.envs.registration import IDS
from mmenv.market import Market

FOLDER = Path(__file__).parent / "golden_data"
TOLERANCE = 1e-9
FLOAT32_TOLERANCE = 1e-6
EVERY = 5  # steps between recorded prices
TAPES = ("raw", "drawn")
MASK = 2**64 - 1


def split_mix(seed: int) -> Iterator[float]:
    """Uniform numbers in (0, 1) by Steele, Lea & Flood's SplitMix64 generator (2014)."""
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        yield (((mixed ^ (mixed >> 31)) >> 11) + 0.5) / 2**53


def raw_chunks(market: Market, *_: Any) -> Iterator[tuple[np.ndarray, ...]]:
    """A whole session from raw bits, in the place of `draw_chunks`; one column is enough."""
    uniform, normal = split_mix(2008), NormalDist()
    chain, knowing = split_mix(1989), split_mix(1985)
    z, rows = market.initial_regime, []
    for _ in range(market.steps):
        move = market.by_regime("volatility")[z, 0] * math.sqrt(market.dt) * normal.inv_cdf(next(uniform))
        move += market.move_mean[z, 0]
        reaches = [
            float(law.at(np.array(z)).reach(np.array([-math.log(next(uniform))]))[0])
            for law in (market.bid_law, market.ask_law)
        ]
        for reach, sign in zip(reaches, (-1, 1), strict=True):
            if next(knowing) < market.by_regime("informed_share")[z, 0] and reach > 0:
                move += sign * market.by_regime("informed_jump")[z, 0]
        z = int(np.searchsorted(np.cumsum(market.transition[z]), next(chain)))
        rows.append((move, *reaches, z))
    *parts, regimes = (np.array(column)[:, None] for column in zip(*rows, strict=True))
    yield (*parts, regimes) if market.regimes > 1 else tuple(parts)


def action(step: int, components: int) -> np.ndarray:
    """Actions that wander over the middle of the box, and now and then leave it; hedges are small and rare."""
    bid, ask = (((step * stride) % 17) / 17 - 0.6 for stride in (5, 7))
    hedge = ((step * 3) % 13 - 6) / 20 if step % 11 == 10 else 0.0
    return np.array([bid, -1.5 if step % 31 == 30 else ask, hedge][:components], dtype=np.float32)


def play(env_id: str, tape: str) -> dict[str, Any]:
    """The session as plain lists: inventories after every step, prices, rewards and observations after every fifth."""
    with mock.patch("mmenv.envs.batch.draw_chunks", raw_chunks) if tape == "raw" else nullcontext():
        env = gymnasium.make(env_id)
        env.reset(seed=0)
        shown: dict[str, list[Any]] = {name: [] for name in ("inventory", "mid", "cash", "reward", "observation")}
        step, total, done = 0, 0.0, False
        while not done:
            observation, reward, done, truncated, info = env.step(action(step, env.action_space.shape[0]))
            assert not truncated
            step, total = step + 1, total + reward
            shown["inventory"].append(int(info["inventory"]))
            if step % EVERY == 0:
                shown["mid"].append(info["mid"])
                shown["cash"].append(info["cash"])
                shown["reward"].append(reward)
                shown["observation"].append([float(entry) for entry in observation])
    return {"steps": step, "return": total, **shown}


def differences(env_id: str, tape: str) -> dict[str, float]:
    """How far the session of today is from the recorded one, figure by figure."""
    today, recorded = play(env_id, tape), json.loads(file_of(env_id).read_text(encoding="utf-8"))[tape]
    assert set(today) == set(recorded)
    return {
        name: float(np.max(np.abs(np.asarray(value) - np.asarray(recorded[name])))) for name, value in today.items()
    }


def bound(name: str) -> float:
    """The difference allowed in a figure."""
    exact = {"inventory": 0.0, "steps": 0.0, "observation": FLOAT32_TOLERANCE}
    return exact.get(name, TOLERANCE)


def file_of(env_id: str) -> Path:
    return FOLDER / f"{env_id.split('/')[1]}.json"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for env_id in IDS:
        sessions = {tape: play(env_id, tape) for tape in TAPES}
        lines = [
            f'  "{tape}": {{\n'
            + ",\n".join(f'    "{name}": {json.dumps(value)}' for name, value in session.items())
            + "\n  }"
            for tape, session in sessions.items()
        ]
        file_of(env_id).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        print(file_of(env_id))
