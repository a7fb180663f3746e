"""The file of a run: the quotes of the trained agent in every state, as plain arrays (npz, nothing unpickled).

    bid_depth, ask_depth   shape (steps, regimes, 2Q+1), indexed [n, z, q + Q]
    hedge                  the same shape, whole units; only in a market with a hedge venue

Depths are floats [price]; or, to take little space, integers: how many 1/1024 of a price unit the depth grew since the
step before, so that sums along the first axis, over 1024, are the depths.
"""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from mmenv._archives import refusing
from mmenv._files import write_atomically
from mmenv.market import Market
from mmenv.quotes import QuoteTable

UNIT = 1024
DEPTHS = ("bid_depth", "ask_depth")
HEADER = 10_000  # bytes of a member that are no numbers, at most
NUMBERS = {"f4", "f8", "i1", "i2", "i4", "i8"}


class QuotesError(ValueError):
    """A file of quotes that cannot be used; the message is one sentence."""


def write_quotes(path: Path, table: QuoteTable, exact: bool = False) -> None:
    """Write quotes, rounded to 1/1024 of a price unit unless `exact`; sides that are not quoted become 0.

    Rounding costs less than 3e-5 % of the optimum in the markets of version 0, and saves most of the space.

    Raises:
        OSError: the file cannot be written.
    """
    arrays: dict[str, Any] = {}
    for name, quoted in zip(DEPTHS, table.quoted, strict=True):
        depth = np.where(quoted, getattr(table, name), 0.0)
        if not exact:
            depth = np.diff(np.rint(depth * UNIT).astype(np.int32), axis=0, prepend=np.int32(0))
        arrays[name] = np.asfortranarray(depth)  # times side by side: they differ least
    if table.hedge is not None:
        arrays["hedge"] = np.asfortranarray(table.hedge.astype(np.int32))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def read_quotes(path: Path, market: Market) -> QuoteTable:
    """Read quotes and check that they fit a market; nothing in the file is executed.

    Raises:
        QuotesError: the file is missing, too large or damaged, holds other arrays, or depths that are not finite.
    """
    names = {*DEPTHS, *(["hedge"] if market.hedges else [])}
    with refusing(path, QuotesError, "file of quotes"):
        with zipfile.ZipFile(path) as archive:
            found = [member.filename.removesuffix(".npy") for member in archive.infolist()]
            if sorted(found) != sorted(names):
                raise QuotesError(f"{path} must hold the arrays {', '.join(sorted(names))}, got {_listed(found)}")
            arrays = {name: _array(path, archive, name, market) for name in sorted(names)}
        hedge = arrays.get("hedge")
        table = QuoteTable(_depths(arrays["bid_depth"]), _depths(arrays["ask_depth"]), hedge)
        table.check(market, on_ticks=False)
    return table


def _array(path: Path, archive: zipfile.ZipFile, name: str, market: Market) -> np.ndarray:
    """A member of the archive; its size, type and shape are looked at before its numbers are."""
    largest = 8 * math.prod(market.grid_shape) + HEADER
    member = archive.getinfo(f"{name}.npy")
    if member.file_size > largest:
        raise QuotesError(f"{path} must hold at most {largest} bytes as {name}, got {member.file_size}")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise QuotesError(f"{path} must be stored or deflated, got compression {member.compress_type}")
    with archive.open(member) as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise QuotesError(f"{path} must hold {name} in version 1.0 of the npy format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.str[1:] not in NUMBERS or (name == "hedge" and dtype.kind != "i"):
            raise QuotesError(f"{path} must hold {name} as plain numbers, got {str(dtype)!r:.40}")
        if shape != market.grid_shape:
            raise QuotesError(
                f"{path} must hold {name} of shape (steps, regimes, 2Q+1) = {market.grid_shape}, got {shape}"
            )
        data = stream.read(largest)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _depths(values: np.ndarray) -> np.ndarray:
    return values if values.dtype.kind == "f" else np.cumsum(values, axis=0, dtype=np.int64) / UNIT


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name)[:40] for name in names[:5]) + ("" if len(names) <= 5 else ", ...") if names else "none"
