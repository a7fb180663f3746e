"""Calibration: from a recording to the market that fits it best, with intervals (docs/real-markets.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmenv import _validate
from mmenv.data import flow, goodness, volatility
from mmenv.data.clean import DEFAULT_GAP
from mmenv.data.curves import Curve, Exponential, Power, Table
from mmenv.data.likelihood import Fit, Interval, fit, positive, sample
from mmenv.data.recording import (
    SECOND,
    MarketOrders,
    Quotes,
    RecordingError,
    Trades,
    check_tick,
    infer_tick,
    market_orders,
    quotes_from_trades,
)
from mmenv.data.steps import Steps, cut, order_reaches
from mmenv.fills import FILL_LAWS
from mmenv.market import Market
from mmenv.objectives import ExponentialPenalty
from mmenv.solver import evaluate_exactly, solve

SIDES = ("bid", "ask")
# The default market has 0.7 market orders per side and step, and 200 steps in a session: so do calibrated ones.
ORDERS_PER_STEP = 0.7
STEPS = 200
# A short recording is cut into this many sessions of at least so many steps.
SESSIONS = 20
LEAST_STEPS = 50
LONGEST = 100_000
FEWEST = 20
KNOTS = 8
# The default market's penalty, in units of what trading earns there: eta = A / (k PENALTY_UNITS).
PENALTY_UNITS = 140 / 1.5
RATE = 0.3
# A state that is visited more rarely than this may have its best quote outside the box of depths.
RARE = 1e-6
MARGIN = 1.0  # of the box beyond the optimal quotes, in 1/k
MOST_SEEN = 1e-4  # chance of standing at the inventory limit that counts as not feeling it
LIMITS = (20, 30, 45, 70, 100)


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


@dataclass(frozen=True)
class Calibration:
    """What a recording says about its market. Times are in seconds, depths in the recording's price unit.

    Attributes:
        steps: the recording in steps.
        horizon: length of a session [s].
        floor: reaches up to here say nothing about the curve [price].
        law: the fill law.
        trades: number of trades.
        orders: number of market orders.
        touch: share of the market orders that went no further than the floor.
        sides: bid, ask and both.
        signature: volatility by lag.
        drift: mean move of the mid [price / s].
        markouts: of market orders, by horizon.
        deep_markouts: of those that went beyond the floor, the ones a quote beyond the best meets.
        clustering: of market orders.
        informed: takers who know something, where the steps tell.
        guessed_quotes: whether the quotes were guessed from the trades.
    """

    steps: Steps
    horizon: float
    floor: float
    law: str
    trades: int
    orders: int
    touch: float
    sides: dict[str, Side]
    signature: volatility.Signature
    drift: Interval
    markouts: tuple[flow.Markout, ...]
    deep_markouts: tuple[flow.Markout, ...]
    clustering: flow.Clustering
    informed: flow.Informed | None
    guessed_quotes: bool

    @property
    def seconds(self) -> float:
        """How long the recording is, silences left out [s]."""
        return len(self.steps) * self.steps.dt

    def market(self, informed: bool = False) -> Market:
        """The calibrated market: seconds, the recording's prices, both sides alike.

        Args:
            informed: whether takers know something, as `self.informed` found; volatility is then what is left.

        The box of depths holds the optimal quotes of every state that is visited, with room; the inventory limit is
        not felt by the optimum.
        """
        both = self.sides["both"]
        steps = round(self.horizon / self.steps.dt)
        decay = both.depth_decay.value
        deepest = (max(0.0, math.log(both.arrival_rate.value * self.steps.dt)) + 8) / decay
        fields: dict[str, Any] = {
            "initial_mid": float(self.steps.mid[0]),
            "volatility": self.signature.best.value,
            "horizon": steps * self.steps.dt,
            "steps": steps,
            "arrival_rate": both.arrival_rate.value,
            "depth_decay": decay,
            "min_depth": -4 / decay,
            "max_depth": deepest,
            "fill_law": self.law,
        }
        if informed and self.informed is not None:
            fields["volatility"] = self.informed.volatility.value
            fields["informed_share"] = self.informed.share.value
            fields["informed_jump"] = self.informed.jump.value
        return _boxed(fields, self.objective(), self.steps.tick)

    def objective(self) -> ExponentialPenalty:
        """The default objective in this market's units: the penalty is to trading profit as in the default market."""
        both = self.sides["both"]
        return ExponentialPenalty(both.arrival_rate.value / both.depth_decay.value / PENALTY_UNITS, RATE)

    @property
    def toxic(self) -> bool:
        """Whether some takers are informed, beyond what chance could do."""
        return self.informed is not None and self.informed.p_value < goodness.SIGNIFICANT

    def environment(self, informed: bool = False) -> dict[str, Any]:
        """Keyword arguments of the environments: what `market.json` and `market-informed.json` hold."""
        return {"market": self.market(informed).to_dict(), "objective": self.objective().to_dict()}


def _boxed(fields: dict[str, Any], objective: ExponentialPenalty, tick: float) -> Market:
    """The market with the smallest limit and box that the optimum does not feel."""
    for limit in LIMITS:
        market = Market(max_inventory=limit, **fields)
        quotes = solve(market, objective).quotes
        visits = evaluate_exactly(market, objective, quotes).visits
        if visits[:, :, [0, -1]].sum(axis=(1, 2)).max() <= MOST_SEEN:
            break
    seen = visits[:-1] > RARE
    depths = np.concatenate([side[seen & np.isfinite(side)] for side in (quotes.bid_depth, quotes.ask_depth)])
    margin = MARGIN / market.depth_decay
    low, high = min(0.0, float(depths.min()) - margin), float(depths.max()) + margin
    low, high = math.floor(low / tick) * tick, math.ceil(high / tick) * tick
    return Market(**{**fields, "max_inventory": limit, "min_depth": round(low, 10), "max_depth": round(high, 10)})


