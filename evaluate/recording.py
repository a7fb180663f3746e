"""From the model to a recording: the same policies on recorded sessions and on sessions of the model.

Every figure of a policy is a smooth function of session means, as elsewhere in this package; on the recording its
interval comes from a block bootstrap over consecutive sessions, since neighbours in time are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from evaluate.ladder import Entrant
from evaluate.metrics import CONFIDENCE, Deviation, Estimate, Figure, Mean, Ratio
from evaluate.streaming import EVALUATION_STREAMS
from mmenv.data.replay import RecordedTape
from mmenv.grading import tabulate
from mmenv.problem import Problem
from mmenv.quotes import QuoteTable
from mmenv.simulation import simulate
from mmenv.tape import Tape

HORIZONS = (1, 5, 20)
MODEL_SESSIONS = 8000
PIECE = 1000
RESAMPLES = 2000
FEWEST_SESSIONS = 5
COLUMNS = ("bid_fills", "ask_fills", "profit", "spread_earned", "inventory_profit", "outcome", "final", "final_square")


class TapeError(ValueError):
    """A recorded tape that does not fit what is to be evaluated; the message is one sentence."""


@dataclass(frozen=True)
class Compared:
    """One figure of one policy on the recording and in the model.

    Attributes:
        recorded: with its block-bootstrap interval.
        model: what the calibrated model gives on average.
        model_low: lower end of where the model puts 95 of 100 recordings of this length.
        model_high: upper end.
    """

    recorded: Estimate
    model: float
    model_low: float
    model_high: float

    @property
    def difference(self) -> Estimate:
        """Recorded less model, with the recording's interval."""
        low, high = self.recorded.low - self.model, self.recorded.high - self.model
        return Estimate(self.recorded.value - self.model, low, high)

    @property
    def breaks(self) -> bool:
        """Whether the interval of the recording excludes the model."""
        return self.recorded.low > self.model or self.recorded.high < self.model


@dataclass(frozen=True)
class Outcome:
    """What a policy did.

    Attributes:
        entrant: the policy.
        figures: by name, see `FIGURES`.
        wealth: cumulative profit along the recording, after each step, shape (sessions * steps,) [price].
        model_wealth: (low, middle, high) of the same in the model, at the ends of sessions, shape (3, sessions).
    """

    entrant: Entrant
    figures: dict[str, Compared]
    wealth: np.ndarray
    model_wealth: np.ndarray


@dataclass(frozen=True)
class Replay:
    """Policies on a recording, beside the model's predictions.

    Attributes:
        problem: the market that was calibrated, and the objective.
        recorded: the recording.
        outcomes: one a policy, in the order of the entrants.
        horizons: of the markouts [steps].
    """

    problem: Problem
    recorded: RecordedTape
    outcomes: tuple[Outcome, ...]
    horizons: tuple[int, ...]


def check(problem: Problem, recorded: RecordedTape, trained_on: Sequence[tuple[str, int, int]] = ()) -> None:
    """Refuse a tape that is not one of this market, or that an agent has been trained on.

    Args:
        problem: the market that policies quote in.
        recorded: the tape.
        trained_on: name, first and last moment [ns] of the recording that each agent was trained on.

    Raises:
        ValueError: steps or their length differ.
        TapeError: there are too few sessions, or times overlap.
    """
    recorded.check(problem.market)
    if recorded.tape.paths < FEWEST_SESSIONS:
        raise TapeError(f"the tape must hold at least {FEWEST_SESSIONS} sessions, got {recorded.tape.paths}")
    first, last = recorded.span
    for name, begin, end in trained_on:
        if first < end and begin < last:
            raise TapeError(f"{name} was trained on a part of this recording: evaluate it on a later part")


def replay(problem: Problem, entrants: Sequence[Entrant], recorded: RecordedTape, seed: int = 0) -> Replay:
    """Play policies along a recording and along sessions of the model.

    Args:
        problem: the calibrated market and the objective.
        entrants: the policies; their quotes are clipped to the market's box.
        recorded: the recording, as many steps as the market has.
        seed: of the bootstrap and of the model's sessions.

    Raises:
        TapeError: see `check`.
    """
    check(problem, recorded)
    horizons = tuple(h for h in HORIZONS if h <= problem.market.steps)
    return Replay(problem, recorded, tuple(_outcome(problem, e, recorded, horizons, seed) for e in entrants), horizons)


