"""The fill laws: probabilities, the reach that gives exactly them, and the best depth of a side."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

from mmenv import Market
from mmenv.fills import FILL_LAWS, FillLaw, LinearLaw, PoissonLaw

BOTH = pytest.mark.parametrize("kind", [LinearLaw, PoissonLaw])
DEPTHS = np.array([-1.0, -0.3, 0.0, 0.4, 1.0, 2.5, 20.0])


def plain_probability(law: FillLaw, depth: float) -> float:
    arrivals = law.expected_arrivals * math.exp(-law.decay * depth)
    if law.name == "linear":
        return min(1.0, arrivals)
    return 1 - math.exp(-arrivals) if arrivals > 3e-4 else arrivals - arrivals**2 / 2 + arrivals**3 / 6


@BOTH
@pytest.mark.parametrize("arrivals", [0.02, 0.7, 1.0, 28.0])
def test_probability_is_the_law(kind: type[FillLaw], arrivals: float) -> None:
    law = kind(arrivals, 1.5)
    expected = [plain_probability(law, depth) for depth in DEPTHS]
    np.testing.assert_allclose(law.probability(DEPTHS), expected, rtol=1e-11)
    assert law.probability(np.inf) == 0
    assert law.probability(-1e6) == 1


@BOTH
def test_log_chances_keep_what_is_rare(kind: type[FillLaw]) -> None:
    law = kind(0.7, 1.5)
    fill, miss = law.log_chances(DEPTHS)
    np.testing.assert_allclose(np.exp(fill), law.probability(DEPTHS), rtol=1e-14)
    np.testing.assert_allclose(np.exp(miss), 1 - law.probability(DEPTHS), rtol=1e-14)
    fill, miss = law.log_chances(np.array([400.0, -2.5]))
    assert fill[0] == pytest.approx(math.log(0.7) - 600, rel=1e-15)
    assert miss[0] == pytest.approx(-math.exp(math.log(0.7) - 600), rel=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert law.log_chances(1.7e308)[0] == -np.inf
    assert miss[1] == (-np.inf if kind is LinearLaw else pytest.approx(-0.7 * math.exp(3.75), rel=1e-14))


@BOTH
@pytest.mark.parametrize("arrivals", [0.05, 0.7, 1.0, 3.0])
def test_reach_beats_a_depth_exactly_as_often_as_the_law_says(kind: type[FillLaw], arrivals: float) -> None:
    # With E ~ Exp(1), e^{-E} is uniform, and so is 1 - e^{-E}: the law is a threshold on one of the two.
    law = kind(arrivals, 1.5)
    for depth in DEPTHS:
        p = plain_probability(law, depth)
        if p == 1:  # capped
            assert (law.reach(np.array([1e-9, 1.0, 30.0])) > depth).all()
            continue
        # linear: fills iff e^{-E} < p, E large; poisson: fills iff 1 - e^{-E} < p, E small.
        edge = -math.log(p) if kind is LinearLaw else -math.log1p(-p)
        inside, outside = (edge * (1 + 1e-7), edge * (1 - 1e-7))
        if kind is PoissonLaw:
            inside, outside = outside, inside
        assert law.reach(np.array([inside]))[0] > depth
        assert not law.reach(np.array([outside]))[0] > depth


@BOTH
def test_reach_writes_where_it_is_told(kind: type[FillLaw]) -> None:
    law, exponential = kind(0.7, 1.5), np.array([0.0, 1e-300, 0.3, 40.0])
    out = np.empty(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert law.reach(exponential, out=out) is out
        np.testing.assert_array_equal(out, law.reach(exponential))
        assert not np.isnan(out).any()
        assert (kind(0.0, 1.5).reach(exponential) == -np.inf).all(), "nobody comes"


def best_by_search(law: FillLaw, gain: float, gamma: float, low: float, high: float) -> tuple[float, float]:
    """The best depth and ln(probability * utility) there; a dense grid, and a denser one around its best point."""

    def worth(depth: np.ndarray) -> np.ndarray:
        fill, _ = law.log_chances(depth)
        margin = depth + gain
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            utility = np.log(margin) if gamma == 0 else np.log(-np.expm1(-gamma * margin) / gamma)
            # A loss is worth -probability * |utility|: the wider the better.
            return np.where(margin > 0, fill + utility, -1e9 + 1e6 * depth)

    for _ in range(6):
        grid = np.linspace(low, high, 4001)
        best = int(np.argmax(worth(grid)))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 4000)]
    return float(grid[best]), float(worth(grid)[best])


GAINS = [-1e6, -30.0, -2.0, -0.4, 0.0, 0.1, 1.0, 5.0, 300.0, 1e6]


@BOTH
@pytest.mark.parametrize("gamma", [0.0, 1e-9, 0.1, 3.0, 100.0])
@pytest.mark.parametrize(
    ("arrivals", "decay", "low", "high"),
    [
        (0.7, 1.5, -1, 3),
        (0.7, 1.5, 0.2, 0.9),
        (28, 1.5, -5, 9),
        (1e-6, 4, -2, 2),
        (1e4, 0.05, -900, 900),
        (0.7, 1e3, -1, 1),
    ],
)
def test_best_depth_is_the_best_on_a_dense_grid(
    kind: type[FillLaw], gamma: float, arrivals: float, decay: float, low: float, high: float
) -> None:
    law = kind(arrivals, decay)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = law.best_depth(np.array(GAINS), gamma, low, high)
    assert np.isfinite(found).all()
    assert ((found >= low) & (found <= high)).all()
    for depth, gain in zip(found, GAINS, strict=True):
        expected, top = best_by_search(law, gain, gamma, low, high)
        if top < -1e7 or abs(expected - depth) <= 1e-6 / decay:
            assert depth == pytest.approx(expected, abs=1e-6 / decay)
        else:  # where the objective is flat to the last bit, only its height can be compared
            margin = depth + gain
            height = law.log_chances(depth)[0] + np.log(margin if gamma == 0 else -np.expm1(-gamma * margin) / gamma)
            assert height == pytest.approx(top, abs=4e-15 * max(1, abs(top)))


@BOTH
@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_best_depth_falls_in_the_gain_and_does_not_depend_on_its_neighbours(kind: type[FillLaw], gamma: float) -> None:
    law, gains = kind(0.7, 1.5), np.linspace(-4, 4, 81)
    depths = law.best_depth(gains, gamma, -1, 3)
    assert (np.diff(depths) <= 0).all()
    assert depths[0] == 3
    for gain, depth in itertools.islice(zip(gains, depths, strict=True), 0, None, 10):
        assert law.best_depth(np.array([gain]), gamma, -1, 3)[0] == pytest.approx(depth, abs=1e-12)


def test_the_cap_is_reached_and_not_missed_by_rounding() -> None:
    for arrivals, decay in itertools.product(np.linspace(1.01, 30, 40), (0.1, 0.7, 1.5, 3.3)):
        law = LinearLaw(float(arrivals), decay)
        depth = law.best_depth(np.array([50.0 / decay]), 0.0, -100.0, 100.0)
        assert depth[0] == pytest.approx(math.log(arrivals) / decay, rel=1e-12)
        assert law.probability(depth)[0] == 1
        assert law.log_chances(depth)[1][0] == -np.inf


def test_natural_margin() -> None:
    law = LinearLaw(0.7, 1.5)
    assert law.natural_margin(0.0) == 1 / 1.5
    assert law.natural_margin(0.1) == pytest.approx(math.log(1 + 0.1 / 1.5) / 0.1, rel=1e-14)
    assert law.natural_margin(1e-12) == pytest.approx(1 / 1.5, rel=1e-11)


def test_laws_are_chosen_by_name() -> None:
    assert set(FILL_LAWS) == {"linear", "poisson"}
    for name, kind in FILL_LAWS.items():
        law = Market(fill_law=name, steps=100).law
        assert isinstance(law, kind)
        assert law.name == name
        assert (law.expected_arrivals, law.decay) == (pytest.approx(1.4), 1.5)
