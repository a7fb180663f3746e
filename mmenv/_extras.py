"""Errors for optional dependencies that name the line which installs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Turn a missing import into an error that names the extra to install.

    Raises:
        ModuleNotFoundError: an import inside the block failed because a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"this needs the package {error.name!r}, which the extra {extra!r} brings: pip install 'mmenv[{extra}]' "
            f"(in a checkout: pip install -e '.[{extra}]')",
            name=error.name,
        ) from error
