"""What all claims are tested on: one market, one penalty, three makers, one trader's interval."""

from __future__ import annotations

from dataclasses import dataclass, field

from evaluate.article.chain import Chain
from mmenv.closed_forms import asymptotic_glft, avellaneda_stoikov
from mmenv.grading import reference_solution
from mmenv.market import Market
from mmenv.objectives import ExponentialPenalty, Objective
from mmenv.quotes import QuoteTable

RISK_AVERSION = 0.1


@dataclass(frozen=True)
class Maker:
    """Quotes, and the chain that inventory is under them."""

    quotes: QuoteTable
    chain: Chain

    @classmethod
    def of(cls, market: Market, quotes: QuoteTable) -> Maker:
        """A maker in a market."""
        return cls(quotes, Chain.of(market, quotes))

    @classmethod
    def optimal(cls, market: Market, objective: Objective) -> Maker:
        """The maker whose quotes are the exact optimum."""
        return cls.of(market, reference_solution(market, objective).quotes)


@dataclass(frozen=True)
class Bench:
    """The setting of the tests.

    Attributes:
        market: the plain market; its box does not bound the formulas.
        objective: what the exact optimum maximises.
        makers: by name: "as", "glft" and "optimum".
        event: units bought in an event study.
        order: units that a trader must buy.
        episodes: number of simulated sessions.
        seed: of their tapes.
    """

    market: Market
    objective: Objective
    makers: dict[str, Maker] = field(repr=False)
    event: int = 5
    order: int = 10
    episodes: int = 20_000
    seed: int = 0

    @classmethod
    def of(cls, market: Market | None = None, objective: Objective | None = None, **numbers: int) -> Bench:
        """The bench of a market and a penalty, by default the suite's."""
        market = Market() if market is None else market
        objective = ExponentialPenalty() if objective is None else objective
        makers = {
            "as": Maker.of(market, avellaneda_stoikov(market, RISK_AVERSION)),
            "glft": Maker.of(market, asymptotic_glft(market, RISK_AVERSION)),
            "optimum": Maker.optimal(market, objective),
        }
        return cls(market, objective, makers, **numbers)

    @property
    def optimum(self) -> Maker:
        """The maker that quotes optimally."""
        return self.makers["optimum"]

    @property
    def first(self) -> int:
        """The step before which the trader may first trade; the maker is flat then."""
        return self.market.steps // 4

    @property
    def last(self) -> int:
        """The trader's deadline."""
        return 3 * self.market.steps // 4

    @property
    def middle(self) -> int:
        """The step at which quotes are looked at."""
        return self.market.steps // 2

    def steps(self, part: float) -> int:
        """The number of steps in a part of the session."""
        return round(part * self.market.steps)

    def time(self, steps: float) -> float:
        """How long so many steps take."""
        return steps * self.market.dt
