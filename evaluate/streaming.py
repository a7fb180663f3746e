"""Playing many policies along one tape, piece by piece, in constant memory.

All policies step through `mmenv.dynamics.step` together, on the same flow, and a piece of the tape is forgotten
once its sessions have been counted. What is kept are moments and histograms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from evaluate.metrics import CertaintyEquivalent, Deviation, Figure, Histogram, Mean, Moments, Ratio
from mmenv import _validate
from mmenv.dynamics import Quotes, initial_state, step
from mmenv.market import Market
from mmenv.objectives import Objective
from mmenv.quotes import QuoteTable
from mmenv.tape import Tape

# Sessions of training are keyed by seeds below 2^64 (64 random bits where none is given). Adding 2^64 keeps the
# evaluation's tape apart from all of them: no agent is graded on a session that it was trained on.
EVALUATION_STREAMS = 2**64
PIECE = 1024
BINS = 160
LARGEST_EXPONENT = 300.0
DEFAULT_RISK_AVERSION = 0.1

COLUMNS = (
    "outcome",
    "outcome_utility",
    "profit",
    "profit_square",
    "profit_utility",
    "final_inventory",
    "final_inventory_square",
    "spread",
    "both_quoted",
    "spread_earned",
    "inventory_profit",
    "penalty",
    "drawdown",
    "fills",
)
AT = {name: column for column, name in enumerate(COLUMNS)}


@dataclass(frozen=True)
class Scale:
    """Numbers near which a policy's results lie, so that sums of squares and exponentials stay in range.

    They are exact values, but any others give the same figures up to rounding.

    Attributes:
        outcome: certainty equivalent of the objective [price].
        profit: certainty equivalent of profit [price].
        profit_mean: mean of profit [price].
        profit_std: standard deviation of profit [price].
        variation: of exp(-gamma profit), its standard deviation over its mean; decides how many sessions the
            interval of a certainty equivalent needs.
    """

    outcome: float
    profit: float
    profit_mean: float
    profit_std: float
    variation: float = 0.0


def profit_risk_aversion(objective: Objective) -> float:
    """The risk aversion that certainty equivalents of profit are shown for: the objective's own, or 0.1."""
    return objective.risk_aversion or DEFAULT_RISK_AVERSION


def simulated_figures(objective: Objective, scale: Scale) -> dict[str, Figure]:
    """The figures that a simulation yields, by name."""
    gamma = objective.risk_aversion
    value: Figure = Mean(AT["outcome"])
    if gamma:
        value = CertaintyEquivalent(AT["outcome_utility"], gamma, scale.outcome, scale.variation)
    return {
        "value": value,
        "profit_mean": Mean(AT["profit"]),
        "profit_std": Deviation(AT["profit"], AT["profit_square"], scale.profit_mean),
        "certainty_equivalent": CertaintyEquivalent(
            AT["profit_utility"], profit_risk_aversion(objective), scale.profit, scale.variation
        ),
        "final_inventory_mean": Mean(AT["final_inventory"]),
        "final_inventory_std": Deviation(AT["final_inventory"], AT["final_inventory_square"]),
        "mean_spread": Ratio(AT["spread"], AT["both_quoted"]),
        "spread_earned": Mean(AT["spread_earned"]),
        "inventory_profit": Mean(AT["inventory_profit"]),
        "penalty": Mean(AT["penalty"]),
        "drawdown": Mean(AT["drawdown"]),
        "fills": Mean(AT["fills"]),
    }


@dataclass(frozen=True)
class Sample:
    """What is kept of the sessions of all policies.

    Attributes:
        moments: of each policy's columns followed by the reference's, shape (policies, 2 * columns).
        profit: histograms of W_N - W_0 [price].
        drawdown: histograms of the largest fall of wealth from its peak [price].
    """

    moments: Moments
    profit: Histogram
    drawdown: Histogram

    def merge(self, other: Sample) -> Sample:
        """Both samples together."""
        return Sample(
            self.moments.merge(other.moments), self.profit.merge(other.profit), self.drawdown.merge(other.drawdown)
        )