def _outcome(
    problem: Problem, entrant: Entrant, recorded: RecordedTape, horizons: tuple[int, ...], seed: int
) -> Outcome:
    table = tabulate(problem, entrant.policy)
    columns, wealth = played(problem, table, recorded.tape, horizons)
    model = np.concatenate([played(problem, table, tape, horizons)[0] for tape in _model_tapes(problem, seed)], axis=1)
    sessions, rng = recorded.tape.paths, np.random.default_rng(seed)
    resampled = block_means(columns, rng)
    lucky = model[:, rng.integers(model.shape[1], size=(RESAMPLES, sessions))].mean(axis=2)
    compared = {}
    for name, figure in figures(horizons).items():
        ends = _quantiles([figure.value(mean) for mean in lucky.T])
        compared[name] = Compared(bootstrapped(columns, resampled, figure), figure.value(model.mean(axis=1)), *ends)
    profit = model[COLUMNS.index("profit")][rng.integers(model.shape[1], size=(RESAMPLES, sessions))].cumsum(axis=1)
    return Outcome(entrant, compared, wealth, np.quantile(profit, [0.025, 0.5, 0.975], axis=0))


def _model_tapes(problem: Problem, seed: int) -> Iterator[Tape]:
    for piece in range(MODEL_SESSIONS // PIECE):
        yield Tape.draw(problem.market, PIECE, EVALUATION_STREAMS + seed, episode=piece)


def figures(horizons: Sequence[int]) -> dict[str, Figure]:
    """The figures that are compared, by name, as functions of the means of `played`'s columns."""
    at = {name: i for i, name in enumerate(COLUMNS)}
    named: dict[str, Figure] = {name: Mean(at[name]) for name in COLUMNS[:-2]}
    named["final_inventory"] = Mean(at["final"])
    named["final_inventory_std"] = Deviation(at["final"], at["final_square"])
    for i, horizon in enumerate(horizons):
        named[f"markout_{horizon}"] = Ratio(len(COLUMNS) + 2 * i, len(COLUMNS) + 2 * i + 1)
    return named


def played(problem: Problem, table: QuoteTable, tape: Tape, horizons: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Play one policy along a tape.

    Returns:
        Columns, one vector a session, shape (columns, paths): `COLUMNS`, then for each horizon the sum over fills of
        how far the mid went against us and their number. And the profit so far after each step, sessions one after
        the other, shape (paths * steps,) [price].
    """
    market, objective = problem.market, problem.objective
    paths = simulate(market, table, tape)
    bid, ask = paths.bid_fill, paths.ask_fill
    earned = np.where(bid, paths.bid_depth, 0.0).sum(axis=0) + np.where(ask, paths.ask_depth, 0.0).sum(axis=0)
    final = paths.inventory[-1]
    penalty = objective.running_penalty(paths.inventory[1:]).sum(axis=0) * market.dt + objective.terminal_penalty(final)
    rows = [bid.sum(axis=0), ask.sum(axis=0), paths.profit, earned, paths.profit - earned, paths.profit - penalty]
    rows += [final, final.astype(float) ** 2]
    for horizon in horizons:
        moved = paths.mid[horizon:] - paths.mid[:-horizon]
        inside = slice(0, market.steps - horizon + 1)
        rows.append(np.sum((1.0 * ask[inside] - bid[inside]) * moved, axis=0))
        rows.append(np.sum(1.0 * ask[inside] + bid[inside], axis=0))
    gained = np.concatenate([[0.0], np.cumsum(paths.profit)[:-1]])
    wealth = (paths.wealth[1:] - paths.wealth[0] + gained).T.ravel()
    return np.array(rows, dtype=float), wealth


def block_length(sessions: int) -> int:
    """Sessions in a block: the cube root of their number, the usual order."""
    return max(1, round(sessions ** (1 / 3)))


def block_means(columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means of resampled recordings, made of blocks of consecutive sessions; shape (columns, resamples)."""
    sessions = columns.shape[1]
    length = block_length(sessions)
    starts = rng.integers(sessions, size=(RESAMPLES, -(-sessions // length)))
    index = (starts[:, :, None] + np.arange(length)).reshape(RESAMPLES, -1)[:, :sessions] % sessions
    return columns[:, index].mean(axis=2)


def bootstrapped(columns: np.ndarray, resampled: np.ndarray, figure: Figure) -> Estimate:
    """A figure with its block-bootstrap interval, widened for few blocks (Student's t, the bias of their spread)."""
    blocks = columns.shape[1] / block_length(columns.shape[1])
    value = figure.value(columns.mean(axis=1))
    values = np.array([figure.value(mean) for mean in resampled.T])
    error = (
        float(np.std(values[np.isfinite(values)])) * math.sqrt(blocks / (blocks - 1))
        if np.isfinite(value)
        else math.nan
    )
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, blocks - 1)) * error
    return Estimate(value, value - half, value + half)


def _quantiles(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.nanquantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
