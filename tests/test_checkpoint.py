"""The run folder's format: what is written loads, and nothing else does."""

import hashlib
import json
import os
import pickle
import struct
import time
import zipfile

import numpy as np
import pytest

import agents
from agents import RunError, checkpoint
from agents.ppo import Architecture
from mmenv import Market, Problem
from mmenv.grading import grade
from tests.networks import random_weights


@pytest.fixture
def run(tmp_path):
    """A run folder with an untrained network."""
    problem = Problem(Market(steps=6, max_inventory=3))
    architecture = Architecture.for_problem(problem, (8,), True)
    tensors = random_weights(architecture, 0.03)
    checkpoint.write_json(
        tmp_path / "config.json", {"format": 1, "name": "PPO", "problem": problem.to_dict(), "training": {}}
    )
    checkpoint.save_tensors(tmp_path, "policy", tensors, {"architecture": architecture.to_dict()})
    return tmp_path


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def safetensors_with(header: dict, data: bytes, record: dict | None = None) -> bytes:
    """A file with a valid checksum, as an attacker would make it."""
    sealed_with = json.dumps({"sha256": checkpoint.UNSEALED, "record": record or {}})
    encoded = json.dumps({"__metadata__": {"mmenv": sealed_with}, **header}).encode()
    sealed = struct.pack("<Q", len(encoded)) + encoded + data
    digest = hashlib.sha256(sealed).hexdigest()
    return sealed.replace(checkpoint.UNSEALED.encode(), digest.encode(), 1)


def test_loads_what_was_saved(run):
    policy = agents.load(run)
    assert policy.name == "PPO"
    assert policy.problem.market.steps == 6
    assert policy.config["training"] == {}
    result = grade(policy.problem, policy)
    # An untrained network quotes about the centre of the box on both sides.
    centre = policy.problem.codec.centre
    np.testing.assert_allclose(policy.tabulate(policy.problem.market).bid_depth[..., :-1], centre, atol=0.2)
    assert result.gap > 0


def test_arrays_of_every_shape_and_type_survive(tmp_path):
    tensors = {
        "scalar": np.float32(2.5).reshape(()),
        "empty": np.zeros((0, 3)),
        "bytes": np.arange(5, dtype=np.uint8),
        "strided": np.arange(12.0).reshape(3, 4).T,
    }
    checkpoint.save_tensors(tmp_path, "state", tensors, {"n": 3})
    loaded, record = checkpoint.load_tensors(tmp_path, "state")
    assert record == {"n": 3}
    assert set(loaded) == set(tensors)
    for name, values in tensors.items():
        assert loaded[name].dtype == values.dtype
        assert loaded[name].shape == values.shape
        np.testing.assert_array_equal(loaded[name], values)


def test_refuses_to_save_what_is_not_finite(run):
    before = (run / "policy.safetensors").read_bytes()
    with pytest.raises(ValueError, match="policy must be finite to be saved, got w"):
        checkpoint.save_tensors(run, "policy", {"w": np.array([1.0, np.nan])}, {})
    assert (run / "policy.safetensors").read_bytes() == before
    agents.load(run)


@pytest.mark.parametrize("moment", ["open", "fsync", "replace"])
def test_every_moment_of_a_save_leaves_a_file_that_loads(tmp_path, monkeypatch, moment):
    """A save that dies as it opens the temporary file, flushes it, or puts it in place, leaves the old file."""
    checkpoint.save_tensors(tmp_path, "state", {"w": np.zeros(2)}, {"version": 0})

    def dying(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "open":
            patch.setattr("builtins.open", dying)
        else:
            patch.setattr(os, moment, dying)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save_tensors(tmp_path, "state", {"w": np.ones(2)}, {"version": 1})
    tensors, record = checkpoint.load_tensors(tmp_path, "state")
    assert record == {"version": 0}
    np.testing.assert_array_equal(tensors["w"], np.zeros(2))
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


@pytest.mark.parametrize("name", ["config.json", "policy.safetensors"])
def test_a_missing_file_is_named(run, name):
    (run / name).unlink()
    with pytest.raises(RunError, match=f"{name} cannot be read"):
        agents.load(run)


@pytest.mark.parametrize("name", ["config.json", "policy.safetensors"])
@pytest.mark.parametrize("keep", [0, 7, 40])
def test_a_truncated_file_is_refused(run, name, keep):
    (run / name).write_bytes((run / name).read_bytes()[:keep])
    with pytest.raises(RunError, match=name.split(".")[0]):
        agents.load(run)


def test_every_flipped_bit_of_the_weights_is_caught(run):
    """In the header (the architecture and the checksum itself among it) and in the numbers."""
    path = run / "policy.safetensors"
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*range(0, 600, 5), *rng.integers(0, len(data), size=100)]:
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        with pytest.raises(RunError, match=r"policy\.safetensors"):
            agents.load(run)


