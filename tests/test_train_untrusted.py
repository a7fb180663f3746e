"""Continuing a run that others may have written, and poison that comes up while one trains: refused, nothing lost."""

import json
import os
import pickle
import re
import time

import numpy as np
import pytest

import agents
from agents import checkpoint
from mmenv.envs import MarketMakingVecEnv
from tests.test_checkpoint import HOSTILE, Payload
from tests.test_train import arguments, interrupt, rows, silent, small, state
from train import loop
from train.__main__ import main
from train.algorithm import MarketMakingPPO


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """What an interrupted run left, as bytes by name."""
    folder = interrupt(small(tmp_path_factory.mktemp("run")), 4)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def run(tmp_path, interrupted):
    """A copy of the interrupted run, to be tampered with."""
    for name, data in interrupted.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def refused(run, capsys) -> str:
    """Continue a run that must be refused within a second, by one sentence, and be left as it is."""
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    capsys.readouterr()
    started = time.process_time()
    assert main(["-i", str(run)]) == 2
    assert time.process_time() - started < 1
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": [10**9]}, r"hidden must be an integer in \[1, 512\]"),
        ({"hidden": [8] * 10**5}, "hidden must be at most 4 widths"),
        ({"hidden": "512"}, "hidden must be at most 4 widths"),
        ({"rollout_size": 10**15}, r"rollout_size must be an integer in \[0, 10000000\]"),
        ({"threads": 10**9}, r"threads must be an integer in \[1, 1024\]"),
        ({"env": ["x"]}, "env must be text"),
        ({"env": "os.system"}, "env must be one of"),
        ({"env_kwargs": 3}, "env_kwargs must be names with values"),
        ({"env_kwargs": {"steps": 10**12}}, r"steps must be an integer in \[1, \d+\]"),
        ({"env_kwargs": {"max_inventory": 10**12}}, "max_inventory"),
        ({"tape": 5}, "tape must be text"),
        ({"learning_rate": 1e999}, "learning_rate must be a finite number"),
        ({"command": "rm"}, "unexpected keyword argument 'command'"),
    ],
)
def test_hostile_configurations_are_refused_within_a_second(run, capsys, change, message):
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config["training"] |= change
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert re.search(message, refused(run, capsys))


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="devices as POSIX has them")
def test_a_file_without_end_is_refused_within_a_second(run, capsys):
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config["training"]["tape"] = "/dev/zero"
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert "/dev/zero is no file" in refused(run, capsys)
    for name in ("config.json", "policy.safetensors"):
        (run / name).unlink()
        (run / name).symlink_to("/dev/zero")
        with pytest.raises(agents.RunError, match=f"{name} is no file"):
            checkpoint.read(run / name, checkpoint.LARGEST_FILE)


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_states_are_refused_within_a_second(run, capsys, data):
    (run / "state.safetensors").write_bytes(data)
    assert "state.safetensors" in refused(run, capsys)


def test_a_pickled_state_is_not_unpickled(run, capsys):
    (run / "state.safetensors").write_bytes(pickle.dumps(Payload(run.parent / "executed")))
    assert "state.safetensors" in refused(run, capsys)
    assert not (run.parent / "executed").exists()


@pytest.mark.parametrize(
    "change", [{"rows": "many"}, {"rows": None}, {"seconds": [1]}, {"episode": "x"}, {"num_timesteps": None}]
)
def test_hostile_records_are_refused(run, capsys, change):
    """The checksum of the file holds: it is made by someone who knows the format."""
    tensors, record = checkpoint.load_tensors(run, "state")
    checkpoint.save_tensors(run, "state", tensors, {**record, **change})
    assert "state.safetensors states no valid state" in refused(run, capsys)


def test_a_state_of_another_type_is_refused(run, capsys):
    """1e300 is finite as it stands, but not as the single precision that weights have."""
    tensors, record = checkpoint.load_tensors(run, "state")
    tensors["network.actor.0.bias"] = np.full(tensors["network.actor.0.bias"].shape, 1e300)
    checkpoint.save_tensors(run, "state", tensors, record)
    assert "must hold float32 (8,) as 'network.actor.0.bias', got float64 (8,)" in refused(run, capsys)


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe\x00", b"a,b\n1,2\n3,4\n", b'"' + b"x" * 200_000 + b'"\n1\n'],
    ids=["no text", "other columns", "endless field"],
)
def test_a_hostile_learning_curve_is_refused(run, capsys, data):
    (run / "progress.csv").write_bytes(data)
    assert "progress.csv is damaged" in refused(run, capsys)


# ---------------------------------------------------------------------------------------------- poison

POISON_AT = 54  # the fourth step of the sixth rollout


def poison(monkeypatch, where: str, value: float) -> None:
    """Let `value` come up in session 3 at that step (or in the update after that rollout)."""
    step, sample, gradient = MarketMakingVecEnv.step_wait, MarketMakingPPO._sample, MarketMakingPPO._gradient
    count = []

    def stepping(self):
        observations, rewards, dones, infos = step(self)
        if where == "reward" and len(count) == POISON_AT:
            rewards[3] = value
        if where == "observation" and len(count) == POISON_AT:
            observations[3, 0] = value
        if where == "terminal observation" and len(count) == 60:
            infos[3]["terminal_observation"] = np.full_like(observations[3], value)
        return observations, rewards, dones, infos

    def sampling(self, passes):
        count.append(1)
        actions, noise = sample(self, passes)
        if where == "action" and len(count) == POISON_AT:
            actions[3, 1] = value
        return actions, noise

    def deriving(self, passes, batch, clip_range):
        told = gradient(self, passes, batch, clip_range)
        if where == "gradient" and len(count) == 60:
            passes.gradient[7] = value
        return told

    monkeypatch.setattr(MarketMakingVecEnv, "step_wait", stepping)
    monkeypatch.setattr(MarketMakingPPO, "_sample", sampling)
    monkeypatch.setattr(MarketMakingPPO, "_gradient", deriving)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38])
@pytest.mark.parametrize("where", ["reward", "observation", "terminal observation", "action", "gradient"])
def test_poison_stops_the_run_within_the_rollout_and_is_never_saved(tmp_path, monkeypatch, capsys, where, value):
    with monkeypatch.context() as patch:
        poison(patch, where, value)
        assert main(arguments(tmp_path)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    if where == "gradient":
        assert "the gradient of a minibatch, after 600 transitions, must be finite" in error
    else:
        step = 9 if where == "terminal observation" else 3
        assert f"the {where} of environment 3 at step {step} of the rollout" in error
    folder = tmp_path / "AvellanedaStoikov-v0_0_1"
    saved, record = checkpoint.load_tensors(folder, "state")  # refuses what is not finite
    assert record["num_timesteps"] == 500
    assert saved
    agents.load(folder)
    loop.resume(folder, silent)
    whole = loop.start(small(tmp_path / "whole"), silent)
    assert state(folder) == state(whole)
    assert rows(folder) == rows(whole)
