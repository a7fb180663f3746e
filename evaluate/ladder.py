"""The ladder: policies of one problem from the plainest to the exact optimum, graded exactly and on one tape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from evaluate.metrics import Estimate, Histogram, estimate, paired_difference
from evaluate.streaming import (
    Lineup,
    Sample,
    Scale,
    merge_all,
    profit_risk_aversion,
    simulate,
    simulated_figures,
)
from mmenv.grading import Grade, grade, reference_solution
from mmenv.market import Market
from mmenv.objectives import ExponentialUtility
from mmenv.problem import Problem
from mmenv.quotes import QuoteTable
from mmenv.solver import ExactEvaluation, Solution, evaluate_exactly, fill_probabilities

Progress = Callable[[Iterator[Sample], int], Iterator[Sample]]


class Policy(Protocol):
    """What stands on the ladder."""

    def tabulate(self, market: Market) -> QuoteTable:
        """The quotes over the whole grid."""
        ...


@dataclass(frozen=True)
class Entrant:
    """A policy that takes part.

    Attributes:
        label: what tables and legends call it.
        kind: "baseline", "agent" or "optimum".
        policy: what quotes; clipped to the market's box.
        key: the name that `--policies` knows a baseline by; for an agent the name of its group of seeds.
    """

    label: str
    kind: str
    policy: QuoteTable | Policy = field(repr=False)
    key: str = ""


@dataclass(frozen=True)
class Split:
    """Where profit comes from, exactly: spread earned + inventory profit = profit; the penalty is charged on it.

    Attributes:
        spread_earned: expected depths of all fills, less fees and the cost of hedges [price].
        inventory_profit: expected inventory times move of the mid [price].
        penalty: expected running and terminal penalties [price].
    """

    spread_earned: float
    inventory_profit: float
    penalty: float


@dataclass(frozen=True)
class Standing:
    """What is known of one entrant.

    Attributes:
        entrant: the policy.
        grade: its exact objective, gap and skill.
        certainty_equivalent: exact, of its profit [price].
        split: where its profit comes from, exactly.
        simulated: figures from the tape, with intervals, by name.
        versus: their paired differences to the reference's.
        profit: counts of profit within bins, shape (bins,).
        drawdown: counts of drawdown within bins, shape (bins,).
    """

    entrant: Entrant
    grade: Grade
    certainty_equivalent: float
    split: Split
    simulated: dict[str, Estimate]
    versus: dict[str, Estimate]
    profit: Histogram = field(repr=False)
    drawdown: Histogram = field(repr=False)

    @property
    def label(self) -> str:
        """What tables and legends call the entrant."""
        return self.entrant.label

    @property
    def exact(self) -> ExactEvaluation:
        """The exact evaluation."""
        return self.grade.evaluation


@dataclass(frozen=True)
class Ladder:
    """The standings of one problem, worst first.

    Attributes:
        problem: what was played.
        solution: its optimum.
        standings: one for each entrant.
        reference: the label of the entrant that paired differences are to.
        episodes: number of simulated sessions.
        seed: of the evaluation's tape.
    """

    problem: Problem
    solution: Solution
    standings: tuple[Standing, ...]
    reference: str
    episodes: int
    seed: int

    def agents(self) -> list[Standing]:
        """The standings of the trained agents."""
        return [standing for standing in self.standings if standing.entrant.kind == "agent"]

    def find(self, key: str) -> Standing | None:
        """The standing of the entrant with this key, if it takes part."""
        return next((standing for standing in self.standings if standing.entrant.key == key), None)


def build_ladder(
    problem: Problem,
    entrants: Sequence[Entrant],
    episodes: int,
    seed: int = 0,
    reference: int = -1,
    progress: Progress = lambda samples, total: samples,
) -> Ladder:
    """Grade all entrants exactly, and play them along one tape.

    Args:
        problem: the market and objective.
        entrants: the policies; labels must differ.
        episodes: number of sessions, >= 2.
        seed: of the evaluation's tape; shares no stream with any training.
        reference: index of the entrant that paired differences are to.
        progress: wraps the iterator of simulated pieces, given the number of sessions.

    Raises:
        TypeError, ValueError: an argument is out of its range, or a policy does not fit the market.
    """
    market, objective = problem.market, problem.objective
    grades = [grade(problem, entrant.policy) for entrant in entrants]
    scales = [exact_scale(problem, graded) for graded in grades]
    lineup = Lineup(market, objective, [graded.quotes for graded in grades], scales, reference)
    sample = merge_all(progress(simulate(lineup, episodes, seed), episodes))
    figures = [simulated_figures(objective, scale) for scale in scales]
    standings = [
        Standing(
            entrant=entrant,
            grade=graded,
            certainty_equivalent=scales[i].profit,
            split=profit_split(problem, graded),
            simulated={name: estimate(sample.moments.select(i), figure) for name, figure in figures[i].items()},
            versus={
                name: paired_difference(sample.moments.select(i), figure, figures[reference][name])
                for name, figure in figures[i].items()
            },
            profit=sample.profit.select(i),
            drawdown=sample.drawdown.select(i),
        )
        for i, (entrant, graded) in enumerate(zip(entrants, grades, strict=True))
    ]
    rank = {"baseline": 0, "agent": 0, "optimum": 1}
    standings.sort(key=lambda standing: (rank[standing.entrant.kind], standing.grade.objective))
    solution = reference_solution(market, objective)
    return Ladder(problem, solution, tuple(standings), entrants[reference].label, episodes, seed)


def exact_scale(problem: Problem, graded: Grade) -> Scale:
    """Where the results of graded quotes lie, exactly.

    With c(gamma) the certainty equivalent of profit, exp(-gamma (profit - c(gamma))) has the mean 1 and the second
    moment exp(2 gamma (c(gamma) - c(2 gamma))), from which its variation follows.
    """
    gamma, exact = profit_risk_aversion(problem.objective), graded.evaluation
    certain, doubly = (profit_equivalent(problem, graded, risk_aversion) for risk_aversion in (gamma, 2 * gamma))
    with np.errstate(over="ignore"):
        # At most what keeps its cube a float: beyond any number of sessions anyway.
        variation = min(float(np.sqrt(np.expm1(max(0.0, 2 * gamma * (certain - doubly))))), 1e100)
    return Scale(exact.objective, certain, exact.profit_mean, exact.profit_std, variation)


def profit_equivalent(problem: Problem, graded: Grade, risk_aversion: float) -> float:
    """Exact certainty equivalent of profit [price]."""
    utility = ExponentialUtility(risk_aversion)
    if problem.objective == utility:
        return graded.objective
    return evaluate_exactly(problem.market, utility, graded.quotes).objective


def profit_split(problem: Problem, graded: Grade) -> Split:
    """Where the profit of graded quotes comes from, exactly."""
    market, objective, visits = problem.market, problem.objective, graded.evaluation.visits
    bid, ask = fill_probabilities(market, graded.quotes)
    sides = ((bid, graded.quotes.bid_depth), (ask, graded.quotes.ask_depth))
    earned = sum(chance * (np.where(chance > 0, depth, 0.0) - market.fill_fee) for chance, depth in sides)
    if market.hedges:
        earned = earned - market.trade_cost(market.inventories[graded.quotes.held] - market.inventories)
    spread_earned = float(np.sum(visits[:-1] * earned))
    running = float(np.sum(visits[1:] * objective.running_penalty(market.inventories))) * market.dt
    terminal = float(np.sum(visits[-1] * objective.terminal_penalty(market.inventories)))
    return Split(spread_earned, graded.evaluation.profit_mean - spread_earned, running + terminal)
