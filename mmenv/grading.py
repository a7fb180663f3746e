"""The exact score of any agent from anywhere: no simulation, no sampling error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from mmenv.fitting import TOLERANCE
from mmenv.linear_skew import LinearSkewFit, best_linear_skew
from mmenv.market import Market
from mmenv.objectives import ExponentialPenalty, Objective
from mmenv.problem import Problem
from mmenv.quotes import QuoteTable, as_quote_table
from mmenv.solver import ExactEvaluation, Solution, evaluate_exactly, solve


@dataclass(frozen=True)
class Grade:
    """How good an agent is in a market, exactly.

    Attributes:
        objective: the agent's objective, a certainty equivalent [price].
        optimum: the best that any agent can reach [price].
        linear_skew: what the best linear skew reaches [price].
        quotes: the agent's quotes over the grid of states.
        evaluation: everything else that is known exactly about them.
    """

    objective: float
    optimum: float
    linear_skew: float
    quotes: QuoteTable = field(repr=False)
    evaluation: ExactEvaluation = field(repr=False)

    @property
    def gap(self) -> float:
        """What the agent leaves on the table, optimum - objective [price]."""
        return self.optimum - self.objective

    @property
    def gap_percent(self) -> float:
        """The gap in percent of the optimum; NaN where the optimum is not positive."""
        return 100 * self.gap / self.optimum if self.optimum > 0 else float("nan")

    @property
    def percent_of_optimum(self) -> float:
        """The objective in percent of the optimum; NaN where the optimum is not positive."""
        return 100 - self.gap_percent

    @property
    def skill(self) -> float:
        """1 - gap / gap of the best linear skew: 0 is a straight line, 1 the optimum (equation 33 of docs/model.md).

        NaN where the straight line is itself optimal, as closely as it is fitted.
        """
        straight = self.optimum - self.linear_skew
        if straight <= TOLERANCE * abs(self.optimum):
            return float("nan")
        return 1 - self.gap / straight

    def __str__(self) -> str:
        percent = f"{self.percent_of_optimum:.4f} % of the optimum, " if self.optimum > 0 else ""
        skill = "" if math.isnan(self.skill) else f", skill {self.skill:{'.3f' if self.skill > -1000 else '.3g'}}"
        return f"{percent}gap {self.gap:.6g}{skill}"


def grade(env_or_market: Any, predict: Any, objective: Objective | None = None) -> Grade:
    """Grade an agent exactly: its objective, its gap to the optimum, its skill.

    The agent is asked for its quotes in every state, brought into the market's box and onto its ticks as the
    environments do, and the resulting table is evaluated by backward induction. It must be deterministic and see
    nothing but the environment's observation.

    Args:
        env_or_market: an environment of this package (wrapped or not, single, vector or SB3), a Problem, or a Market.
        predict: a QuoteTable; a policy with `tabulate(market)`; a model with SB3's
            `predict(observations, deterministic=True)`; or a function from observations (states, entries)
            to actions (states, 2).
        objective: what to grade by; defaults to the environment's, or for a Market to ExponentialPenalty().

    Raises:
        TypeError: an argument is none of these.
        ValueError: the agent returns actions of the wrong shape or not finite.
    """
    problem = as_problem(env_or_market, objective)
    quotes = tabulate(problem, predict)
    evaluation = evaluate_exactly(problem.market, problem.objective, quotes)
    solution = reference_solution(problem.market, problem.objective)
    return Grade(
        objective=evaluation.objective,
        optimum=solution.optimum,
        linear_skew=reference_linear_skew(problem.market, problem.objective).objective,
        quotes=quotes,
        evaluation=evaluation,
    )


@lru_cache(maxsize=16)
def reference_solution(market: Market, objective: Objective) -> Solution:
    """`solve`, remembered: grading many agents of one market solves it once."""
    return solve(market, objective)


@lru_cache(maxsize=64)
def reference_linear_skew(market: Market, objective: Objective) -> LinearSkewFit:
    """`best_linear_skew`, remembered: in markets of several regimes it takes seconds."""
    return best_linear_skew(market, objective, reference_solution(market, objective).quotes)


def as_problem(env_or_market: Any, objective: Objective | None = None) -> Problem:
    """The problem that an environment, a Problem or a Market poses, with another objective if one is given.

    Raises:
        TypeError: the argument is none of these.
    """
    if isinstance(env_or_market, Market):
        return Problem(env_or_market, ExponentialPenalty() if objective is None else objective)
    problem = env_or_market if isinstance(env_or_market, Problem) else getattr(_unwrap(env_or_market), "problem", None)
    if not isinstance(problem, Problem):
        raise TypeError(f"expected an environment of mmenv, a Problem or a Market, got {env_or_market!r}")
    if objective is None or objective == problem.objective:
        return problem
    return Problem(problem.market, objective, regime_observation=problem.regime_observation)


def _unwrap(env: Any) -> Any:
    env = getattr(env, "unwrapped", env)
    inside = getattr(env, "envs", None)  # vectors of single environments
    return getattr(inside[0], "unwrapped", inside[0]) if inside else env


def tabulate(problem: Problem, predict: Any) -> QuoteTable:
    """The quotes of an agent in every state of a problem, in the market's box and on its ticks.

    See `grade` for what is accepted and what is refused.
    """
    market = problem.market
    if isinstance(predict, QuoteTable) or hasattr(predict, "tabulate"):
        return as_quote_table(market, predict, clip=True)
    act = _batched(predict)
    observations = problem.codec.observations[:-1].copy()
    flat = observations.reshape(-1, observations.shape[-1])
    actions = np.asarray(act(flat), dtype=np.float64)
    shape = (len(flat), problem.codec.components)
    if actions.shape != shape or not np.isfinite(actions).all():
        raise ValueError(
            f"the agent must return finite actions of shape {shape} for {len(flat)} observations, "
            f"got shape {actions.shape}" + ("" if np.isfinite(actions).all() else " with entries that are not finite")
        )
    return problem.codec.table(actions.reshape(*market.grid_shape, -1))


def _batched(predict: Any) -> Callable[[np.ndarray], np.ndarray]:
    if hasattr(predict, "predict"):
        normaliser = getattr(predict, "get_vec_normalize_env", lambda: None)()

        def act(observations: np.ndarray) -> np.ndarray:
            seen = observations if normaliser is None else normaliser.normalize_obs(observations)
            return predict.predict(seen, deterministic=True)[0]

        return act
    if callable(predict):
        return predict
    raise TypeError(
        f"predict must be a QuoteTable, a policy with tabulate(market), a model with predict(observations), "
        f"or a function of batched observations, got {predict!r}"
    )
