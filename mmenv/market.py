"""The market: frozen parameters, checked once on creation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from mmenv import _validate, regimes
from mmenv.curves import Curve, as_curve
from mmenv.fills import FILL_LAWS, FillLaw
from mmenv.regimes import PerRegime

# What a regime may set: a number, or a sequence with one number per regime.
PER_REGIME: dict[str, dict[str, float]] = {
    "volatility": {"at_least": 0},
    "drift": {},
    "arrival_rate": {"at_least": 0},
    "depth_decay": {"above": 0},
    "bid_arrival_rate": {"at_least": 0},
    "ask_arrival_rate": {"at_least": 0},
    "bid_depth_decay": {"above": 0},
    "ask_depth_decay": {"above": 0},
    "informed_share": {"at_least": 0, "at_most": 1},
    "informed_jump": {"at_least": 0},
}
ONE_SIDED = ("bid_arrival_rate", "ask_arrival_rate", "bid_depth_decay", "ask_depth_decay")
ON_GRID = 1e-9  # how far from a multiple of the tick a depth may lie, in ticks

# Beyond these an answer would take all memory. A venue compares every inventory with every other.
MOST_STEPS = 10_000_000
MOST_INVENTORY = 10_000
MOST_WITH_VENUE = 1_000
MOST_STATES = 100_000_000


@dataclass(frozen=True, kw_only=True)
class Market:
    """An Avellaneda-Stoikov market in discrete time (docs/model.md, section 1).

    The defaults are the parameters of Avellaneda & Stoikov (2008), section 3.3, in a box of depths and
    inventories which a good policy does not feel. A parameter marked "per regime" may be a sequence with one
    number for each regime of an observed Markov chain, which `transition_rates` or `transition_matrix` states.

    Attributes:
        initial_mid: S_0, the mid price at the start [price].
        volatility: sigma, of the mid, its jumps excluded [price / sqrt(time)], >= 0; per regime.
        horizon: T, the length of a session [time], > 0.
        steps: N, the number of steps in a session, in [1, 10^7]; N (2Q+1) states for each regime, at most 10^8 in all.
        arrival_rate: A, market orders per side at depth 0 [1 / time], >= 0; per regime.
        depth_decay: k, the rate at which fills get rarer with depth [1 / price], > 0; per regime.
        max_inventory: Q, the largest absolute inventory [units], in [1, 10^4], with a hedge venue in [1, 1000]; a side
            at the limit is not quoted.
        min_depth: lower end of the box of depths [price]; may be negative.
        max_depth: upper end of the box of depths [price], > min_depth.
        fill_law: "linear", P(fill) = min(1, A dt exp(-k depth)), or "poisson", 1 - exp(-A dt exp(-k depth)).
        fill_curve: "exponential", f = exp(-k depth), or a mapping: {"name": "power", "scale": d_0, "exponent": alpha}
            or {"name": "table", "depths": [...], "factors": [...]}; depth_decay is then not used.
        drift: mu, of the mid [price / time]; per regime.
        bid_arrival_rate: A of the takers who sell to our bid, where it is not `arrival_rate`; per regime.
        ask_arrival_rate: A of the takers who buy from our ask, where it is not `arrival_rate`; per regime.
        bid_depth_decay: k on the bid side, where it is not `depth_decay`; per regime.
        ask_depth_decay: k on the ask side, where it is not `depth_decay`; per regime.
        informed_share: rho, the share of the takers beyond the mid who know where it goes, in [0, 1]; per regime.
        informed_jump: J, how far the mid moves with an informed taker [price], >= 0; per regime.
        transition_rates: G, rates from regime to regime, rows sum to 0 [1 / time]; a step uses expm(G dt).
        transition_matrix: P, probabilities of one step from regime to regime, rows sum to 1.
        initial_regime: the regime of the first step.
        fee: paid for each unit filled [price]; a rebate is negative.
        fee_rate: paid for each unit filled, in parts of its value at `initial_mid`; a rebate is negative.
        tick: depths are whole multiples of it [price], > 0; None for any depth.
        hedge_cost: c, of a unit traded at the mid before quoting [price], >= 0; None for a market without such a venue.
        hedge_fixed_cost: c_0, of each such trade [price], >= 0.

    Raises:
        TypeError: a field is of the wrong type.
        ValueError: a field is out of its range; the message names field, value and range.
    """

    initial_mid: float = 100.0
    volatility: PerRegime = 2.0
    horizon: float = 1.0
    steps: int = 200
    arrival_rate: PerRegime = 140.0
    depth_decay: PerRegime = 1.5
    max_inventory: int = 20
    min_depth: float = -1.0
    max_depth: float = 3.0
    fill_law: str = "linear"
    fill_curve: Any = "exponential"
    drift: PerRegime = 0.0
    bid_arrival_rate: PerRegime | None = None
    ask_arrival_rate: PerRegime | None = None
    bid_depth_decay: PerRegime | None = None
    ask_depth_decay: PerRegime | None = None
    informed_share: PerRegime = 0.0
    informed_jump: PerRegime = 0.0
    transition_rates: Sequence[Sequence[float]] | None = None
    transition_matrix: Sequence[Sequence[float]] | None = None
    initial_regime: int = 0
    fee: float = 0.0
    fee_rate: float = 0.0
    tick: float | None = None
    hedge_cost: float | None = None
    hedge_fixed_cost: float = 0.0

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            "initial_mid": _validate.real("initial_mid", self.initial_mid),
            "horizon": _validate.real("horizon", self.horizon, above=0),
            "steps": _validate.integer("steps", self.steps, at_least=1),
            "max_inventory": _validate.integer("max_inventory", self.max_inventory, at_least=1),
            "min_depth": _validate.real("min_depth", self.min_depth),
            "max_depth": _validate.real("max_depth", self.max_depth),
            "fill_law": _validate.choice("fill_law", self.fill_law, FILL_LAWS),
            "fill_curve": as_curve(self.fill_curve),
            "fee": _validate.real("fee", self.fee),
            "fee_rate": _validate.real("fee_rate", self.fee_rate),
        }
        checked["hedge_fixed_cost"] = _validate.real("hedge_fixed_cost", self.hedge_fixed_cost, at_least=0)
        if self.hedge_cost is not None:
            checked["hedge_cost"] = _validate.real("hedge_cost", self.hedge_cost, at_least=0)
        elif self.hedge_fixed_cost:
            raise ValueError(f"hedge_fixed_cost must be 0 where hedge_cost is None, got {self.hedge_fixed_cost!r}")
        if self.tick is not None:
            checked["tick"] = _validate.real("tick", self.tick, above=0)
        for name, value in (checked | self._checked_regimes()).items():
            object.__setattr__(self, name, value)
        self._check_size()
        if self.max_depth <= self.min_depth:
            raise ValueError(f"max_depth must be > min_depth = {self.min_depth:g}, got {self.max_depth!r}")
        if self.tick is not None and self.depth_range[0] > self.depth_range[1]:
            raise ValueError(
                f"tick must have a multiple in [{self.min_depth:g}, {self.max_depth:g}], got {self.tick!r}"
            )

    def _check_size(self) -> None:
        """Refuse what no computer holds."""
        states = self.regimes * (2 * self.max_inventory + 1)
        where, inventory = (" where hedge_cost is given", MOST_WITH_VENUE) if self.hedges else ("", MOST_INVENTORY)
        if self.max_inventory > inventory:
            raise ValueError(f"max_inventory must be an integer in [1, {inventory}]{where}, got {self.max_inventory!r}")
        most = min(MOST_STEPS, MOST_STATES // states)
        if self.steps > most:
            raise ValueError(f"steps must be an integer in [1, {most}] with {states} states a step, got {self.steps!r}")

    def _checked_regimes(self) -> dict[str, Any]:
        parameters = {
            name: regimes.per_regime(name, getattr(self, name), **limits)
            for name, limits in PER_REGIME.items()
            if getattr(self, name) is not None or name not in ONE_SIDED
        }
        sums = {"transition_rates": 0.0, "transition_matrix": 1.0}
        matrices: dict[str, Any] = {
            name: regimes.square_matrix(name, getattr(self, name), total)
            for name, total in sums.items()
            if getattr(self, name) is not None
        }
        count = regimes.count(parameters, matrices)
        initial = _validate.integer("initial_regime", self.initial_regime, at_least=0, at_most=count - 1)
        if count == 1:  # the chain that stays where it is needs no statement
            matrices = dict.fromkeys(matrices)
        return {**parameters, **matrices, "initial_regime": initial}

    @cached_property
    def dt(self) -> float:
        """Length of a step, T / N [time]."""
        return self.horizon / self.steps

    @cached_property
    def regimes(self) -> int:
        """Number of regimes; the plain market has one."""
        chain = self.transition_rates if self.transition_matrix is None else self.transition_matrix
        return 1 if chain is None else len(chain)

    @cached_property
    def transition(self) -> np.ndarray:
        """P(z, z'), the chance that regime z is followed by z', shape (regimes, regimes)."""
        if self.regimes == 1:
            return np.ones((1, 1))
        return regimes.transition_probabilities(self.transition_rates, self.transition_matrix, self.dt)

    @cached_property
    def occupation(self) -> np.ndarray:
        """The average share of the session spent in each regime, shape (regimes,)."""
        return regimes.occupation(self.transition, self.initial_regime, self.steps)

    def by_regime(self, name: str) -> np.ndarray:
        """A parameter in each regime, shape (regimes, 1): it broadcasts over arrays of (regimes, 2Q+1)."""
        return self._columns[name]

    @cached_property
    def _columns(self) -> dict[str, np.ndarray]:
        values = {name: getattr(self, name) for name in PER_REGIME}
        for name, value in values.items():
            if value is None:  # one side's own parameter, not given
                values[name] = values[name.split("_", 1)[1]]
            if name.endswith("depth_decay") and self.curve is not None:
                values[name] = self.curve.steepness
        return {
            name: np.array(np.broadcast_to(np.reshape(value, (-1, 1)), (self.regimes, 1)), dtype=float)
            for name, value in values.items()
        }

    def average(self, name: str) -> float:
        """A parameter averaged over the regimes, by the time spent in each."""
        return float(self.occupation @ self.by_regime(name)[:, 0])

    def in_regime(self, regime: int) -> Market:
        """The market that stays in one regime for ever, as formulas for the plain market see it."""
        if self.regimes == 1:
            return self
        given = [name for name in PER_REGIME if getattr(self, name) is not None]
        here: dict[str, Any] = {name: float(self._columns[name][regime, 0]) for name in given}
        return replace(self, **here, transition_rates=None, transition_matrix=None, initial_regime=0)

    @property
    def inventories(self) -> np.ndarray:
        """The inventories -Q .. Q, shape (2Q+1,) [units]."""
        return np.arange(-self.max_inventory, self.max_inventory + 1)

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """Shape (steps, regimes, 2Q+1) of an array over all states in which quotes are made."""
        return self.steps, self.regimes, 2 * self.max_inventory + 1

    @cached_property
    def fill_fee(self) -> float:
        """What a fill of one unit costs, fee + fee_rate initial_mid [price]; a rebate is negative."""
        return self.fee + self.fee_rate * self.initial_mid

    @cached_property
    def depth_range(self) -> tuple[float, float]:
        """The least and the greatest depth that can be quoted: the ends of the box, or its first and last tick."""
        if self.tick is None:
            return self.min_depth, self.max_depth
        first, last = math.ceil(self.min_depth / self.tick - ON_GRID), math.floor(self.max_depth / self.tick + ON_GRID)
        return first * self.tick, last * self.tick

    @cached_property
    def hedges(self) -> bool:
        """Whether there is a venue to trade at the mid before quoting."""
        return self.hedge_cost is not None

    def trade_cost(self, units: Any) -> Any:
        """What trading that many units at the mid costs, c |h| + c_0 1{h != 0} [price]; scalars or arrays."""
        size = units * (units > 0) - units * (units < 0)
        return size * self.hedge_cost + (units != 0) * self.hedge_fixed_cost

    def ticks(self, low: float, high: float) -> np.ndarray:
        """All multiples of the tick from `low` to `high`, themselves multiples [price]."""
        return np.arange(round(low / self.tick), round(high / self.tick) + 1) * self.tick  # type: ignore[operator]

    def allowed(self, depth: np.ndarray) -> np.ndarray:
        """The depths that can be quoted nearest to `depth`, same shape [price]; of two ticks as near, the wider."""
        nearest = depth if self.tick is None else np.floor(depth / self.tick + 0.5) * self.tick
        return np.clip(nearest, *self.depth_range)

    @property
    def curve(self) -> Curve | None:
        """The fill curve; None for the exponential one."""
        return self.fill_curve if isinstance(self.fill_curve, Curve) else None

    @cached_property
    def law(self) -> FillLaw:
        """The fill law of both sides, with A dt and k filled in.

        Raises:
            ValueError: the two sides have different laws.
        """
        if self.bid_law is not self.ask_law:
            raise ValueError("the sides of this market have different fill laws: use bid_law and ask_law")
        return self.bid_law

    @cached_property
    def bid_law(self) -> FillLaw:
        """The fill law of the bid side; its parameters have shape (regimes, 1), or are numbers for one regime."""
        return self._side_law("bid")

    @cached_property
    def ask_law(self) -> FillLaw:
        """The fill law of the ask side; the same object as `bid_law` if the sides are alike."""
        sides = ("arrival_rate", "depth_decay")
        alike = all(np.array_equal(self._columns[f"bid_{name}"], self._columns[f"ask_{name}"]) for name in sides)
        return self.bid_law if alike else self._side_law("ask")

    def _side_law(self, side: str) -> FillLaw:
        rate, decay = (self._columns[f"{side}_{name}"] for name in ("arrival_rate", "depth_decay"))
        if self.regimes == 1:
            return FILL_LAWS[self.fill_law](float(rate[0, 0]) * self.dt, float(decay[0, 0]), self.curve)
        return FILL_LAWS[self.fill_law](rate * self.dt, decay, self.curve)

    @cached_property
    def mirrored(self) -> bool:
        """Whether the market is its own mirror image in every regime: sides alike, no drift."""
        return self.bid_law is self.ask_law and not self.by_regime("drift").any()

    @cached_property
    def informed(self) -> bool:
        """Whether some takers know where the mid goes."""
        return bool(np.any(self.by_regime("informed_share") * self.by_regime("informed_jump") > 0))

    @cached_property
    def move_mean(self) -> np.ndarray:
        """The mean of a move without the jumps, mu dt less the mean of the jumps, shape (regimes, 1) [price].

        With the jumps the mean is mu dt (equation 37 of docs/model.md).
        """
        jump = self.by_regime("informed_share") * self.by_regime("informed_jump")
        beyond_mid = self.ask_law.probability(0.0) - self.bid_law.probability(0.0)
        return self.by_regime("drift") * self.dt - jump * beyond_mid

    @cached_property
    def jump_variance(self) -> np.ndarray:
        """The variance of the jumps of a step, shape (regimes, 1) [price^2]."""
        share, jump = self.by_regime("informed_share"), self.by_regime("informed_jump")
        chances = [share * law.probability(0.0) for law in (self.bid_law, self.ask_law)]
        return jump**2 * sum(chance * (1 - chance) for chance in chances)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values; `Market.from_dict` reads them back."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Market:
        """Build a market from a mapping of field names to values.

        Raises:
            TypeError: an unknown field, or a value of the wrong type.
            ValueError: a value out of its range.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise TypeError(
                    f"unknown market parameter {name!r}{_validate.hint(name, known)}; known: {', '.join(known)}"
                )
        return cls(**values)


def _plain(value: Any) -> Any:
    """A value as JSON knows it: lists instead of tuples, a mapping instead of a curve."""
    if isinstance(value, Curve):
        return value.to_dict()
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value
