"""Calibration: from a recording to the market that fits it best, with intervals (docs/real-markets.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmenv import _validate
from mmenv.data import flow, goodness, volatility
from mmenv.data.chain import Chain, fit_chain
from mmenv.data.clean import DEFAULT_GAP
from mmenv.data.defaults import touch, usual_dt, usual_steps
from mmenv.data.likelihood import Interval
from mmenv.data.market_file import Choices, arrivals, boxed, objective
from mmenv.data.recording import (
    MarketOrders,
    Quotes,
    RecordingError,
    Trades,
    check_overlap,
    check_tick,
    infer_tick,
    market_orders,
    quotes_from_trades,
)
from mmenv.data.sides import SIDES, Side, difference, fit_sides
from mmenv.data.steps import Steps, cut, order_reaches
from mmenv.fills import FILL_LAWS
from mmenv.market import Market
from mmenv.objectives import ExponentialPenalty

LONGEST = 100_000


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
        chain: busy and quiet, two regimes of arrivals.
        sides_differ: p-value of the test that both sides have one curve.
        choices: what the market is to hold.
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
    chain: Chain
    sides_differ: float
    choices: Choices
    guessed_quotes: bool

    @property
    def seconds(self) -> float:
        """How long the recording is, silences left out [s]."""
        return len(self.steps) * self.steps.dt

    @property
    def apart(self) -> bool:
        """Whether the market has an A and a k for each side."""
        return _apart(self.choices, self.sides_differ)

    @property
    def two_regimes(self) -> bool:
        """Whether the market has a busy and a quiet regime."""
        return self.choices.regimes == "2" or (self.choices.regimes == "auto" and self.chain.better)

    def market(self, informed: bool = False) -> Market:
        """The calibrated market: seconds, the recording's prices, and what `choices` asked for.

        Args:
            informed: whether takers know something, as `self.informed` found; volatility is then what is left.

        The box of depths holds the optimal quotes of every state that is visited, with room; the inventory limit is
        not felt by the optimum.
        """
        steps = round(self.horizon / self.steps.dt)
        fields: dict[str, Any] = {
            "initial_mid": float(self.steps.mid[0]),
            "volatility": self.signature.best.value,
            "horizon": steps * self.steps.dt,
            "steps": steps,
            "fill_law": self.law,
            "fee": self.choices.fee,
            "fee_rate": self.choices.fee_rate,
            **arrivals(self.sides, self.apart, self.chain if self.two_regimes else None),
        }
        if self.choices.on_ticks:
            fields["tick"] = self.steps.tick
        if informed and self.informed is not None:
            fields["volatility"] = self.informed.volatility.value
            fields["informed_share"] = self.informed.share.value
            fields["informed_jump"] = self.informed.jump.value
        return boxed(fields, self.objective(), self.steps.tick)

    def objective(self) -> ExponentialPenalty:
        """The default objective in this market's units: the penalty is to trading profit as in the default market."""
        return objective(self.sides["both"])

    @property
    def toxic(self) -> bool:
        """Whether some takers are informed, beyond what chance could do."""
        return self.informed is not None and self.informed.p_value < goodness.SIGNIFICANT

    def environment(self, informed: bool = False) -> dict[str, Any]:
        """Keyword arguments of the environments: what `market.json` and `market-informed.json` hold."""
        return {"market": self.market(informed).to_dict(), "objective": self.objective().to_dict()}


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
    **choices: Any,
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
        **choices: fields of `Choices`: regimes, sides, fee, fee_rate, on_ticks.

    Raises:
        TypeError, ValueError: an argument is out of its range.
        RecordingError: the recording is too short, or one side of it is empty.
    """
    law, wanted = _validate.choice("law", law, FILL_LAWS), Choices(**choices)
    guessed = quotes is None
    quotes, tick = _prices(trades, quotes, tick)
    check_overlap(trades, quotes)
    floor = touch(quotes, tick) if floor is None else _validate.real("floor", floor, at_least=0)
    orders = market_orders(trades)
    reaches = order_reaches(orders, quotes, tick)
    dt = usual_dt(orders, reaches, floor) if dt is None else _validate.real("dt", dt, above=0)
    steps = cut(trades, quotes, dt, tick, gap)
    horizon = _whole_steps(usual_steps(len(steps)) * dt if horizon is None else horizon, dt)
    signature = volatility.signature(steps)
    sides = fit_sides(steps, orders, reaches, floor, law)
    curves = {name: side.fits["exponential"] for name, side in sides.items()}
    sides_differ = difference(curves["bid"], curves["ask"])
    fitted = SIDES if _apart(wanted, sides_differ) else ("both",)
    return Calibration(
        steps=steps,
        horizon=horizon,
        floor=floor,
        law=law,
        trades=len(trades),
        orders=len(orders.time),
        touch=float(np.mean(reaches <= floor)),
        sides=sides,
        signature=signature,
        drift=volatility.drift(steps),
        markouts=flow.markouts(orders, quotes),
        deep_markouts=flow.markouts(MarketOrders(*(column[reaches > floor] for column in orders)), quotes),
        clustering=flow.clustering(orders, steps),
        informed=flow.informed(steps, floor),
        chain=fit_chain(steps, {name: curves[name] for name in fitted}),
        sides_differ=sides_differ,
        choices=wanted,
        guessed_quotes=guessed,
    )


def _prices(trades: Trades, quotes: Quotes | None, tick: float | None) -> tuple[Quotes, float]:
    """The quotes, guessed from the trades where there are none, and the tick, read from the prices if None."""
    prices = (trades.price,) if quotes is None else (trades.price, quotes.bid, quotes.ask)
    tick = infer_tick(*prices) if tick is None else _validate.real("tick", tick, above=0)
    check_tick(tick, *prices)
    return quotes_from_trades(trades, tick) if quotes is None else quotes, tick


def _whole_steps(horizon: float, dt: float) -> float:
    """The length of a session of whole steps nearest to `horizon` [s]."""
    horizon = _validate.real("horizon", horizon, above=0)
    steps = round(horizon / dt)
    if steps < 1:
        raise RecordingError(f"horizon must be at least dt = {dt:g} s, got {horizon:g} s")
    if steps > LONGEST:
        raise RecordingError(f"horizon must be at most {LONGEST:,} steps of {dt:g} s, got {horizon:g} s")
    return steps * dt


def _apart(wanted: Choices, sides_differ: float) -> bool:
    return wanted.sides == "apart" or (wanted.sides == "auto" and sides_differ < goodness.SIGNIFICANT)
