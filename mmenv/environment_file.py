"""Files that hold the keyword arguments of an environment, such as the `market.json` of a calibration."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

LARGEST_FILE = 2**20


def read_environment(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read keyword arguments of an environment: market, objective, reward, or fields of Market by name.

    Raises:
        ValueError: the file is missing, too large or no JSON object; the message is one sentence.
    """
    try:
        with open(Path(path), "rb") as file:
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise ValueError(f"{path} must be at most {LARGEST_FILE} bytes")
        values = json.loads(data.decode("utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} must hold a JSON object") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a JSON object, got a {type(values).__name__}")
    return values
