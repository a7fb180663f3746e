"""The market: frozen parameters, checked once on creation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from mmenv import _validate
from mmenv.fills import FILL_LAWS, FillLaw


@dataclass(frozen=True, kw_only=True)
class Market:
    """An Avellaneda-Stoikov market in discrete time (docs/model.md, section 1).

    The defaults are the parameters of Avellaneda & Stoikov (2008), section 3.3, in a box of depths and
    inventories which a good policy does not feel.

    Attributes:
        initial_mid: S_0, the mid price at the start [price].
        volatility: sigma, of the arithmetic Brownian mid [price / sqrt(time)], >= 0.
        horizon: T, the length of a session [time], > 0.
        steps: N, the number of steps in a session, >= 1.
        arrival_rate: A, market orders per side at depth 0 [1 / time], >= 0.
        depth_decay: k, the rate at which fills get rarer with depth [1 / price], > 0.
        max_inventory: Q, the largest absolute inventory [units], >= 1; a side at the limit is not quoted.
        min_depth: lower end of the box of depths [price]; may be negative.
        max_depth: upper end of the box of depths [price], > min_depth.
        fill_law: "linear", P(fill) = min(1, A dt exp(-k depth)), or "poisson", 1 - exp(-A dt exp(-k depth)).

    Raises:
        TypeError: a field is of the wrong type.
        ValueError: a field is out of its range; the message names field, value and range.
    """

    initial_mid: float = 100.0
    volatility: float = 2.0
    horizon: float = 1.0
    steps: int = 200
    arrival_rate: float = 140.0
    depth_decay: float = 1.5
    max_inventory: int = 20
    min_depth: float = -1.0
    max_depth: float = 3.0
    fill_law: str = "linear"

    def __post_init__(self) -> None:
        checked = {
            "initial_mid": _validate.real("initial_mid", self.initial_mid),
            "volatility": _validate.real("volatility", self.volatility, at_least=0),
            "horizon": _validate.real("horizon", self.horizon, above=0),
            "steps": _validate.integer("steps", self.steps, at_least=1),
            "arrival_rate": _validate.real("arrival_rate", self.arrival_rate, at_least=0),
            "depth_decay": _validate.real("depth_decay", self.depth_decay, above=0),
            "max_inventory": _validate.integer("max_inventory", self.max_inventory, at_least=1),
            "min_depth": _validate.real("min_depth", self.min_depth),
            "max_depth": _validate.real("max_depth", self.max_depth),
            "fill_law": _validate.choice("fill_law", self.fill_law, FILL_LAWS),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.max_depth <= self.min_depth:
            raise ValueError(f"max_depth must be > min_depth = {self.min_depth:g}, got {self.max_depth!r}")

    @cached_property
    def dt(self) -> float:
        """Length of a step, T / N [time]."""
        return self.horizon / self.steps

    @property
    def regimes(self) -> int:
        """Number of regimes; the plain market has one."""
        return 1

    @property
    def inventories(self) -> np.ndarray:
        """The inventories -Q .. Q, shape (2Q+1,) [units]."""
        return np.arange(-self.max_inventory, self.max_inventory + 1)

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """Shape (steps, regimes, 2Q+1) of an array over all states in which quotes are made."""
        return self.steps, self.regimes, 2 * self.max_inventory + 1

    @cached_property
    def law(self) -> FillLaw:
        """The fill law of this market, with A dt and k filled in."""
        return FILL_LAWS[self.fill_law](self.arrival_rate * self.dt, self.depth_decay)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values; `Market.from_dict` reads them back."""
        return asdict(self)

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
