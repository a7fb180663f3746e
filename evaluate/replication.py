"""The tables of Avellaneda & Stoikov (2008), section 3.3, rerun: print, simulation and exact theory side by side.

Their "inventory" strategy quotes the formula of docs/model.md, equations 30 and 31, unclipped; "symmetric" quotes
the same average spread around the mid. Their limit on inventory does not exist, so ours must not be felt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from evaluate.metrics import Estimate, Figure, Moments, estimate
from evaluate.streaming import Lineup, Scale, merge_all, simulate, simulated_figures
from mmenv.closed_forms import avellaneda_stoikov, optimal_spread
from mmenv.linear_skew import linear_skew_table
from mmenv.market import Market
from mmenv.objectives import RiskNeutral
from mmenv.quotes import QuoteTable
from mmenv.solver import ExactEvaluation, evaluate_exactly

# The journal's tables: 1000 simulations each, in a market with Market's default parameters.
PAPER_RUNS = 1000
FIGURES = ("mean_spread", "profit_mean", "profit_std", "final_inventory_mean", "final_inventory_std")
PUBLISHED: Mapping[tuple[float, str], tuple[float, ...]] = {
    (0.1, "inventory"): (1.49, 65.0, 6.6, 0.08, 2.9),
    (0.1, "symmetric"): (1.49, 68.4, 12.7, 0.26, 8.4),
    (0.01, "inventory"): (1.35, 68.6, 8.7, 0.12, 5.1),
    (0.01, "symmetric"): (1.35, 68.8, 12.8, 0.09, 8.7),
}

# The chance of ever touching the inventory limit must stay below this for it to count as not felt.
NOT_FELT = 1e-9
LARGEST_LIMIT = 10_000

ONE_STANDARD_ERROR = math.erf(math.sqrt(0.5))  # the confidence of an interval of that half-width


@dataclass(frozen=True)
class Line:
    """One strategy at one risk aversion.

    Attributes:
        risk_aversion: gamma [1 / price].
        strategy: "inventory" or "symmetric".
        exact: the exact moments.
        simulated: each of FIGURES with an interval of one standard error on each side.
        standard_error: of each of FIGURES in as many runs as the paper's.
        published: the paper's figures, in the order of FIGURES; empty where it has none.
    """

    risk_aversion: float
    strategy: str
    exact: ExactEvaluation
    simulated: Mapping[str, Estimate]
    standard_error: Mapping[str, float]
    published: tuple[float, ...]

    def surprise(self, figure: str) -> float:
        """How many of its own standard errors the published figure is off the exact one; NaN without either."""
        if not self.published or self.standard_error[figure] == 0:
            return math.nan
        return (self.published[FIGURES.index(figure)] - getattr(self.exact, figure)) / self.standard_error[figure]


def strategies(market: Market, risk_aversion: float) -> dict[str, QuoteTable]:
    """Both strategies of the paper, unclipped: its formula, and the same average spread around the mid."""
    half_spread = float(optimal_spread(market, risk_aversion).mean()) / 2
    return {
        "inventory": avellaneda_stoikov(market, risk_aversion),
        "symmetric": linear_skew_table(market, half_spread, 0.0),
    }


def unlimited(market: Market, tables: Callable[[Market], Sequence[QuoteTable]]) -> Market:
    """The market with an inventory limit that none of the quotes feels.

    Args:
        market: the market; its own limit is ignored.
        tables: the quotes in a market.

    Raises:
        ValueError: even a limit of LARGEST_LIMIT is felt.
    """
    limit = 16
    while True:
        wide = replace(market, max_inventory=min(limit, market.steps))
        reached = max(evaluate_exactly(wide, RiskNeutral(), t).visits[..., [0, -1]].max() for t in tables(wide))
        if reached < NOT_FELT or limit >= market.steps:
            return wide
        if limit >= LARGEST_LIMIT:
            raise ValueError(f"inventories beyond {LARGEST_LIMIT} are reached with probability {reached:.2g}")
        limit *= 2


def replicate(market: Market, risk_aversions: Sequence[float], episodes: int, seed: int) -> list[Line]:
    """Rerun the paper's tables: all strategies on one tape.

    Args:
        market: the market; its box of depths and its inventory limit are ignored.
        risk_aversions: gamma of each table [1 / price].
        episodes: number of simulated sessions, >= 2.
        seed: of the tape.

    Returns:
        Two lines for each risk aversion.
    """

    def tables(wide: Market) -> list[QuoteTable]:
        return [table for gamma in risk_aversions for table in strategies(wide, gamma).values()]

    market = unlimited(market, tables)
    exact = [evaluate_exactly(market, RiskNeutral(), table) for table in tables(market)]
    scales = [Scale(e.objective, e.objective, e.profit_mean, e.profit_std) for e in exact]
    lineup = Lineup(market, RiskNeutral(), tables(market), scales, reference=0)
    moments = merge_all(simulate(lineup, episodes, seed)).moments
    names = [(gamma, strategy) for gamma in risk_aversions for strategy in strategies(market, gamma)]
    lines = []
    for i, (gamma, strategy) in enumerate(names):
        figures = simulated_figures(RiskNeutral(), scales[i])
        simulated = {name: _estimate(moments.select(i), figures[name]) for name in FIGURES}
        error = {name: simulated[name].half_width * math.sqrt(episodes / PAPER_RUNS) for name in FIGURES}
        published = PUBLISHED.get((gamma, strategy), ()) if is_the_papers(market) else ()
        lines.append(Line(gamma, strategy, exact[i], simulated, error, published))
    return lines


def is_the_papers(market: Market) -> bool:
    """Whether the market has the parameters of the published tables."""
    default = Market()
    names = ("initial_mid", "volatility", "horizon", "steps", "arrival_rate", "depth_decay", "fill_law")
    return all(getattr(market, name) == getattr(default, name) for name in names)


def _estimate(moments: Moments, figure: Figure) -> Estimate:
    return estimate(moments, figure, ONE_STANDARD_ERROR)
