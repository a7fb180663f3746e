"""The market that a calibration found: what goes into `market.json` (docs/real-markets.md, section 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmenv import _validate
from mmenv.data.chain import Chain
from mmenv.data.likelihood import Interval
from mmenv.data.sides import SIDES, Side
from mmenv.market import Market
from mmenv.objectives import ExponentialPenalty
from mmenv.solver import evaluate_exactly, solve

REGIMES = ("1", "2", "auto")
SIDES_ARE = ("alike", "apart", "auto")
# The default market's penalty, in units of what trading earns there: eta = A / (k PENALTY_UNITS).
PENALTY_UNITS = 140 / 1.5
RATE = 0.3
# A state that is visited more rarely than this may have its best quote outside the box of depths.
RARE = 1e-6
MARGIN = 1.0  # of the box beyond the optimal quotes, in 1/k
MOST_SEEN = 1e-4  # chance of standing at the inventory limit that counts as not feeling it
LIMITS = (20, 30, 45, 70, 100)


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the market is to hold beyond one A and one k.

    Attributes:
        regimes: "1", "2" (busy and quiet), or "auto": two where they are significantly better.
        sides: "alike" (one A and one k), "apart", or "auto": apart where the sides differ significantly.
        fee: paid for each unit filled [price]; a rebate is negative.
        fee_rate: paid for each unit filled, in parts of its value; a rebate is negative.
        on_ticks: whether depths are whole multiples of the tick.

    Raises:
        TypeError, ValueError: a field is out of its range.
    """

    regimes: str = "1"
    sides: str = "auto"
    fee: float = 0.0
    fee_rate: float = 0.0
    on_ticks: bool = False

    def __post_init__(self) -> None:
        _validate.choice("regimes", self.regimes, REGIMES)
        _validate.choice("sides", self.sides, SIDES_ARE)
        for name in ("fee", "fee_rate"):
            object.__setattr__(self, name, _validate.real(name, getattr(self, name)))


def arrivals(sides: dict[str, Side], apart: bool, chain: Chain | None) -> dict[str, Any]:
    """The fields of a market that say how takers come: rates and decays, of each side and regime where they differ."""
    both = sides["both"]
    fields: dict[str, Any] = {
        "arrival_rate": both.arrival_rate.value,
        "depth_decay": both.depth_decay.value,
    }
    rate: dict[str, Any] = {name: side.arrival_rate.value for name, side in sides.items()}
    decay = {name: side.depth_decay.value for name, side in sides.items()}
    if chain is not None:
        rate |= {name: _values(pair) for name, pair in chain.arrival_rate.items()}
        decay |= {name: value.value for name, value in chain.depth_decay.items()}
        fields |= {"transition_rates": chain.transition_rates, "initial_regime": chain.commoner}
    if apart:
        fields |= {f"{name}_arrival_rate": rate[name] for name in SIDES}
        return fields | {f"{name}_depth_decay": decay[name] for name in SIDES}
    return fields | {"arrival_rate": rate["both"], "depth_decay": decay["both"]}


def _values(estimates: tuple[Interval, ...]) -> list[float]:
    return [estimate.value for estimate in estimates]


def objective(both: Side) -> ExponentialPenalty:
    """The default objective in a market's units: the penalty is to trading profit as in the default market."""
    return ExponentialPenalty(both.arrival_rate.value / both.depth_decay.value / PENALTY_UNITS, RATE)


def boxed(fields: dict[str, Any], penalty: ExponentialPenalty, tick: float) -> Market:
    """The market with the smallest limit and box of depths that the optimum does not feel.

    Args:
        fields: of the market, all but the box and the limit.
        penalty: the objective.
        tick: the ends of the box are multiples of it [price].
    """
    names = ["depth_decay", "bid_depth_decay", "ask_depth_decay"]
    decays = [fields[name] for name in names if name in fields]
    rates = np.concatenate([np.ravel(value) for name, value in fields.items() if name.endswith("arrival_rate")])
    most = max(0.0, math.log(max(rates) * fields["horizon"] / fields["steps"]))
    widest = {"min_depth": -4 / min(decays), "max_depth": (most + 8) / min(decays)}
    if "tick" in fields:
        widest = {name: math.copysign(max(abs(depth), 2 * tick), depth) for name, depth in widest.items()}
    for limit in LIMITS:
        market = Market(max_inventory=limit, **fields, **widest)
        quotes = solve(market, penalty).quotes
        visits = evaluate_exactly(market, penalty, quotes).visits
        if visits[:, :, [0, -1]].sum(axis=(1, 2)).max() <= MOST_SEEN:
            break
    seen = visits[:-1] > RARE
    depths = np.concatenate([side[seen & np.isfinite(side)] for side in (quotes.bid_depth, quotes.ask_depth)])
    margin = max(MARGIN / min(decays), tick)
    low, high = min(0.0, float(depths.min()) - margin), float(depths.max()) + margin
    low, high = math.floor(low / tick) * tick, math.ceil(high / tick) * tick
    return Market(**fields, max_inventory=limit, min_depth=_short(low), max_depth=_short(high))


def _short(depth: float) -> float:
    """Without the dust of binary fractions."""
    return float(f"{depth:.10g}")