class Lineup:
    """Several policies of one problem, ready to be played side by side.

    Args:
        market: the market.
        objective: what outcomes are counted by.
        tables: the policies' quotes.
        scales: where each policy's results lie.
        reference: index of the policy that the others are compared to.
    """

    def __init__(
        self,
        market: Market,
        objective: Objective,
        tables: Sequence[QuoteTable],
        scales: Sequence[Scale],
        reference: int,
    ) -> None:
        for table in tables:
            table.check(market)
        self.market, self.objective, self.reference = market, objective, reference
        self.policies = len(tables)
        bid, ask = np.stack([t.bid_depth for t in tables], axis=1), np.stack([t.ask_depth for t in tables], axis=1)
        bid_quoted, ask_quoted = (np.stack(side, axis=1) for side in zip(*(t.quoted for t in tables), strict=True))
        # The step ignores a side that is not quoted; the other's depth with its sign turned makes the spread 0 there.
        bid, ask = np.where(bid_quoted, bid, -ask), np.where(ask_quoted, ask, -bid)
        self._bid, self._ask = bid.reshape(market.steps, -1), ask.reshape(market.steps, -1)
        held = np.stack([t.held for t in tables], axis=1)
        self._hedge = (held - np.arange(held.shape[-1])).reshape(market.steps, -1) if market.hedges else None
        self._row = market.regimes * (2 * market.max_inventory + 1)
        self._penalty = objective.running_penalty(market.inventories) * market.dt
        self._terminal = objective.terminal_penalty(market.inventories)
        self._scales = {
            name: np.array([[getattr(scale, name)] for scale in scales]) for name in Scale.__dataclass_fields__
        }
        self.profit_edges = self._edges()

    def _edges(self) -> np.ndarray:
        mean, std = self._scales["profit_mean"], self._scales["profit_std"]
        low, high = float(np.min(mean - 5 * std)), float(np.max(mean + 5 * std))
        return np.linspace(low, high, BINS + 1) if high > low else np.linspace(low - 1, low + 1, BINS + 1)

    def play(self, tape: Tape) -> dict[str, np.ndarray]:
        """Play the tape to every policy; returns the columns of each session, shape (policies, paths) each."""
        market, limit = self.market, self.market.max_inventory
        shape = (self.policies, tape.paths)
        state = initial_state(market, tape.paths)._replace(
            inventory=np.zeros(shape, dtype=np.int64), cash=np.zeros(shape)
        )
        offset = (np.arange(self.policies) * self._row + limit)[:, None]
        earned, spread, penalty, peak, drawdown = np.zeros((5, *shape))
        fills, at_limit = np.zeros((2, *shape), dtype=np.int64)
        for n in range(market.steps):
            at = state.inventory + (offset + state.regime * (2 * limit + 1))
            bid, ask = self._bid[n].take(at), self._ask[n].take(at)
            hedge = 0 if self._hedge is None else self._hedge[n].take(at)
            at_limit += abs(state.inventory + hedge) == limit
            state, filled = step(market, state, Quotes(bid, ask, hedge), tape.flow(n))
            fills += filled.bid
            fills += filled.ask
            earned += filled.earned
            spread += bid
            spread += ask
            penalty += self._penalty.take(state.inventory + limit)
            wealth = state.wealth
            np.maximum(peak, wealth, out=peak)
            np.maximum(drawdown, peak - wealth, out=drawdown)
        penalty += self._terminal.take(state.inventory + limit)
        return self._columns(state, wealth, earned, spread, penalty, drawdown, fills, market.steps - at_limit)

    def _columns(
        self, state: Any, profit: Any, earned: Any, spread: Any, penalty: Any, drawdown: Any, fills: Any, both: Any
    ) -> dict[str, np.ndarray]:
        scales, gamma = self._scales, self.objective.risk_aversion
        outcome, inventory = profit - penalty, state.inventory.astype(float)
        utility = _utility(outcome - scales["outcome"], gamma) if gamma else np.ones_like(outcome)
        return {
            "outcome": outcome,
            "outcome_utility": utility,
            "profit": profit,
            "profit_square": (profit - scales["profit_mean"]) ** 2,
            "profit_utility": _utility(profit - scales["profit"], profit_risk_aversion(self.objective)),
            "final_inventory": inventory,
            "final_inventory_square": inventory**2,
            "spread": spread,
            "both_quoted": both.astype(float),
            "spread_earned": earned,
            "inventory_profit": profit - earned,
            "penalty": penalty,
            "drawdown": drawdown,
            "fills": fills.astype(float),
        }

    def count(self, columns: dict[str, np.ndarray], drawdown_edges: np.ndarray) -> Sample:
        """What is kept of played sessions."""
        ours = np.stack([columns[name] for name in COLUMNS], axis=1)
        pairs = np.concatenate([ours, np.broadcast_to(ours[self.reference], ours.shape)], axis=1)
        return Sample(
            Moments.of(pairs),
            Histogram.of(columns["profit"], self.profit_edges),
            Histogram.of(columns["drawdown"], drawdown_edges),
        )


def _utility(gain: np.ndarray, risk_aversion: float) -> np.ndarray:
    """exp(-gamma gain), cut off where its square would no longer fit a float; no interval is given near there."""
    return np.exp(np.minimum(-risk_aversion * gain, LARGEST_EXPONENT))


def simulate(lineup: Lineup, episodes: int, seed: int) -> Iterator[Sample]:
    """Play `episodes` sessions to every policy, a piece of the tape at a time.

    Args:
        lineup: the policies.
        episodes: number of sessions, >= 2.
        seed: of the evaluation's tape, >= 0; see EVALUATION_STREAMS.

    Yields:
        The sample of each piece; `merge_all` adds them up. Memory does not grow with `episodes`.

    Raises:
        TypeError, ValueError: episodes or seed is not an integer in its range.
    """
    episodes = _validate.integer("episodes", episodes, at_least=2)
    seed = EVALUATION_STREAMS + _validate.integer("seed", seed, at_least=0)
    edges: np.ndarray | None = None
    for piece, first in enumerate(range(0, episodes, PIECE)):
        tape = Tape.draw(lineup.market, min(PIECE, episodes - first), seed, episode=piece)
        columns = lineup.play(tape)
        if edges is None:
            edges = np.linspace(0.0, 1.5 * max(float(np.quantile(columns["drawdown"], 0.99)), 1e-9), BINS + 1)
        yield lineup.count(columns, edges)


def merge_all(samples: Iterator[Sample]) -> Sample:
    """All samples of an iterator together, holding two at a time."""
    return reduce(Sample.merge, samples)
