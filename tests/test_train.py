"""The training command: run folders, continuation to the last bit, refusals."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import agents
from agents import checkpoint
from mmenv import Market, evaluate_exactly, solve
from mmenv.grading import grade
from train import loop
from train.__main__ import main
from train.advantages import expected_next_values, generalised_advantages
from train.algorithm import MarketMakingPPO, gae_lambda
from train.config import PRESETS, TrainingConfig, from_preset

ROOT = Path(__file__).parents[1]
SMALL = {
    "env_kwargs": {"steps": 10, "max_inventory": 4},
    "n_timesteps": 800,
    "rollout_size": 100,
    "batch_size": 50,
    "eval_freq": 250,
    "hidden": (8,),
    "average_last": 0.5,
}


def small(tmp_path: Path, **changes) -> TrainingConfig:
    return TrainingConfig(**{**SMALL, "log_folder": str(tmp_path), **changes})


def rows(folder: Path) -> list[dict[str, str]]:
    """progress.csv without the seconds, which differ from machine to machine."""
    with open(folder / "progress.csv", newline="", encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def state(folder: Path) -> tuple:
    """Everything that training left: the graded policy's file, and the state but for the time it took."""
    tensors, record = checkpoint.load_tensors(folder, "state")
    record.pop("seconds")
    return (folder / "policy.safetensors").read_bytes(), {k: v.tobytes() for k, v in tensors.items()}, record


def silent(row) -> None:
    pass


# ---------------------------------------------------------------------------------------------- run folders


def test_a_run_leaves_a_folder_that_loads(tmp_path):
    told = []
    folder = loop.start(small(tmp_path), told.append)
    assert folder.name == "AvellanedaStoikov-v0_0_1"
    policy = agents.load(folder)
    result = grade(policy.problem, policy)
    last = rows(folder)[-1]
    assert [int(row["transitions"]) for row in told] == [0, 300, 500, 800]
    assert int(last["transitions"]) == 800
    assert float(last["gap_percent"]) == pytest.approx(result.gap_percent, rel=1e-6)
    assert float(last["objective"]) == pytest.approx(result.objective, rel=1e-9)
    assert policy.config["training"]["n_timesteps"] == 800
    assert {"torch", "numpy", "mmenv"} <= set(policy.config["versions"])
    assert policy.config["threads"] == 1
    assert policy.config["seed"] == 0
    assert policy.config["command"][:3] == ["python", "-m", "train"]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    if commit.returncode == 0:
        assert policy.config["git_commit"].removesuffix("+") == commit.stdout.strip()
    assert loop.read_config(folder) == small(tmp_path)


def test_a_run_never_overwrites_another(tmp_path):
    first = loop.start(small(tmp_path), silent)
    before = state(first)
    second = loop.start(small(tmp_path), silent)
    assert second.name.endswith("_2")
    assert state(first) == before
    assert state(second) == before  # the same seed gives the same weights


def test_seeds_differ(tmp_path):
    one, other = (loop.start(small(tmp_path, seed=seed), silent) for seed in (0, 1))
    assert state(one) != state(other)


def test_what_is_graded_is_the_average_fixed_in_advance(tmp_path):
    """The average of the weights after each of the last rollouts, here the last four of eight."""
    config = small(tmp_path)
    algorithm = MarketMakingPPO(config.problem, config)
    seen, train = [], algorithm.train
    algorithm.train = lambda: (
        train(),
        seen.append({name: w.copy() for name, w in algorithm.policy.network.arrays.items()}),
    )
    algorithm.learn(config.n_timesteps)
    assert len(seen) == 8
    for name, weight in algorithm.graded_network.arrays.items():
        mean = np.mean([weights[name] for weights in seen[-4:]], axis=0)
        np.testing.assert_allclose(weight, mean, rtol=1e-5, atol=1e-6)


def test_grades_change_nothing(tmp_path):
    often = loop.start(small(tmp_path, eval_freq=1), silent)
    seldom = loop.start(small(tmp_path, eval_freq=10**9), silent)
    assert (often / "policy.safetensors").read_bytes() == (seldom / "policy.safetensors").read_bytes()


def test_training_learns_without_the_solver(tmp_path, monkeypatch):
    """Ten thousand transitions of a small market, with the solver out of reach, close most of the gap."""
    market = {"steps": 20, "max_inventory": 5}
    config = small(
        tmp_path, env_kwargs=market, n_timesteps=40_000, rollout_size=2000, batch_size=250, hidden=(16, 16), fold=True
    )
    with monkeypatch.context() as patch:
        patch.setattr("mmenv.solver.solve", None)
        patch.setattr("mmenv.grading.solve", None)
        policy = loop.train_in_memory(config)
    untrained = loop.train_in_memory(replace(config, n_timesteps=1, learning_rate=1e-12))
    gaps = [grade(config.problem, agent).gap for agent in (policy, untrained)]
    assert gaps[0] < 0.2 * gaps[1]


