"""The run folder: what a training run leaves behind, in plain data (JSON and safetensors, nothing unpickled).

    config.json         format version, problem, training configuration, seed, versions, git commit, threads, command
    policy.safetensors  the weights of the policy that is graded
    policy.json         its architecture, and the checksum of the weights
    progress.csv        what was seen while it trained
    state.safetensors, state.json    what continuing the run needs

A pair of files is replaced in two steps. So that no moment between them leaves a pair which does not match,
the JSON file describes two versions, the new one and the one before, and the reader takes the version whose
checksum is that of the tensors it finds.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmenv import Problem

if TYPE_CHECKING:
    from agents.ppo import TrainedPolicy

FORMAT = 1
LARGEST_FILE = 256 * 2**20
LARGEST_JSON = 2**20
LARGEST_GRID = 10**8


class RunError(ValueError):
    """A run folder that cannot be read; the message is one sentence."""


def load(run: str | os.PathLike[str]) -> TrainedPolicy:
    """The trained policy of a run folder.

    Nothing in the folder is executed; what does not fit the format, or its checksum, is refused.

    Raises:
        RunError: the folder is missing, incomplete, damaged or of another format version.
    """
    from agents.ppo import Architecture, QuoteNetwork, TrainedPolicy, torch

    folder = Path(run)
    config = read_config(folder)
    try:
        problem = Problem.from_dict(config["problem"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RunError(f"{folder / 'config.json'} states no valid problem: {error}") from error
    if float(problem.market.steps) * (2 * problem.market.max_inventory + 1) > LARGEST_GRID:
        raise RunError(f"{folder / 'config.json'} states a market of more than {LARGEST_GRID:g} states")
    tensors, record = load_tensors(folder, "policy")
    try:
        architecture = Architecture.from_dict(record["architecture"])
        if architecture.inputs != problem.codec.observations.shape[-1]:
            raise ValueError(
                f"it takes {architecture.inputs} inputs, the problem has {problem.codec.observations.shape[-1]}"
            )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder / 'policy.json'} states no valid architecture: {error}") from error
    network = QuoteNetwork(architecture)
    expected = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    check_shapes(folder / "policy.safetensors", tensors, expected)
    network.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()})
    return TrainedPolicy(str(config.get("name", folder.name)), problem, network, config)


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a run folder, its format version checked.

    Raises:
        RunError: the folder or the file is missing or damaged, or of another format version.
    """
    if not folder.is_dir():
        raise RunError(f"there is no run folder {str(folder)!r}")
    return _read_current(folder / "config.json")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        RunError: the file is missing, too large, or holds no JSON object.
    """
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise RunError(f"{path} must be at most {LARGEST_JSON} bytes, got {path.stat().st_size}")
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{path} is damaged: it holds no valid JSON") from error
    if not isinstance(values, dict):
        raise RunError(f"{path} must hold a JSON object, got a {type(values).__name__}")
    return values


def _read_current(path: Path) -> dict[str, Any]:
    """A JSON object whose format version is ours."""
    values = read_json(path)
    if values.get("format") != FORMAT:
        raise RunError(f"{path} has format version {values.get('format')!r}; this version of mmenv reads {FORMAT}")
    return values


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file's content so that a crash at any moment leaves the old content or the new, never a part.

    Raises:
        OSError: the disk is full or the folder cannot be written; the old file is untouched.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a file by a JSON object, atomically."""
    write_atomically(path, (json.dumps(values, indent=2, allow_nan=False) + "\n").encode("utf-8"))


def save_tensors(folder: Path, name: str, tensors: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> None:
    """Replace `name.safetensors` and `name.json` so that a crash at any moment leaves a pair that loads.

    Args:
        folder: an existing folder.
        name: of both files.
        tensors: arrays by name, all finite.
        record: JSON values that belong to these tensors.

    Raises:
        ValueError: an array is not finite; nothing is written.
        OSError: the disk is full or the folder cannot be written; the old pair still loads.
    """
    from safetensors.numpy import save

    for key, values in tensors.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite to be saved, got {key} with entries that are not")
    data = save({key: np.asarray(values, order="C") for key, values in tensors.items()})
    version = {"sha256": hashlib.sha256(data).hexdigest(), "record": dict(record)}
    write_json(folder / f"{name}.json", {"format": FORMAT, "versions": [version, *_current(folder, name)]})
    write_atomically(folder / f"{name}.safetensors", data)


def _current(folder: Path, name: str) -> list[dict[str, Any]]:
    """The version that the files hold now, if they hold one."""
    try:
        return [_matching(folder, name)[1]]
    except RunError:
        return []


def _matching(folder: Path, name: str) -> tuple[bytes, dict[str, Any]]:
    """The bytes of `name.safetensors` and the version in `name.json` with their checksum."""
    path = folder / f"{name}.safetensors"
    description = _read_current(folder / f"{name}.json")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise RunError(f"{path} must be at most {LARGEST_FILE} bytes, got {path.stat().st_size}")
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    versions = description.get("versions")
    for version in versions if isinstance(versions, list) else []:
        if isinstance(version, dict) and version.get("sha256") == digest and isinstance(version.get("record"), dict):
            return data, version
    raise RunError(f"{path} is damaged: its checksum is not the one in {name}.json")


def load_tensors(folder: Path, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and the record that `save_tensors` wrote.

    Raises:
        RunError: a file is missing or damaged, the checksum does not match, or an array is not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_bytes

    path = folder / f"{name}.safetensors"
    data, version = _matching(folder, name)
    if len(data) < 8 or struct.unpack("<Q", data[:8])[0] > min(len(data) - 8, LARGEST_JSON):
        raise RunError(f"{path} is no safetensors file: its header is cut off or too large")
    try:
        tensors = load_bytes(data)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is no valid safetensors file: {error}") from error
    for key, values in tensors.items():
        if not np.isfinite(values).all():
            raise RunError(f"{path} holds numbers that are not finite in {key!r}")
    return tensors, version["record"]


def check_shapes(path: Path, tensors: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse tensors whose names or shapes are not the expected ones.

    Raises:
        RunError: a tensor is missing, unknown or of another shape.
    """
    for key in sorted(set(expected) | set(tensors)):
        found = tensors[key].shape if key in tensors else "nothing"
        wanted = expected.get(key, "nothing")
        if found != wanted:
            raise RunError(f"{path} must hold {wanted} as {key!r}, got {found}")
