"""Who stands on the ladder beside the agents: baselines, their free numbers fitted, and the optimum."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from agents import (
    AvellanedaStoikov,
    ContinuousOptimal,
    FixedSpread,
    GueantLehalleFernandezTapia,
    LinearSkew,
    Symmetric,
)
from evaluate.ladder import Entrant
from evaluate.streaming import DEFAULT_RISK_AVERSION
from mmenv import _validate
from mmenv.grading import reference_linear_skew, reference_solution
from mmenv.market import Market
from mmenv.problem import Problem

# A fitted risk aversion this close to the objective's own gets no row of its own.
SAME_RISK_AVERSION = 1e-3
NO_RISK_AVERSION = 1e-5

Formula = AvellanedaStoikov | GueantLehalleFernandezTapia


def fixed_spread(problem: Problem) -> list[Entrant]:
    """The margin of a maker who knows the takers but not inventory: 1/k, or ln(1 + gamma/k)/gamma for CARA.

    In a market of several regimes, their margins averaged by the time spent in each.
    """
    market, gamma = problem.market, problem.objective.risk_aversion
    margins = (
        np.broadcast_to(law.natural_margin(gamma), (market.regimes, 1)) for law in (market.bid_law, market.ask_law)
    )
    bid, ask = (float(margin[:, 0] @ market.occupation) for margin in margins)
    sides = f"{bid:.3f} a side" if bid == ask else f"{bid:.3f} and {ask:.3f}"
    return [Entrant(f"fixed spread, {sides}", "baseline", FixedSpread(bid, ask), "fixed")]


def symmetric(problem: Problem) -> list[Entrant]:
    """The same depth on both sides everywhere, the best there is."""
    best = Symmetric.fit(problem.market, problem.objective)
    quoted = problem.market.allowed(np.array([best.half_spread])).item()
    return [Entrant(f"best symmetric, {quoted:.3f} a side", "baseline", best, "symmetric")]


def avellaneda_stoikov(problem: Problem) -> list[Entrant]:
    """Avellaneda & Stoikov (2008)."""
    fitted = AvellanedaStoikov.fit(problem.market, problem.objective)
    return _formula(problem, AvellanedaStoikov, fitted, "Avellaneda–Stoikov", "as")


def asymptotic_glft(problem: Problem) -> list[Entrant]:
    """Guéant, Lehalle & Fernandez-Tapia (2013), far from the end; it has no meaning without takers."""
    if min(problem.market.by_regime(f"{side}_arrival_rate").min() for side in ("bid", "ask")) == 0:
        return []
    fitted = GueantLehalleFernandezTapia.fit(problem.market, problem.objective)
    return _formula(problem, GueantLehalleFernandezTapia, fitted, "GLFT asymptotic", "glft")


def finite_glft(problem: Problem) -> list[Entrant]:
    """Guéant, Lehalle & Fernandez-Tapia (2013), finite horizon: for CARA the optimum of continuous time."""
    if not known_in_continuous_time(problem.market):
        return []

    def formula(risk_aversion: float) -> GueantLehalleFernandezTapia:
        return GueantLehalleFernandezTapia(risk_aversion, finite_horizon=True)

    fitted = GueantLehalleFernandezTapia.fit(problem.market, problem.objective, finite_horizon=True)
    return _formula(problem, formula, fitted, "GLFT finite", "glft_finite")


def known_in_continuous_time(market: Market) -> bool:
    """Whether the formulas of continuous time know a market: one k for both sides, in no regime takers on one only."""
    bid, ask = (market.by_regime(f"{side}_arrival_rate") > 0 for side in ("bid", "ask"))
    decays = market.by_regime("bid_depth_decay"), market.by_regime("ask_depth_decay")
    return bool((bid == ask).all() and np.equal(*decays).all())


def _formula(
    problem: Problem, formula: Callable[[float], Formula], fitted: Formula, name: str, key: str
) -> list[Entrant]:
    """A formula at the objective's own risk aversion, or 0.1, and at the one that is best for the objective."""
    own, best = problem.objective.risk_aversion or DEFAULT_RISK_AVERSION, fitted.risk_aversion
    rows = [Entrant(f"{name} γ={own:g}", "baseline", formula(own), key)]
    if abs(math.log(best / own)) > SAME_RISK_AVERSION:
        shown = f"γ={best:.2g}" if best > NO_RISK_AVERSION else "γ→0"
        rows.append(Entrant(f"{name} best {shown}", "baseline", fitted, f"{key}_best"))
    return rows


def continuous(problem: Problem) -> list[Entrant]:
    """The optimum of continuous time, quoted in discrete time."""
    if not known_in_continuous_time(problem.market):
        return []
    return [Entrant("continuous-time optimum", "baseline", ContinuousOptimal(problem.objective), "continuous")]


def linear_skew(problem: Problem) -> list[Entrant]:
    """The best straight line, from which skill is measured."""
    best = reference_linear_skew(problem.market, problem.objective)
    line = LinearSkew(best.half_spread, best.skew, best.lean)
    return [Entrant("best linear skew", "baseline", line, "linear_skew")]


BASELINES: dict[str, Callable[[Problem], list[Entrant]]] = {
    "fixed": fixed_spread,
    "symmetric": symmetric,
    "as": avellaneda_stoikov,
    "glft": asymptotic_glft,
    "glft_finite": finite_glft,
    "continuous": continuous,
    "linear_skew": linear_skew,
}


def baselines(
    problem: Problem,
    names: Iterable[str] | None = None,
    progress: Callable[[Sequence[str], str], Iterable[str]] = lambda names, what: names,
) -> list[Entrant]:
    """The baselines of a problem, all of them or those named.

    Args:
        problem: what they are fitted to.
        names: some of BASELINES.
        progress: wraps the names while the baselines are fitted.

    Raises:
        ValueError: an unknown name; the message suggests the nearest.
    """
    chosen = list(BASELINES) if names is None else [_validate.choice("policy", name, BASELINES) for name in names]
    if problem.objective.risk_aversion > 0 and "glft_finite" in chosen:
        chosen = [name for name in chosen if name != "continuous"]
    return [entrant for name in progress(chosen, "baselines") for entrant in BASELINES[name](problem)]


def optimum(problem: Problem) -> Entrant:
    """The exact optimum."""
    quotes = reference_solution(problem.market, problem.objective).quotes
    return Entrant("exact optimum", "optimum", quotes, "optimum")
