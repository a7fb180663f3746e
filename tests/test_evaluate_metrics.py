"""Intervals cover the truth as often as they say, where the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluate.metrics import (
    CertaintyEquivalent,
    Deviation,
    Estimate,
    Figure,
    Histogram,
    Mean,
    Moments,
    Ratio,
    estimate,
    over_seeds,
    paired_difference,
)

REPEATS, SAMPLES = 2000, 1000
# Coverage of REPEATS independent intervals is 0.95 give or take this, in 99.99 % of all cases.
SLACK = 3.9 * math.sqrt(0.95 * 0.05 / REPEATS)
RISK_AVERSION = 0.4


def columns(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What the figures below are made of, shape (5, samples)."""
    return np.stack([x, (x - 3.0) ** 2, np.exp(-RISK_AVERSION * (x - 3.0)), y, np.abs(y)])


# For X ~ N(3, 1.5^2) and Y ~ N(2, 0.5^2), correlated: each figure with its true value.
TRUTHS: list[tuple[Figure, float]] = [
    (Mean(0), 3.0),
    (Deviation(0, 1, centre=3.0), 1.5),
    (CertaintyEquivalent(2, RISK_AVERSION, shift=3.0), 3.0 - RISK_AVERSION * 1.5**2 / 2),
    (Ratio(0, 3), 1.5),
]


def draw(rng: np.random.Generator, correlation: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    first, second = rng.standard_normal((2, SAMPLES))
    return 3 + 1.5 * first, 2 + 0.5 * (correlation * first + math.sqrt(1 - correlation**2) * second)


@pytest.mark.parametrize(("figure", "truth"), TRUTHS, ids=lambda value: type(value).__name__)
def test_intervals_have_the_coverage_they_claim(figure: Figure, truth: float) -> None:
    rng = np.random.default_rng(11)
    intervals = [estimate(Moments.of(columns(*draw(rng))), figure) for _ in range(REPEATS)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    assert abs(covered - 0.95) <= SLACK


def test_other_confidences_are_covered_too() -> None:
    rng = np.random.default_rng(12)
    figure, truth = TRUTHS[1]
    intervals = [estimate(Moments.of(columns(*draw(rng))), figure, confidence=0.6) for _ in range(REPEATS)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    assert abs(covered - 0.6) <= 3.9 * math.sqrt(0.6 * 0.4 / REPEATS)


@pytest.mark.parametrize(("figure", "truth"), TRUTHS[:3], ids=lambda value: type(value).__name__)
def test_paired_intervals_cover_and_use_the_pairing(figure: Figure, truth: float) -> None:
    """Both policies have the same distribution and share most of their noise, so the true difference is 0."""
    rng = np.random.default_rng(13)
    intervals, alone = [], []
    for _ in range(REPEATS):
        shared, ours, theirs = rng.standard_normal((3, SAMPLES))
        x, y = (3 + 1.5 * (0.9 * shared + math.sqrt(1 - 0.9**2) * own) for own in (ours, theirs))
        pair = Moments.of(np.concatenate([columns(x, x), columns(y, y)]))
        intervals.append(paired_difference(pair, figure, figure))
        alone.append(estimate(Moments.of(columns(x, x)), figure).half_width)
    covered = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert abs(covered - 0.95) <= SLACK
    # Var(X - Y) = 2 (1 - 0.81) Var X, and the other figures share at least 0.81^2 of their variance.
    assert (
        np.mean([interval.half_width for interval in intervals]) < math.sqrt(2 * (1 - 0.81**2)) * np.mean(alone) * 1.05
    )


@pytest.mark.parametrize("deviation", [0.3, 0.8, 1.1, 1.3, 2.0])
def test_certainty_equivalents_that_hang_on_a_few_sessions_get_no_interval(deviation: float) -> None:
    """X ~ N(0, deviation^2) at gamma = 1: the utility is lognormal, with known moments, and CE = -deviation^2 / 2."""
    rng = np.random.default_rng(14)
    power = math.exp(deviation**2)
    figure = CertaintyEquivalent(0, 1.0, shift=0.0, variation=math.sqrt(power - 1))
    intervals = [estimate(Moments.of(np.exp(rng.normal(0, deviation, (1, SAMPLES)))), figure) for _ in range(REPEATS)]
    refused = [math.isnan(interval.low) for interval in intervals]
    # Skewness 7.3 at 1.1, 15.7 at 1.3; 0.3 sqrt(1000) = 9.5.
    assert all(refused) if deviation > 1.2 else not any(refused)
    if deviation < 1.2:
        covered = np.mean([interval.low <= -(deviation**2) / 2 <= interval.high for interval in intervals])
        # At the limit of what is trusted, skewness costs about 0.01 of coverage.
        assert 0.95 - SLACK - 0.01 <= covered <= 0.95 + SLACK


def test_a_utility_out_of_sight_is_not_a_number() -> None:
    nothing = Moments(10, np.zeros(1), np.zeros((1, 1)))
    answer = estimate(nothing, CertaintyEquivalent(0, 1.0, shift=5.0, variation=1e9))
    assert math.isnan(answer.value)
    assert math.isnan(answer.low)


def test_merged_moments_are_those_of_all_samples() -> None:
    rng = np.random.default_rng(15)
    samples = rng.normal(1e6, 1, (3, 4, 1000))
    whole = Moments.of(samples)
    parts = [Moments.of(samples[..., at]) for at in (slice(0, 1), slice(1, 400), slice(400, 1000))]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    assert merged.count == 1000
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-15)
    np.testing.assert_allclose(merged.scatter, whole.scatter, rtol=1e-9, atol=1e-6)
    variance = np.diagonal(whole.scatter, axis1=-2, axis2=-1) / 999
    np.testing.assert_allclose(variance, samples.var(axis=-1, ddof=1), rtol=1e-9)
    np.testing.assert_allclose(whole.select(1).mean, samples[1].mean(axis=-1), rtol=1e-15)


def test_constant_samples_have_an_interval_of_no_width() -> None:
    moments = Moments.of(np.full((2, 5), 2.0))
    assert estimate(moments, Mean(0)) == Estimate(2.0, 2.0, 2.0)
    deviation = estimate(moments, Deviation(0, 1, centre=2.0 - math.sqrt(2)))
    assert deviation.value == pytest.approx(0, abs=1e-7)
    assert deviation.half_width == pytest.approx(0, abs=1e-7)


def test_a_ratio_to_nothing_is_not_a_number() -> None:
    assert math.isnan(estimate(Moments.of(np.zeros((2, 5))), Ratio(0, 1)).value)


def test_one_sample_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        estimate(Moments.of(np.ones((1, 1))), Mean(0))


def test_histograms_count_everything_once() -> None:
    rng = np.random.default_rng(16)
    samples, edges = rng.normal(size=(2, 5000)), np.linspace(-2, 2, 41)
    whole = Histogram.of(samples, edges)
    merged = Histogram.of(samples[:, :1000], edges).merge(Histogram.of(samples[:, 1000:], edges))
    np.testing.assert_array_equal(merged.counts, whole.counts)
    np.testing.assert_array_equal(whole.counts.sum(axis=1) + whole.outside, [5000, 5000])
    inside = (np.abs(samples) <= 2).mean(axis=1)
    np.testing.assert_allclose((whole.density() * np.diff(edges)).sum(axis=1), inside, rtol=1e-12)
    np.testing.assert_array_equal(whole.select(1).counts, whole.counts[1])


def test_a_range_over_seeds_is_a_range() -> None:
    assert over_seeds([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0, 3)
    assert over_seeds([2.0, 1.0]) == (1.0, 1.0, 2.0, 2)
