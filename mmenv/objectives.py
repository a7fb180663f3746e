"""What a market maker wants: penalties, utilities and the rewards they pay (docs/model.md, section 4).

The market knows nothing of objectives. Each one here is a frozen value with the same three ingredients,
so that one solver, one evaluation and one set of environments serve them all:

- `running_penalty(q)`, phi(q): charged per unit time on the inventory after the fills;
- `terminal_penalty(q)`, l(q): charged once on the final inventory;
- `risk_aversion`, gamma: of the exponential (CARA) utility; 0 is a risk-neutral maker.

All of them maximise the certainty equivalent, -(1/gamma) ln E exp(-gamma Y), or E Y at gamma = 0, of
Y = W_N - W_0 - sum phi(q') dt - l(q_N) (equation 10).
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from mmenv import _validate
from mmenv.market import Market

# Beyond this, the moments of profit (squares of the penalty's size) no longer fit a float.
LARGEST_PENALTY = 1e100
CHECKED_INVENTORIES = 2001  # of a market that allows more, these many are tried, both ends among them


class Objective(ABC):
    """What all objectives share; see the module's docstring.

    One of your own is a subclass, `@dataclass(frozen=True)` if it has fields, that overrides a penalty. Penalties
    take inventories of any shape, fractions included (the scale of the observations is measured on them).

    Attributes:
        risk_aversion: gamma of the exponential utility [1 / price]; 0 where the objective is an expectation.
    """

    name: ClassVar[str]
    risk_aversion: float = 0.0

    def __init_subclass__(cls) -> None:
        """Call an objective by its class unless it says otherwise, never by the name of what it derives from."""
        if "name" not in vars(cls):
            cls.name = cls.__name__

    def running_penalty(self, inventory: ArrayLike) -> np.ndarray:
        """phi(q) [price / time], same shape as `inventory` [units]."""
        return np.zeros(np.shape(inventory))

    def terminal_penalty(self, inventory: ArrayLike) -> np.ndarray:
        """l(q) [price], same shape as `inventory` [units]."""
        return np.zeros(np.shape(inventory))

    def check(self, market: Market) -> None:
        """Refuse an objective whose penalties are not finite everywhere in `market`.

        Raises:
            TypeError: the objective cannot be hashed, so that its optimum could not be remembered.
            ValueError: a penalty overflows at an inventory that the market allows, or changes the shape of its input.
        """
        if type(self).__hash__ is None:
            raise TypeError(f"the objective {self.name} must be hashable: declare it with @dataclass(frozen=True)")
        largest, volatility = market.max_inventory, market.by_regime("volatility").max()
        q = np.unique(np.rint(np.linspace(-largest, largest, min(2 * largest + 1, CHECKED_INVENTORIES)))).astype(int)
        with np.errstate(over="ignore", invalid="ignore"):
            penalties = {
                "running penalty": np.asarray(self.running_penalty(q), dtype=float) * market.horizon,
                "terminal penalty": np.asarray(self.terminal_penalty(q), dtype=float),
                "risk of the inventory": self.risk_aversion * (volatility * q) ** 2 * market.horizon / 2,
            }
        for what, values in penalties.items():
            if values.shape != q.shape:
                raise ValueError(f"the {what} of {self} must have the inventories' shape {q.shape}, got {values.shape}")
            wrong = np.flatnonzero(~(np.abs(values) <= LARGEST_PENALTY))
            if wrong.size:
                at = int(q[wrong[-1]])
                raise ValueError(
                    f"the {what} of {self} at {'max_inventory' if at == market.max_inventory else 'inventory'} = {at} "
                    f"must be <= {LARGEST_PENALTY:g} over a session, got {values[wrong[-1]]:g}"
                )

    def to_dict(self) -> dict[str, Any]:
        """The objective as plain JSON values, {"name": ..., ...}; `objective_from_dict` reads them back."""
        return {"name": self.name, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class ExponentialPenalty(Objective):
    """Profit less a running penalty that grows exponentially: phi(q) = weight (exp(rate |q|) - 1).

    Attributes:
        weight: eta [price / time], >= 0.
        rate: kappa [1 / unit], >= 0.
        terminal_weight: of l(q) = terminal_weight q^2 [price / unit^2], >= 0.

    Raises:
        TypeError, ValueError: a field is not a finite number in its range.
    """

    weight: float = 1.0
    rate: float = 0.3
    terminal_weight: float = 0.0
    name: ClassVar[str] = "exponential_penalty"

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _validate.real(field.name, getattr(self, field.name), at_least=0))

    def running_penalty(self, inventory: ArrayLike) -> np.ndarray:
        return self.weight * np.expm1(self.rate * np.abs(np.asarray(inventory, dtype=float)))

    def terminal_penalty(self, inventory: ArrayLike) -> np.ndarray:
        return self.terminal_weight * np.asarray(inventory, dtype=float) ** 2


@dataclass(frozen=True)
class QuadraticPenalty(Objective):
    """Profit less a quadratic running penalty, phi(q) = weight q^2 (Cartea, Jaimungal & Penalva 2015, ch. 10).

    Attributes:
        weight: [price / (time unit^2)], >= 0.
        terminal_weight: of l(q) = terminal_weight q^2 [price / unit^2], >= 0.

    Raises:
        TypeError, ValueError: a field is not a finite number in its range.
    """

    weight: float = 0.1
    terminal_weight: float = 0.0
    name: ClassVar[str] = "quadratic_penalty"

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _validate.real(field.name, getattr(self, field.name), at_least=0))

    def running_penalty(self, inventory: ArrayLike) -> np.ndarray:
        return self.weight * np.asarray(inventory, dtype=float) ** 2

    def terminal_penalty(self, inventory: ArrayLike) -> np.ndarray:
        return self.terminal_weight * np.asarray(inventory, dtype=float) ** 2


@dataclass(frozen=True)
class RiskNeutral(Objective):
    """Plain expected profit."""

    name: ClassVar[str] = "risk_neutral"


@dataclass(frozen=True)
class ExponentialUtility(Objective):
    """CARA: E[-exp(-gamma (W_N - W_0))], reported as certainty equivalent (Avellaneda & Stoikov 2008, eq. 2.4).

    Attributes:
        risk_aversion: gamma [1 / price], > 0.

    Raises:
        TypeError, ValueError: the field is not a finite number in its range.
    """

    risk_aversion: float = 0.1
    name: ClassVar[str] = "exponential_utility"

    def __post_init__(self) -> None:
        object.__setattr__(self, "risk_aversion", _validate.real("risk_aversion", self.risk_aversion, above=0))


OBJECTIVES: dict[str, type[Objective]] = {
    kind.name: kind for kind in (ExponentialPenalty, QuadraticPenalty, RiskNeutral, ExponentialUtility)
}


def objective_from_dict(values: Mapping[str, Any]) -> Objective:
    """Build an objective from {"name": ..., field: value, ...}, as `Objective.to_dict` writes it.

    Raises:
        TypeError: no name, an unknown field, or a value of the wrong type.
        ValueError: an unknown name, or a value out of its range.
    """
    if not isinstance(values, Mapping) or "name" not in values:
        raise TypeError(f'an objective must be a mapping with a "name" among {", ".join(OBJECTIVES)}, got {values!r}')
    kind = OBJECTIVES[_validate.choice("objective name", values["name"], OBJECTIVES)]
    arguments = {key: value for key, value in values.items() if key != "name"}
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for key in arguments:
        if key not in known:
            raise TypeError(
                f"unknown parameter {key!r} of objective {kind.name!r}{_validate.hint(key, known)}; "
                f"known: {', '.join(known) or 'none'}"
            )
    return kind(**arguments)
