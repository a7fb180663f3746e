"""What reading a damaged npz archive raises, beyond OSError."""

from __future__ import annotations

import tokenize
import zipfile
import zlib

# The last two come from NumPy's parsing of an array's header, RuntimeError from an encrypted member.
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
