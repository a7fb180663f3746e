"""Does a fitted fill curve fit? A test, and by how much it misses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from mmenv.data.likelihood import Fit, Sample

BINS = 20
FEWEST_EXPECTED = 5.0
SIGNIFICANT = 0.01
WORTH_A_WORD = 0.1


@dataclass(frozen=True)
class Goodness:
    """How well a curve fits.

    Attributes:
        p_value: of the chi-square test; small where the curve is wrong.
        miss: the largest error of the fill probability of a step over all depths, in probability.
        miss_at: the depth at which it is [price].
        relative_miss: the same error in parts of the fill probability at the floor.
    """

    p_value: float
    miss: float
    miss_at: float
    relative_miss: float

    @property
    def fits(self) -> bool:
        """Whether the data do not contradict the curve, or do so by less than matters."""
        return self.p_value >= SIGNIFICANT or self.relative_miss <= WORTH_A_WORD


def goodness(fitted: Fit, seed: int = 0) -> Goodness:
    """Test a curve that was fitted to the reaches of steps.

    Each reach is known up to a cell, so it is drawn within its cell by the fitted law, and its probability is then
    uniform if the law is right (randomised probability integral transform; the seed pins the draw). A chi-square
    test compares its histogram with the uniform one: a bin for what lies below the floor and twenty for the rest.
    No degree of freedom is taken off for fitted parameters: with reaches on a grid the draw within cells hides most
    of what they absorb, and where it does not, the test is a little lenient.

    Args:
        fitted: to steps, under the poisson or the linear law.
        seed: of the draw.
    """
    data = fitted.data
    below = 1 - fitted.survival(data.high[:2])
    low = np.concatenate([np.zeros(2), 1 - fitted.survival(data.low[2:])])
    high = 1 - fitted.survival(data.high)
    hidden = float(below[np.array(data.steps) > 0].max())
    bins = int(min(BINS, max(2, len(data.cell) * (1 - hidden) // FEWEST_EXPECTED)))
    edges = np.concatenate([[0.0], np.linspace(hidden, 1.0, bins + 1)])
    observed = _spread(data.count, low, high, edges, np.random.default_rng(seed))
    expected = np.diff(edges) * len(data.cell)
    used = expected > 0
    chi = float(np.sum((observed[used] - expected[used]) ** 2 / expected[used]))
    freedom = max(1, int(np.count_nonzero(used)) - 1)
    depth, frequency = empirical(data)
    misses = np.abs(frequency - fitted.survival(depth))
    worst = int(np.argmax(misses))
    miss, at_floor = float(misses[worst]), float(frequency[0])
    return Goodness(float(stats.chi2.sf(chi, freedom)), miss, float(depth[worst]), miss / at_floor)


def _spread(
    count: np.ndarray, low: np.ndarray, high: np.ndarray, edges: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Histogram of uniform numbers, `count` of them between each `low` and `high`."""
    total = np.zeros(len(edges) - 1)
    for n, a, b in zip(count.tolist(), low.tolist(), high.tolist(), strict=True):
        share = np.diff(np.clip(edges, a, b))
        weight = share.sum()
        if n and weight > 0:
            total += rng.multinomial(n, share / weight)
        elif n:  # a cell too narrow to tell its ends apart
            total[min(int(np.searchsorted(edges, a, side="right")) - 1, len(total) - 1)] += n
    return total


def empirical(data: Sample) -> tuple[np.ndarray, np.ndarray]:
    """How often a quote at some depth would have filled within a step, at the depths where that is known.

    Between two neighbouring cells the frequency is known: from where the one ends to where the other begins. Where
    cells overlap, because the mid lay on a tick in some steps and between two in others, it belongs to the middle.

    Returns:
        Depths, rising [price], and frequencies, two of each for every cell.
    """
    beyond = np.cumsum(data.count[:1:-1])[::-1] / sum(data.steps)
    ends, begins = np.concatenate([[data.high[:2].max()], data.high[2:-1]]), data.low[2:]
    middle = (ends + begins) / 2
    depth = np.stack([np.minimum(ends, middle), np.maximum(begins, middle)], axis=1)
    return depth.ravel(), np.repeat(beyond, 2)
