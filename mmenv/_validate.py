"""Checks of user input: every refusal is one sentence naming field, value and allowed range."""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

# Numbers within [1/LARGEST, LARGEST] have squares and products that still fit a float.
LARGEST = 1e100


def real(name: str, value: Any, *, above: float | None = None, at_least: float | None = None) -> float:
    """Return `value` as a finite float, or raise.

    Raises:
        TypeError: `value` is not a real number (booleans are refused too).
        ValueError: `value` is not finite or lies outside the range.
    """
    allowed = "a finite number"
    if above is not None:
        allowed = f"a finite number > {above:g}"
    elif at_least is not None:
        allowed = f"a finite number >= {at_least:g}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be {allowed}, got {value!r}")
    number = _as_float(value)
    if (
        not math.isfinite(number)
        or (above is not None and number <= above)
        or (at_least is not None and number < at_least)
    ):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    if not abs(number) <= LARGEST or (above == 0 and number < 1 / LARGEST):
        size = f"at most {LARGEST:g} in size" if number > 1 or number < -1 else f"at least {1 / LARGEST:g}"
        raise ValueError(f"{name} must be {allowed}, {size}, got {value!r}")
    return number


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond the floats
        return math.inf if value > 0 else -math.inf


def integer(name: str, value: Any, *, at_least: int, at_most: int | None = None) -> int:
    """Return `value` as an int, or raise.

    Raises:
        TypeError: `value` is not an integer (2.0 and True are refused too).
        ValueError: `value` lies outside the range.
    """
    allowed = f"an integer >= {at_least}" if at_most is None else f"an integer in [{at_least}, {at_most}]"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be {allowed}, got {value!r}")
    number = int(value)
    if number < at_least or (at_most is not None and number > at_most):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return number


def choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of `allowed`, else raise ValueError naming them all."""
    options = list(allowed)
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}{hint(value, options)}")
    return str(value)


def hint(value: Any, options: Iterable[str]) -> str:
    """' (did you mean ...?)' where an option is close to `value`, else nothing."""
    close = get_close_matches(str(value), list(options), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
