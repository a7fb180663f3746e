"""Registered environments by name, as the options of commands take them."""

from __future__ import annotations

from mmenv import _validate
from mmenv.envs.registration import IDS
from mmenv.problem import Problem


def full_id(name: str) -> str:
    """The registered id of a name, with "mmenv/" or without.

    Raises:
        ValueError: no such environment is registered.
    """
    return _validate.choice("--env", name if "/" in name else f"mmenv/{name}", IDS)


def problem_of(name: str | None = None) -> Problem:
    """The problem of a registered environment, of the first one if none is named.

    Raises:
        ValueError: no such environment is registered.
    """
    return Problem.from_arguments(**IDS[next(iter(IDS)) if name is None else full_id(name)])