def calibrate(
    trades: Trades,
    quotes: Quotes | None = None,
    *,
    dt: float | None = None,
    tick: float | None = None,
    horizon: float | None = None,
    floor: float | None = None,
    law: str = "poisson",
    gap: float = DEFAULT_GAP,
) -> Calibration:
    """Fit a market to a recording.

    Args:
        trades: the trades.
        quotes: the best quotes over the same time; None guesses them from the trades.
        dt: length of a step [s]; None takes the round number that makes about 0.7 market orders beyond the floor per
            side and step, a smaller one where the recording is short.
        tick: of the prices; None reads it from them.
        horizon: length of a session [s]; None takes 200 steps.
        floor: the curve is fitted to reaches beyond this [price]; None takes half the usual spread and half a tick, so
            that only trades beyond the best quote count: no quote within the spread is seen by them.
        law: "poisson" or "linear".
        gap: silences longer than this are left out [s].

    Raises:
        TypeError, ValueError: an argument is out of its range.
        RecordingError: the recording is too short, or one side of it is empty.
    """
    law = _validate.choice("law", law, FILL_LAWS)
    guessed = quotes is None
    if tick is None:
        tick = infer_tick(trades.price, *(() if quotes is None else (quotes.bid, quotes.ask)))
    tick = _validate.real("tick", tick, above=0)
    check_tick(tick, trades.price, *(() if quotes is None else (quotes.bid, quotes.ask)))
    if quotes is None:
        quotes = quotes_from_trades(trades, tick)
    floor = _touch(quotes, tick) if floor is None else _validate.real("floor", floor, at_least=0)
    orders = market_orders(trades)
    reaches = order_reaches(orders, quotes, tick)
    dt = _usual_dt(orders, reaches > floor) if dt is None else _validate.real("dt", dt, above=0)
    steps = cut(trades, quotes, dt, tick, gap)
    horizon = _usual_steps(len(steps)) * dt if horizon is None else _validate.real("horizon", horizon, above=0)
    if round(horizon / dt) < 1:
        raise RecordingError(f"horizon must be at least dt = {dt:g} s, got {horizon:g} s")
    if round(horizon / dt) > LONGEST:
        raise RecordingError(f"horizon must be at most {LONGEST:,} steps of {dt:g} s, got {horizon:g} s")
    return Calibration(
        steps=steps,
        horizon=round(horizon / dt) * dt,
        floor=floor,
        law=law,
        trades=len(trades),
        orders=len(orders.time),
        touch=float(np.mean(reaches <= floor)),
        sides=_sides(steps, orders, reaches, floor, law),
        signature=volatility.signature(steps),
        drift=volatility.drift(steps),
        markouts=flow.markouts(orders, quotes),
        deep_markouts=flow.markouts(MarketOrders(*(column[reaches > floor] for column in orders)), quotes),
        clustering=flow.clustering(orders, steps),
        informed=flow.informed(steps, floor),
        guessed_quotes=guessed,
    )


def _touch(quotes: Quotes, tick: float) -> float:
    """Half the usual spread, by time, and half a tick: trades up to here went no further than the best quote."""
    lasting = np.diff(quotes.time)
    if not lasting.sum():
        raise RecordingError("quotes must last for some time")
    spreads = np.round((quotes.ask - quotes.bid)[:-1] / tick).astype(np.int64)
    order = np.argsort(spreads)
    usual = spreads[order][np.searchsorted(np.cumsum(lasting[order]), lasting.sum() / 2)]
    return float(usual + 1) * tick / 2


def _usual_dt(orders: MarketOrders, beyond: np.ndarray) -> float:
    """The number 1, 2 or 5 times a power of ten that makes about 0.7 market orders beyond the floor per side [s].

    Smaller where the recording would not yield twenty sessions of fifty steps.
    """
    seconds, count = (int(orders.time[-1]) - int(orders.time[0])) / SECOND, int(np.count_nonzero(beyond))
    if count < FEWEST or seconds <= 0:
        raise RecordingError(
            f"a calibration needs at least {FEWEST} market orders beyond the floor over some time, got {count}"
        )
    wanted = ORDERS_PER_STEP * 2 * seconds / count
    most = seconds / (SESSIONS * LEAST_STEPS)
    power = math.floor(math.log10(min(wanted, most)))
    choices = [float(f"{m}e{p}") for p in (power - 1, power, power + 1) for m in (1, 2, 5)]
    return min((dt for dt in choices if dt <= most), key=lambda dt: abs(math.log(dt / wanted)))


def _usual_steps(steps: int) -> int:
    """200 steps in a session, or fewer where that leaves fewer than twenty sessions: 1, 2 or 5 times a power of ten."""
    most = max(1, min(STEPS, steps // SESSIONS))
    return max(m * 10**p for p in range(3) for m in (1, 2, 5) if m * 10**p <= most)


def _sides(steps: Steps, orders: MarketOrders, beyond: np.ndarray, floor: float, law: str) -> dict[str, Side]:
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


def _others(data: Any) -> list[Curve]:
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
