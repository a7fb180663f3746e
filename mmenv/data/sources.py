"""Bytes of recorded files, plain or compressed, in blocks of whole lines and bounded memory."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from mmenv.data.recording import RecordingError

BLOCK = 16 * 2**20
HEAD = 64 * 2**10
# Tables of trades shrink to a tenth, seldom to a thirtieth; files made to explode shrink to a thousandth.
LARGEST_RATIO = 200
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"


class Block(NamedTuple):
    """Some whole lines of a file, and the number of the first of them."""

    line: int
    data: bytes


def magic(path: Path) -> bytes:
    """The first four bytes of a file.

    Raises:
        RecordingError: it cannot be read or is empty.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from error
    if not start:
        raise RecordingError(f"{path} is empty")
    return start


def head(path: Path) -> list[str]:
    """The first whole lines of a text file, plain or compressed.

    Raises:
        RecordingError: it cannot be read, or holds no text.
    """
    with opened(path) as (stream, _):
        data = stream.read(HEAD)
    if b"\0" in data:
        raise RecordingError(f"{path} is no text table: it holds bytes that are no text")
    whole = data[: data.rfind(b"\n")] if b"\n" in data and len(data) == HEAD else data
    lines = [line.strip("\r") for line in whole.decode("utf-8", errors="replace").lstrip("\ufeff").split("\n")]
    lines = [line for line in lines if line]
    if not lines or (len(data) == HEAD and b"\n" not in data):
        raise RecordingError(f"{path} is no text table: it has no lines of reasonable length")
    return lines


def blocks(path: Path, bar: bool = False) -> Iterator[Block]:
    """The lines of a text file, plain or compressed, about 16 MiB at a time.

    Args:
        path: the file.
        bar: whether to draw a progress bar to stderr.

    Raises:
        RecordingError: it cannot be read, is cut off or damaged, grows absurdly when decompressed, or has a line
            longer than a block.
    """
    with opened(path) as (stream, raw), _progress(path, bar) as advance:
        line, rest, total = 1, b"", 0
        while data := stream.read(BLOCK):
            total += len(data)
            if total > 2 * BLOCK and total > LARGEST_RATIO * max(raw.tell(), 1):
                raise RecordingError(
                    f"{path} grows more than {LARGEST_RATIO} times when decompressed, as no recording does"
                )
            data = rest + data
            filled = len(data[: data.rfind(b"\n") + 1].rstrip(b"\r\n"))
            end = data.find(b"\n", filled) + 1 if filled else 0  # blank lines wait: at the end of a file they are none
            if end == 0 and len(data) >= BLOCK:
                raise RecordingError(f"{path} is no text table: line {line} is longer than {BLOCK} bytes")
            if end:
                yield Block(line, data[:end])
                line += data.count(b"\n", 0, end)
            rest = data[end:]
            advance(raw.tell())
        if rest.strip():
            yield Block(line, rest)


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """A stream of decompressed bytes, and the file under it, whose position tells how far we are.

    Raises:
        RecordingError: the file cannot be read, is cut off or damaged, or is a zip file of several files.
    """
    start = magic(path)
    try:
        with open(path, "rb") as raw:
            if start.startswith(GZIP):
                with gzip.open(raw) as stream:
                    yield stream, raw  # type: ignore[misc]
            elif start == ZIP:
                with zipfile.ZipFile(raw) as archive, archive.open(_only_member(path, archive)) as stream:
                    yield stream, raw
            else:
                yield raw, raw
    except EOFError as error:
        raise RecordingError(f"{path} is cut off: the compressed data ends too early") from error
    except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise RecordingError(f"{path} is damaged or not readable: {error}") from error
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror or error}") from error


def _only_member(path: Path, archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if len(names) != 1:
        raise RecordingError(f"{path} must hold one file, got {len(names)}")
    return names[0]


@contextmanager
def _progress(path: Path, bar: bool) -> Iterator[Any]:
    """A function to call with the position in the file."""
    if not bar:
        yield lambda position: None
        return
    from mmenv._extras import needs

    with needs("data"):
        from tqdm import tqdm
    total = path.stat().st_size
    with tqdm(total=total, unit="B", unit_scale=True, desc=f"reading {path.name}", file=sys.stderr) as shown:
        yield lambda position: shown.update(min(position, total) - shown.n)


def lines_of(data: bytes) -> list[str]:
    """The lines of a block, for messages."""
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="replace").read().split("\n")