# ---------------------------------------------------------------------------------------------- continuation


class Stop(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("rollouts", [1, 3, 7])
@pytest.mark.parametrize("env", ["AvellanedaStoikov-v0", "ExponentialUtility-v0"])
def test_an_interrupted_run_continues_to_the_same_bits(tmp_path, env, rollouts):
    config = small(tmp_path, env=env)
    whole = loop.start(config, silent)
    interrupted = interrupt(config, rollouts)
    torch.manual_seed(1234)  # another process has another generator
    assert loop.resume(interrupted, silent) == interrupted
    assert state(interrupted) == state(whole)
    assert rows(interrupted) == rows(whole)


def interrupt(config: TrainingConfig, rollouts: int) -> Path:
    """Press Ctrl-C in the middle of the update after that many rollouts."""
    train, done = MarketMakingPPO.train, []

    def interrupted(self):
        done.append(self)
        if len(done) > rollouts:
            with torch.no_grad():  # half an update: nothing of it may stay
                for weight in self.policy.parameters():
                    weight.add_(1.0)
            raise KeyboardInterrupt
        train(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MarketMakingPPO, "train", interrupted)
        with pytest.raises(KeyboardInterrupt) as stopped:
            loop.start(config, silent)
    return Path(str(stopped.value))


def test_a_finished_run_has_nothing_left_to_do(tmp_path):
    folder = loop.start(small(tmp_path), silent)
    before = state(folder)
    loop.resume(folder, silent)
    assert state(folder) == before


def test_a_crash_goes_on_from_the_last_checkpoint(tmp_path, monkeypatch):
    """Rows of progress.csv after the checkpoint are written again, not twice."""
    config = small(tmp_path)
    whole = loop.start(config, silent)
    save = loop.Recorder.save

    def crash(self):
        if self.model.num_timesteps == 500:
            raise Stop  # the row is in progress.csv, the checkpoint is not
        save(self)

    monkeypatch.setattr(loop.Recorder, "save", crash)
    with pytest.raises(Stop):
        loop.start(config, silent)
    monkeypatch.undo()
    crashed = whole.with_name("AvellanedaStoikov-v0_0_2")
    assert len(rows(crashed)) == 3
    assert agents.load(crashed).config["name"] == crashed.name
    loop.resume(crashed, silent)
    assert state(crashed) == state(whole)
    assert rows(crashed) == rows(whole)


def test_poison_leaves_the_last_checkpoint(tmp_path, monkeypatch, capsys):
    from mmenv.envs import MarketMakingVecEnv

    step, count = MarketMakingVecEnv.step_wait, []

    def poisoned(self):
        observations, rewards, dones, infos = step(self)
        count.append(1)
        if len(count) == 54:
            rewards[3] = np.nan
        return observations, rewards, dones, infos

    monkeypatch.setattr(MarketMakingVecEnv, "step_wait", poisoned)
    assert main(arguments(tmp_path)) == 2
    error = capsys.readouterr().err
    assert "the reward of environment 3 at step 3 of the rollout, after 530 transitions" in error
    folder = tmp_path / "AvellanedaStoikov-v0_0_1"
    agents.load(folder)
    monkeypatch.undo()
    whole = loop.start(small(tmp_path), silent)
    loop.resume(folder, silent)
    assert state(folder) == state(whole)


# ---------------------------------------------------------------------------------------------- the command line


def arguments(tmp_path: Path, **changes) -> list[str]:
    words: list[str] = []
    for name, value in {**SMALL, "log_folder": str(tmp_path), **changes}.items():
        flag = "--env-kwargs" if name == "env_kwargs" else f"--{name.replace('_', '-')}"
        values = [json.dumps(value)] if isinstance(value, dict) else [str(v) for v in np.atleast_1d(value)]
        words += [flag, *values]
    return words


def test_command_line_and_dataclass_are_one_thing(tmp_path, capsys):
    assert main(arguments(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "exact gap" in out
    folder = tmp_path / "AvellanedaStoikov-v0_0_1"
    assert f"run folder: {folder}" in out
    assert loop.read_config(folder) == small(tmp_path)


def test_zoo_style_arguments(tmp_path):
    words = [
        "--env", "ExponentialUtility-v0", "-n", "200", "--seed", "7", "-f", str(tmp_path), "--rollout-size", "100",
        "--batch-size", "50", "--env-kwargs", "steps:10", "volatility:3.5", "fill_law:poisson",
    ]  # fmt: skip
    assert main(words) == 0
    config = loop.read_config(tmp_path / "ExponentialUtility-v0_7_1")
    assert config.env_kwargs == {"steps": 10, "volatility": 3.5, "fill_law": "poisson"}
    assert config.problem.market == Market(steps=10, volatility=3.5, fill_law="poisson")
    assert config.problem.reward == "surrogate"


def test_continue_from_the_command_line(tmp_path, capsys):
    folder = interrupt(small(tmp_path), 2)
    assert main(["-i", str(folder)]) == 0
    assert rows(folder) == rows(loop.start(small(tmp_path), silent))


def test_tensorboard_logs_are_written_when_asked_for(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = loop.start(small(tmp_path, tensorboard_log=True), silent)
    log = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert {"grade/gap_percent", "train/value_loss"} <= set(log.Tags()["scalars"])
    graded = [event.value for event in log.Scalars("grade/objective")]
    recorded = [float(row["objective"]) for row in rows(folder)]
    np.testing.assert_allclose(graded, recorded[: len(graded)], rtol=1e-6)
    assert not (loop.start(small(tmp_path), silent) / "tensorboard").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--env", "AvellanedaStoikov-v1"], "env must be one of .* .did you mean 'mmenv/AvellanedaStoikov-v0'"),
        (["--env-kwargs", "volatility:-1"], "volatility must be a finite number >= 0, got -1"),
        (["--env-kwargs", "volatility:NaN"], "volatility must be a finite number >= 0, got nan"),
        (["--env-kwargs", "volatilty:1"], "unknown market parameter 'volatilty' .did you mean 'volatility'"),
        (["--env-kwargs", "steps:2.5"], "steps must be an integer >= 1, got 2.5"),
        (["--env-kwargs", "min_depth:4"], "max_depth must be > min_depth = 4, got 3"),
        (["--env-kwargs", "max_inventory:5000"], "penalty .* must be <= 1e.100"),
        (["--env-kwargs", "volatility"], "env-kwargs must be a JSON object or words name:value, got 'volatility'"),
        (["--env-kwargs", "{volatility:1}"], "env-kwargs must be a JSON object"),
        (["--env-kwargs", "reward:surrogate"], "reward must be 'realised' or 'expected'"),
        (["-n", "0"], "n_timesteps must be an integer >= 1, got 0"),
        (["--seed", "-1"], "seed must be an integer in .0, 4294967295., got -1"),
        (["--learning-rate", "nan"], "learning_rate must be a finite number > 0, got nan"),
        (["--hidden", "0"], "hidden must be an integer in .1, 512., got 0"),
        (["-i", "nowhere"], "there is no run folder 'nowhere'"),
        (["-i", "nowhere", "--seed", "1"], "-i continues a run with its own configuration"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(message, error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["config.json", "state.safetensors"])
def test_a_damaged_run_is_refused_and_left_alone(tmp_path, capsys, name):
    folder = interrupt(small(tmp_path), 2)
    (folder / name).write_bytes((folder / name).read_bytes()[:30])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["-i", str(folder)]) == 2
    assert name.split(".")[0] in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_configuration_from_elsewhere_is_refused(tmp_path):
    folder = interrupt(small(tmp_path), 2)
    config = json.loads((folder / "config.json").read_text())
    config["training"]["hidden"] = [9]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(agents.RunError, match=r"state\.safetensors must hold"):
        loop.resume(folder, silent)
    config["training"]["learning_speed"] = 1
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(agents.RunError, match="states no valid configuration"):
        loop.resume(folder, silent)


def test_help_is_quick_and_complete():
    command = [sys.executable, "-X", "importtime", "-m", "train", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    for entry in fields(TrainingConfig):
        flags = entry.metadata["flags"] or ("--" + entry.name.replace("_", "-"),)
        assert all(flag in result.stdout for flag in flags)
    for module in ("torch", "stable_baselines3", "matplotlib", "scipy.optimize"):
        assert f" {module}\n" not in result.stderr


def test_presets_are_valid():
    for preset in PRESETS:
        assert from_preset(preset, {}).n_timesteps > 0


# ---------------------------------------------------------------------------------------------- advantages


@pytest.mark.parametrize(
    ("changes", "rollout", "minibatch"),
    [
        ({}, 25_600, 1280),
        ({"n_timesteps": 100_000}, 1000, 50),
        ({"n_timesteps": 100}, 200, 10),
        ({"rollout_size": 500, "batch_size": 90}, 400, 100),
        ({"rollout_size": 500}, 400, 20),
    ],
)
def test_a_short_run_is_cut_into_short_rollouts_of_whole_sessions(changes, rollout, minibatch):
    config = from_preset("quick", changes)
    algorithm = MarketMakingPPO(config.problem, config)
    assert (algorithm.n_envs * algorithm.n_steps, algorithm.batch_size) == (rollout, minibatch)


def test_expected_next_value_is_the_mean_over_simulated_fills():
    """Against a million simulated steps of one state, within five standard errors."""
    from mmenv.dynamics import Quotes, State, step
    from mmenv.tape import Tape

    market = Market(steps=1, max_inventory=3, horizon=0.005)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 1, 7))
    tape = Tape.draw(market, 1_000_000, seed=1)
    for q in (-3, 0, 2, 3):
        depths = rng.uniform(-0.5, 1.5, size=2)
        state = State(step=0, regime=0, inventory=np.full(tape.paths, q), cash=0.0, mid=100.0)
        after, _ = step(market, state, Quotes(*depths), tape.flow(0))
        sampled = values[1, 0][after.inventory + 3]
        zero = np.zeros((1, 1), dtype=int)
        expected = expected_next_values(market, values, zero, zero + q, depths.reshape(1, 1, 2))
        assert abs(expected[0, 0] - sampled.mean()) < 5 * sampled.std() / 1000 + 1e-12


def test_advantages_of_the_true_value_are_those_of_the_bellman_equation(tmp_path):
    """With the exact value of a policy as critic, averaged advantages of its own actions vanish in every state."""
    config = TrainingConfig(env_kwargs={"steps": 10, "max_inventory": 4})
    problem, market = config.problem, config.problem.market
    table = solve(market, problem.objective).quotes  # any table would do
    values = evaluate_exactly(market, problem.objective, table).value
    n, q = np.meshgrid(np.arange(10), np.arange(-4, 5), indexing="ij")
    depths = np.stack([table.bid_depth[:, 0], table.ask_depth[:, 0]], axis=-1)
    depths = np.where(np.isfinite(depths), depths, 1.0)
    from mmenv.dynamics import Quotes

    rewards = np.stack([problem.rewards.expected(i, q[i], Quotes(*depths[i].T)) for i in range(10)])
    following = expected_next_values(market, values, 0 * n, q, depths)
    np.testing.assert_allclose(rewards + following - values[:-1, 0], 0.0, atol=1e-10)


def test_generalised_advantages_are_a_geometric_sum():
    residuals = np.random.default_rng(0).normal(size=(6, 2))
    advantages = generalised_advantages(residuals, 0.7)
    for n in range(6):
        expected = sum(0.7**i * residuals[n + i] for i in range(6 - n))
        np.testing.assert_allclose(advantages[n], expected)


def test_lambda_is_a_horizon_in_fills():
    """Cutting every step in two leaves the same horizon: lambda over two short steps is lambda over a long one."""
    coarse, fine = (TrainingConfig(env_kwargs={"steps": steps}).problem for steps in (200, 400))
    assert gae_lambda(coarse, 1.0) == pytest.approx(gae_lambda(fine, 1.0) ** 2)


# ---------------------------------------------------------------------------------------------- several seeds


def test_several_seeds_are_the_runs_of_each_seed(tmp_path, capfd):
    assert main([*arguments(tmp_path / "all"), "--seeds", "2"]) == 0
    out = capfd.readouterr().out
    for seed in (0, 1):
        alone = loop.start(small(tmp_path / "alone", seed=seed), silent)
        together = tmp_path / "all" / alone.name
        assert state(together) == state(alone)
        assert f"seed {seed}: " in out
    gaps = [float(rows(tmp_path / "all" / f"AvellanedaStoikov-v0_{seed}_1")[-1]["gap_percent"]) for seed in (0, 1)]
    assert f"2 seeds: median exact gap {min(gaps):.4f} % ({min(gaps):.4f} % to {max(gaps):.4f} %)" in out


@pytest.mark.parametrize(("told", "code"), [(0, 0), (2, 2), (-9, 137)])
def test_a_run_that_was_killed_is_no_success(told, code):
    """Python tells of a signal by a negative code, which is less than the 0 of those that finished."""
    from train.seeds import _exit_code

    assert _exit_code(SimpleNamespace(exitcode=told)) == code


def test_the_spread_is_over_the_gaps_in_order(tmp_path):
    from train.seeds import summary

    folders = []
    for name, gap in {"a": 0.3, "b": 0.1, "c": 0.2}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "progress.csv").write_text(f"gap_percent,gap,skill\n9,9,9\n{gap},{gap},{gap}\n")
        folders.append(tmp_path / name)
    last = summary(folders).splitlines()[-1]
    assert last == "3 seeds: median exact gap 0.2000 % (0.1000 % to 0.3000 %), median skill 0.200"
