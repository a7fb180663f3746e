"""The fill curves of both sides: fitted, tested, compared with other shapes and with each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mmenv.data import goodness
from mmenv.data.curves import Curve, Exponential, Power, Table
from mmenv.data.likelihood import BLOCKS, Fit, Interval, Sample, fit, positive, sample, spread
from mmenv.data.recording import MarketOrders, RecordingError
from mmenv.data.steps import Steps

SIDES = ("bid", "ask")
KNOTS = 8


@dataclass(frozen=True)
class Side:
    """The fill curve of one side, or of both together.

    Attributes:
        name: "bid", "ask" or "both".
        arrival_rate: A [1 / s], from the deepest trade of each step.
        depth_decay: k [1 / price], likewise.
        order_rate: A from single market orders against the mid just before each [1 / s]; NaN for "both".
        order_decay: k likewise.
        goodness: of the exponential curve.
        fits: by shape, all fitted to the same steps.
    """

    name: str
    arrival_rate: Interval
    depth_decay: Interval
    order_rate: Interval
    order_decay: Interval
    goodness: goodness.Goodness
    fits: dict[str, Fit]

    @property
    def best_shape(self) -> str:
        """The shape with the smallest AIC."""
        return min(self.fits, key=lambda name: self.fits[name].aic)


def difference(bid: Fit, ask: Fit) -> float:
    """The p-value of a test that both sides have one exponential curve.

    The larger of two: Wald's test with the observed information, as if samples were independent, and Hotelling's with
    the differences of the two sides' blocks of time, which holds where they cluster and where the sides go together.
    """
    apart = bid.parameters - ask.parameters
    size = len(apart)
    together = bid.covariance + ask.covariance
    blocks = spread(bid.influence - ask.influence)
    if not (np.isfinite(together).all() and np.isfinite(blocks).all()):
        return 1.0
    wald = float(apart @ np.linalg.pinv(together) @ apart)
    hotelling = float(apart @ np.linalg.pinv(blocks) @ apart) * (BLOCKS - size) / (size * (BLOCKS - 1))
    return max(float(stats.chi2.sf(wald, size)), float(stats.f.sf(hotelling, size, BLOCKS - size)))


def fit_sides(steps: Steps, orders: MarketOrders, beyond: np.ndarray, floor: float, law: str) -> dict[str, Side]:
    """Fit the curves of "bid", "ask" and "both".

    Args:
        steps: the recording.
        orders: its market orders.
        beyond: how far each went beyond the mid just before it, shape (orders,) [price].
        floor: reaches up to here say nothing about the curve [price].
        law: "poisson" or "linear".

    Raises:
        RecordingError: one side has too few trades beyond the floor.
    """
    reaches = {"bid": steps.bid_reach, "ask": steps.ask_reach}
    singles = {name: beyond[(orders.side == sign) & ~np.isnan(beyond)] for name, sign in (("bid", -1), ("ask", 1))}
    # Step by step, so that blocks of time hold both sides.
    reaches["both"] = np.stack([steps.bid_reach, steps.ask_reach], axis=1).ravel()
    singles["both"] = np.concatenate([singles["bid"], singles["ask"]])
    return {name: _side(name, reaches[name], singles[name], steps, floor, law) for name in (*SIDES, "both")}


def _side(name: str, reach: np.ndarray, single: np.ndarray, steps: Steps, floor: float, law: str) -> Side:
    times = len(reach) // len(steps)
    on_tick = np.repeat(steps.on_tick, times)
    exposure = (float(np.count_nonzero(~on_tick)), float(np.count_nonzero(on_tick)))
    try:
        data = sample(reach, steps.tick, floor, law, on_tick)
        exponential = fit(data, Exponential())
        fits = {"exponential": exponential} | {shape.name: _start_from(exponential, shape) for shape in _others(data)}
        from_tick = np.round(2 * single / steps.tick) % 2 == 0  # prices lie on ticks, so these mids do
        orders = fit(sample(single, steps.tick, floor, "orders", from_tick, exposure), Exponential())
    except RecordingError as error:
        raise RecordingError(f"{name} side: {error}") from error
    per_second = 1 / steps.dt
    return Side(
        name,
        positive(exponential, 0).scaled(per_second),
        positive(exponential, 1),
        positive(orders, 0).scaled(per_second),
        positive(orders, 1),
        goodness.goodness(exponential),
        fits,
    )


def _others(data: Sample) -> list[Curve]:
    weights = np.cumsum(data.count[2:]) / data.seen
    inner = data.high[2:][np.searchsorted(weights, np.arange(1, KNOTS) / KNOTS)]
    knots = np.unique(np.concatenate([[data.floor], inner]))
    return [Power(), Table(tuple(knots[knots < data.high[-1]].tolist()))]


def _start_from(exponential: Fit, curve: Curve) -> Fit:
    """Fit another shape to the same data, starting where it is close to the exponential."""
    arrivals, decay = exponential.parameters
    if isinstance(curve, Power):
        starts = [np.array([arrivals, math.log(alpha) - decay, math.log(alpha)]) for alpha in (0.7, 3.0, 30.0)]
    else:
        assert isinstance(curve, Table)
        starts = [
            np.concatenate([[arrivals - math.exp(decay) * exponential.data.floor], np.full(len(curve.knots), decay)])
        ]
    return max((fit(exponential.data, curve, start) for start in starts), key=lambda found: found.log_likelihood)
