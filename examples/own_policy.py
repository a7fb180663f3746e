"""A policy of one's own, graded exactly: any function of observations, or any table of quotes.

Run: python examples/own_policy.py
"""

import gymnasium
import numpy as np

import mmenv

env = gymnasium.make("mmenv/AvellanedaStoikov-v0")


def lean(observations: np.ndarray) -> np.ndarray:
    """Quote 0.7 away from the mid and lean 0.2 against each natural unit of inventory."""
    codec = env.unwrapped.problem.codec
    skew = 0.2 * observations[:, 0]
    return codec.actions(np.stack([0.7 + skew, 0.7 - skew], axis=-1))


class OneSided(mmenv.Policy):
    """Quote only the side that brings inventory back to zero, the other as far away as allowed."""

    def tabulate(self, market: mmenv.Market) -> mmenv.QuoteTable:
        q = market.inventories
        bid = np.where(q <= 0, 1 / market.depth_decay, market.max_depth)
        ask = np.where(q >= 0, 1 / market.depth_decay, market.max_depth)
        return mmenv.QuoteTable(np.broadcast_to(bid, market.grid_shape), np.broadcast_to(ask, market.grid_shape))


def main() -> dict[str, mmenv.Grade]:
    grades = {"lean": mmenv.grade(env, lean), "one-sided": mmenv.grade(env, OneSided())}
    for name, grade in grades.items():
        print(f"{name:10}", grade)
    return grades


if __name__ == "__main__":
    main()
