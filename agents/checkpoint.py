"""The run folder: what a training run leaves behind, in plain data (JSON and safetensors, nothing unpickled).

    config.json         format version, problem, training configuration, seed, versions, git commit, threads, command
    policy.safetensors  the weights of the policy that is graded, and in its header, as JSON, its architecture
    state.safetensors   what continuing the run needs
    progress.csv        what was seen while it trained

Every file is replaced as a whole, and a safetensors file carries the checksum of all of itself in its header. So
each file is good or refused, whatever happened while it was written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.shipped import locate, suggestion
from mmenv import Problem
from mmenv._files import write_atomically

if TYPE_CHECKING:
    from agents.ppo import TrainedPolicy

FORMAT = 1
LARGEST_FILE = 256 * 2**20
LARGEST_JSON = 2**20
LARGEST_LAYER = 512
MOST_LAYERS = 4
UNSEALED = 64 * "0"  # stands where the checksum will be while it is computed


class RunError(ValueError):
    """A run folder that cannot be read; the message is one sentence."""


def load(run: str | os.PathLike[str]) -> TrainedPolicy:
    """The trained policy of a run folder, or a shipped one by its name: `load("AvellanedaStoikov-v0")`.

    Nothing in the folder is executed; what does not fit the format, or its checksum, is refused.

    Args:
        run: a run folder, or the id of a registered environment, with "mmenv/" or without.

    Raises:
        RunError: the folder is missing, incomplete, damaged or of another format version.
    """
    from agents.ppo import Architecture, QuoteNetwork, TrainedPolicy

    folder = locate(run)
    if not folder.is_dir():
        raise RunError(f"there is no run folder {str(run)!r}{suggestion(run)}")
    config = read_config(folder)
    try:
        problem = Problem.from_dict(config["problem"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RunError(f"{folder / 'config.json'} states no valid problem: {error}") from error
    tensors, record = load_tensors(folder, "policy")
    try:
        architecture = Architecture.from_dict(record["architecture"])
        found = architecture.inputs, architecture.outputs
        wanted = problem.codec.observations.shape[-1], problem.codec.components
        if found != wanted:
            raise ValueError(f"its inputs and outputs are {found}, the problem's {wanted}")
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder / 'policy.safetensors'} states no valid architecture: {error}") from error
    expected = {name: np.empty(shape, dtype=np.float32) for name, shape in architecture.shapes.items()}
    check_arrays(folder / "policy.safetensors", tensors, expected)
    return TrainedPolicy(str(config.get("name", folder.name)), problem, QuoteNetwork(architecture, tensors), config)


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a run folder, its format version checked.

    Raises:
        RunError: the folder or the file is missing or damaged, or of another format version.
    """
    if not folder.is_dir():
        raise RunError(f"there is no run folder {str(folder)!r}")
    path = folder / "config.json"
    config = read_json(path)
    if config.get("format") != FORMAT:
        raise RunError(f"{path} has format version {config.get('format')!r}; this version of mmenv reads {FORMAT}")
    return config


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        RunError: the file is missing, too large, or holds no JSON object.
    """
    return _json_object(path, read(path, LARGEST_JSON))


def read(path: Path, largest: int) -> bytes:
    """A file's content.

    Raises:
        RunError: the file is missing, no ordinary file, or larger than `largest` bytes.
    """
    try:
        if path.exists() and not path.is_file():
            raise RunError(f"{path} is no file")
        if path.stat().st_size > largest:
            raise RunError(f"{path} must be at most {largest} bytes, got {path.stat().st_size}")
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error


def _json_object(path: Path, text: bytes) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged: it holds no valid JSON") from error
    if not isinstance(values, dict):
        raise RunError(f"{path} must hold a JSON object, got a {type(values).__name__}")
    return values


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a file by a JSON object, atomically."""
    write_atomically(path, (json.dumps(values, indent=2, allow_nan=False) + "\n").encode("utf-8"))


def save_tensors(folder: Path, name: str, tensors: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> None:
    """Replace `name.safetensors`, atomically.

    Args:
        folder: an existing folder.
        name: of the file, without its suffix.
        tensors: arrays by name, all finite.
        record: JSON values that belong to these tensors; they are kept in the file's header.

    Raises:
        ValueError: an array is not finite; nothing is written.
        OSError: the disk is full or the folder cannot be written; the old file is untouched.
    """
    from safetensors.numpy import save

    for key, values in tensors.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite to be saved, got {key} with entries that are not")
    arrays = {key: np.asarray(values, order="C") for key, values in tensors.items()}
    header = {"sha256": UNSEALED, "record": dict(record)}
    data = save(arrays, {"mmenv": json.dumps(header, allow_nan=False)})  # one entry: their order is not defined
    digest = hashlib.sha256(data).hexdigest()
    write_atomically(folder / f"{name}.safetensors", data.replace(UNSEALED.encode(), digest.encode(), 1))


def load_tensors(folder: Path, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and the record that `save_tensors` wrote.

    Raises:
        RunError: the file is missing or damaged, its checksum does not match, or an array is not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_bytes

    path = folder / f"{name}.safetensors"
    data = read(path, LARGEST_FILE)
    record = _unsealed(path, data)
    try:
        tensors = load_bytes(data)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is no valid safetensors file: {error}") from error
    for key, values in tensors.items():
        if not np.isfinite(values).all():
            raise RunError(f"{path} holds numbers that are not finite in {key!r}")
    return tensors, record


def _unsealed(path: Path, data: bytes) -> dict[str, Any]:
    """The record in the header of a safetensors file whose checksum holds.

    The checksum is that of the file with `UNSEALED` in the place of the checksum.
    """
    size = int.from_bytes(data[:8], "little")
    if not 0 < size <= min(len(data) - 8, LARGEST_JSON):
        raise RunError(f"{path} is no safetensors file: its header is missing, cut off or too large")
    metadata = _json_object(path, data[8 : 8 + size]).get("__metadata__")
    text = metadata.get("mmenv") if isinstance(metadata, dict) else None
    header = _json_object(path, text.encode()) if isinstance(text, str) else {}
    digest, record = header.get("sha256"), header.get("record")
    if not isinstance(digest, str) or len(digest) != len(UNSEALED) or not isinstance(record, dict):
        raise RunError(f"{path} is damaged: it states no checksum")
    if hashlib.sha256(data.replace(digest.encode(), UNSEALED.encode(), 1)).hexdigest() != digest:
        raise RunError(f"{path} is damaged: its checksum does not match")
    return record


def check_arrays(path: Path, tensors: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """Refuse tensors whose names, types or shapes are not those of the expected ones.

    Raises:
        RunError: a tensor is missing, unknown, or of another type or shape.
    """
    for key in sorted(set(expected) | set(tensors)):
        found, wanted = (
            f"{arrays[key].dtype} {arrays[key].shape}" if key in arrays else "nothing" for arrays in (tensors, expected)
        )
        if found != wanted:
            raise RunError(f"{path} must hold {wanted} as {key!r}, got {found}")
