"""Reading npz archives that may be damaged, or hostile."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# What a damaged archive raises, beyond OSError. The last two come from NumPy's parsing of an array's header,
# RuntimeError from an encrypted member.
DAMAGE = (
    KeyError,
    ValueError,
    TypeError,
    EOFError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    SyntaxError,
    tokenize.TokenError,
)


@contextmanager
def refusing(path: Any, kind: type[ValueError], what: str) -> Iterator[None]:
    """Turn whatever reading an archive raises into one sentence.

    Args:
        path: the file, named in the sentence.
        kind: the error to raise; one that is of this kind already passes.
        what: what the file should be.

    Raises:
        kind: the file cannot be read, or is damaged.
    """
    try:
        yield
    except kind:
        raise
    except OSError as error:
        raise kind(f"{path} cannot be read: {error.strerror or error}") from error
    except DAMAGE as error:
        raise kind(f"{path} is no {what}: {error}") from error