def test_other_versions_are_refused(run):
    edit(run / "config.json", format=2)
    with pytest.raises(RunError, match="format version 2; this version of mmenv reads 1"):
        agents.load(run)


def test_no_run_folder():
    with pytest.raises(RunError, match="there is no run folder 'nowhere'"):
        agents.load("nowhere")


class Payload:
    """Unpickling this would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


HOSTILE = {
    "huge header": struct.pack("<Q", 2**62) + b"{}",
    "header past the end": struct.pack("<Q", 1000) + b"{}",
    "header of a megabyte and more": struct.pack("<Q", 2**21) + b" " * 2**21,
    "no JSON": struct.pack("<Q", 4) + b"abcd",
    "offsets past the end": safetensors_with({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, b""),
    "shape and size disagree": safetensors_with(
        {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, b"1234"
    ),
    "unknown type": safetensors_with({"w": {"dtype": "OBJ", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
    "another shape": safetensors_with({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0\0\0\0"),
    "not finite": safetensors_with(
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, struct.pack("<f", float("nan"))
    ),
    "empty": b"",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_weights_are_refused_within_a_second(run, data):
    (run / "policy.safetensors").write_bytes(data)
    started = time.process_time()
    with pytest.raises(RunError, match=r"policy\.safetensors"):
        agents.load(run)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("kind", ["float64", "float16", "int64", "uint8", "bool"])
def test_weights_of_another_type_are_refused(run, kind):
    """A 64-bit float may be finite, and infinite in the single precision that networks compute in."""
    tensors, record = checkpoint.load_tensors(run, "policy")
    tensors["actor.0.bias"] = np.ones(8, dtype=kind)
    checkpoint.save_tensors(run, "policy", tensors, record)
    with pytest.raises(RunError, match=rf"must hold float32 \(8,\) as 'actor\.0\.bias', got {kind} \(8,\)"):
        agents.load(run)


def test_a_network_that_hedges_where_the_problem_does_not_is_refused(run):
    architecture = Architecture(3, (8,), outputs=3)
    weights = random_weights(architecture, 0.03)
    checkpoint.save_tensors(run, "policy", weights, {"architecture": architecture.to_dict()})
    with pytest.raises(RunError, match=r"its inputs and outputs are \(3, 3\), the problem's \(\d, 2\)"):
        agents.load(run)


@pytest.mark.parametrize("name", ["config.json", "policy.safetensors"])
def test_nothing_is_unpickled_and_no_archive_is_opened(run, name):
    proof = run / "executed"
    (run / name).write_bytes(pickle.dumps(Payload(proof)))
    with pytest.raises(RunError):
        agents.load(run)
    with zipfile.ZipFile(run / name, "w") as archive:
        archive.writestr("../slipped", "out of the folder")
        archive.writestr("archive/data.pkl", pickle.dumps(Payload(proof)))
    with pytest.raises(RunError):
        agents.load(run)
    assert not proof.exists()
    assert not (run.parent / "slipped").exists()


@pytest.mark.parametrize(
    "architecture",
    [
        {"inputs": 3, "hidden": [10**9], "fold": True, "action_scale": 1.0, "outputs": 2},
        {"inputs": 3, "hidden": [512] * 9, "fold": True, "action_scale": 1.0, "outputs": 2},
        {"inputs": 10**9, "hidden": [8], "fold": True, "action_scale": 1.0, "outputs": 2},
        {"inputs": 3, "hidden": [512] * 4, "fold": True, "action_scale": 1.0, "outputs": 2},
        {"inputs": 3, "hidden": [9], "fold": True, "action_scale": 1.0, "outputs": 2},
        {"inputs": 3},
        "tanh",
    ],
)
def test_hostile_architectures_are_refused_within_a_second(run, architecture):
    (run / "policy.safetensors").write_bytes(safetensors_with({}, b"", {"architecture": architecture}))
    started = time.process_time()
    with pytest.raises(RunError):
        agents.load(run)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, "[]", '{"format": 1e999}', '{"format": 1, "problem": 3}', " " * (2**20 + 1)],
    ids=["deep", "no object", "infinite", "no problem", "large"],
)
def test_hostile_configurations_are_refused_within_a_second(run, text):
    (run / "config.json").write_text(text)
    started = time.process_time()
    with pytest.raises(RunError, match=r"config\.json"):
        agents.load(run)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("change", [{"steps": 10**12}, {"max_inventory": 10**9}, {"volatility": -1}, {"sigma": 1}])
def test_hostile_problems_are_refused_within_a_second(run, change):
    config = json.loads((run / "config.json").read_text())
    config["problem"]["market"] |= change
    (run / "config.json").write_text(json.dumps(config))
    started = time.process_time()
    with pytest.raises(RunError, match=r"config\.json"):
        agents.load(run)
    assert time.process_time() - started < 1
