"""Fill curves other than the exponential: how the intensity of takers falls with depth (docs/model.md, section 8).

The intensity at a depth is A f(depth) with f(0) = 1, f non-increasing. A curve gives fall(depth) = -ln f(depth) and
its generalised inverse: a taker of level y reaches the supremum of the depths at which fall(depth) < y.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from mmenv import _validate
from mmenv.regimes import per_regime

AT_ZERO = 1e-9  # how far from 1 a table's factor at depth 0 may be


class Curve(ABC):
    """A fill curve; frozen, hashable, JSON-able."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def steepness(self) -> float:
        """A decay of like size, for scales and for formulas that know of exponential curves only [1 / price]."""

    @property
    @abstractmethod
    def kinks(self) -> np.ndarray:
        """The depths at which the slope of `fall` jumps [price]."""

    @abstractmethod
    def fall(self, depth: ArrayLike) -> np.ndarray:
        """-ln f(depth), same shape as `depth` [price]."""

    @abstractmethod
    def reach(self, level: np.ndarray) -> np.ndarray:
        """The supremum of the depths at which fall < level, same shape; infinite where all or none are [price]."""

    def to_dict(self) -> dict[str, Any]:
        """{"name": ..., field: value, ...} as plain JSON values."""
        fields = asdict(self)  # type: ignore[call-overload]
        return {"name": self.name} | {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}


@dataclass(frozen=True)
class PowerCurve(Curve):
    """f = (1 + max(depth, 0) / scale)^-exponent: takers of all patiences, with a fat tail (equation 46).

    Attributes:
        scale: d_0 [price], > 0.
        exponent: alpha, > 0.

    Raises:
        TypeError, ValueError: a field is not a finite number > 0.
    """

    scale: float
    exponent: float
    name: ClassVar[str] = "power"

    def __post_init__(self) -> None:
        for field in ("scale", "exponent"):
            object.__setattr__(self, field, _validate.real(f"fill_curve {field}", getattr(self, field), above=0))

    @property
    def steepness(self) -> float:
        return self.exponent / self.scale

    @property
    def kinks(self) -> np.ndarray:
        return np.zeros(1)

    def fall(self, depth: ArrayLike) -> np.ndarray:
        return self.exponent * np.log1p(np.maximum(depth, 0.0) / self.scale)

    def reach(self, level: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.where(level > 0, self.scale * np.expm1(np.maximum(level, 0.0) / self.exponent), -np.inf)


@dataclass(frozen=True)
class TableCurve(Curve):
    """f interpolated log-linearly between depths, constant outside them.

    Attributes:
        depths: rising [price].
        factors: f at these depths, > 0, non-increasing; f(0) must be 1.

    Raises:
        TypeError, ValueError: a field is no such sequence.
    """

    depths: tuple[float, ...]
    factors: tuple[float, ...]
    name: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        for field, limits in (("depths", {}), ("factors", {"above": 0})):
            values = per_regime(f"fill_curve {field}", getattr(self, field), **limits)
            object.__setattr__(self, field, values if isinstance(values, tuple) else (values,))
        if len(self.depths) != len(self.factors) or len(self.depths) < 2:
            raise ValueError(
                f"fill_curve depths and factors must be two or more each, and as many, "
                f"got {len(self.depths)} and {len(self.factors)}"
            )
        if not (np.diff(self.depths) > 0).all():
            raise ValueError(f"fill_curve depths must rise, got {self.depths!r}")
        if not (np.diff(self.factors) <= 0).all():
            raise ValueError(f"fill_curve factors must not rise, got {self.factors!r}")
        if abs(float(self.fall(0.0))) > AT_ZERO:
            raise ValueError(f"fill_curve factors must be 1 at depth 0, got {float(np.exp(-self.fall(0.0)))!r}")

    @property
    def steepness(self) -> float:
        span = self.depths[-1] - self.depths[0]
        fall = float(np.log(self.factors[0] / self.factors[-1]))
        return fall / span if fall > 0 else 1 / span

    @property
    def kinks(self) -> np.ndarray:
        return np.array(self.depths)

    def fall(self, depth: ArrayLike) -> np.ndarray:
        return np.interp(np.asarray(depth, dtype=float), self.depths, -np.log(self.factors))

    def reach(self, level: np.ndarray) -> np.ndarray:
        depths, falls = np.array(self.depths), -np.log(self.factors)
        # The piece whose right end is the first to have fallen as far; flat pieces are jumped over.
        right = np.searchsorted(falls, level, side="left")
        inside = np.clip(right, 1, len(depths) - 1)
        rise = np.diff(falls)[inside - 1]
        part = (level - falls[inside - 1]) / np.where(rise > 0, rise, 1.0)
        found = depths[inside - 1] + np.clip(part, 0.0, 1.0) * np.diff(depths)[inside - 1]
        return np.where(right == 0, -np.inf, np.where(right == len(depths), np.inf, found))


CURVES: dict[str, type[Curve]] = {curve.name: curve for curve in (PowerCurve, TableCurve)}


def as_curve(value: Any) -> str | Curve:
    """The curve that a market's `fill_curve` states: "exponential", a Curve, or a mapping with a "name".

    Raises:
        TypeError, ValueError: it states none, or one with wrong parameters.
    """
    if isinstance(value, Curve) or value == "exponential":
        return value
    if not isinstance(value, Mapping) or "name" not in value:
        raise TypeError(
            f'fill_curve must be "exponential" or a mapping with a "name" among {", ".join(CURVES)}, got {value!r}'
        )
    kind = CURVES[_validate.choice("fill_curve name", value["name"], CURVES)]
    try:
        return kind(**{key: part for key, part in value.items() if key != "name"})
    except TypeError as error:
        if "argument" not in str(error):
            raise
        known = ", ".join(kind.__dataclass_fields__)  # type: ignore[attr-defined]
        raise TypeError(f"fill_curve {kind.name!r} must have the parameters {known}, got {dict(value)!r}") from None
