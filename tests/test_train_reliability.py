"""Training loses nothing: kills, full disks, Ctrl-C, many interruptions. Short here, long in the proof suite."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import agents
from agents import checkpoint
from tests.test_train import arguments, rows, silent, small, state
from train import loop
from train.__main__ import main
from train.algorithm import MarketMakingPPO
from train.config import TrainingConfig
from train.state import snapshot

ROOT = Path(__file__).parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="fork and signals as POSIX has them")


def save_forever(folder: Path, first: int, saving) -> None:
    """Save versions of a state of real size; every array of version n is full of n."""
    version = first
    while True:
        tensors = {f"weight.{i}": np.full((64, 64), version, dtype=np.float32) for i in range(12)}
        checkpoint.save_tensors(folder, "state", tensors, {"version": version})
        saving.set()
        version += 1


@posix
@pytest.mark.parametrize("kills", [15, pytest.param(250, marks=pytest.mark.proof)])
def test_kill_at_any_moment_leaves_a_good_checkpoint(tmp_path, kills):
    context = multiprocessing.get_context("fork")  # a fresh interpreter for each kill would take minutes
    rng = np.random.default_rng(0)
    version, unfinished = 0, 0
    for _ in range(kills):
        saving = context.Event()
        process = context.Process(target=save_forever, args=(tmp_path, version, saving))
        process.start()
        assert saving.wait(30)
        time.sleep(rng.uniform(0, 0.02))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        unfinished += (tmp_path / "state.safetensors.tmp").exists()
        tensors, record = checkpoint.load_tensors(tmp_path, "state")
        assert record["version"] >= version  # what was saved once is never lost
        version = record["version"]
        assert all((values == version).all() for values in tensors.values())
    assert unfinished > 0  # some of the kills really came in the middle of a save


def go_on(folder: Path, saved) -> None:
    """Continue a run, and tell after each checkpoint."""
    save = loop.Recorder.save

    def telling(self):
        save(self)
        saved.set()

    loop.Recorder.save = telling  # type: ignore[method-assign]
    loop.resume(folder, silent)


@posix
@pytest.mark.parametrize(
    ("kills", "rollouts", "in_a_save"), [(4, 40, 0), pytest.param(210, 3000, 20, marks=pytest.mark.proof)]
)
def test_killed_at_any_moment_training_ends_as_if_it_had_not_been(tmp_path, kills, rollouts, in_a_save, claim):
    """Real runs that save after every rollout, so about half of their time; each goes on where the last was killed."""
    changes = {"n_timesteps": 100 * rollouts, "eval_freq": 100}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MarketMakingPPO, "train", stop_after(2, MarketMakingPPO.train))
        with pytest.raises(KeyboardInterrupt) as stopped:
            loop.start(small(tmp_path, **changes), silent)
    folder = Path(str(stopped.value))
    context, rng = multiprocessing.get_context("fork"), np.random.default_rng(0)
    killed = unfinished = reached = 0
    while killed < kills or (unfinished < in_a_save and killed < 3 * kills):
        saved = context.Event()
        process = context.Process(target=go_on, args=(folder, saved))
        process.start()
        assert saved.wait(60)
        time.sleep(rng.uniform(0, 0.02))
        assert process.is_alive()  # there was something left to kill
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        killed += 1
        unfinished += any(folder.glob("*.tmp"))
        agents.load(folder)
        _, record = checkpoint.load_tensors(folder, "state")
        assert record["num_timesteps"] > reached  # what was saved once is never lost
        reached = record["num_timesteps"]
    claim("kills -9 of a training run in the middle of a save", "–", unfinished, in_a_save, at_least=True)
    loop.resume(folder, silent)
    whole = loop.start(small(tmp_path / "whole", **changes), silent)
    assert state(folder) == state(whole)
    assert rows(folder) == rows(whole)
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in whole.iterdir())


def stop_after(rollouts: int, train):
    """An update that Ctrl-C interrupts once it has been done that often."""
    done = []

    def stopping(self):
        done.append(self)
        if len(done) > rollouts:
            raise KeyboardInterrupt
        train(self)

    return stopping


@pytest.mark.proof
def test_saving_costs_at_most_twice_a_plain_save(tmp_path, claim):
    """Against the same arrays in the same two files, written by safetensors alone and flushed to the disk."""
    from safetensors.numpy import save_file

    config = TrainingConfig()
    algorithm = MarketMakingPPO(config.problem, config)
    tensors, record = snapshot(algorithm, {})
    policy = {name: values for name, values in tensors.items() if name.startswith("network.")}

    def plain() -> None:
        for name, arrays in (("state", tensors), ("policy", policy)):
            save_file(arrays, tmp_path / f"{name}.plain")
            with open(tmp_path / f"{name}.plain", "rb+") as file:
                os.fsync(file.fileno())

    def ours() -> None:
        for name, arrays in (("state", tensors), ("policy", policy)):
            checkpoint.save_tensors(tmp_path, name, arrays, record)

    seconds: dict = {plain: [], ours: []}
    for _ in range(60):  # by turns, so that a busy disk is busy for both
        for save, taken in seconds.items():
            started = time.perf_counter()
            save()
            taken.append(time.perf_counter() - started)
    claim("time of a save over that of a plain one", "–", np.median(seconds[ours]) / np.median(seconds[plain]), 2)


@posix
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path):
    """A limit on the size of files stands for the disk: the state fits, a larger one does not."""
    code = """
import resource, sys, numpy as np
from pathlib import Path
from agents import checkpoint
folder = Path(sys.argv[1])
small, large = ({"w": np.zeros(n)} for n in (10, 100_000))
checkpoint.save_tensors(folder, "state", small, {"version": 1})
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    checkpoint.save_tensors(folder, "state", large, {"version": 2})
except OSError as error:
    print("refused:", error.strerror)
"""
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout.startswith("refused:"), result.stderr
    assert checkpoint.load_tensors(tmp_path, "state")[1] == {"version": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


@posix
def test_a_run_on_a_full_disk_ends_in_one_sentence_and_goes_on_later(tmp_path):
    """A real limit on the size of files, below that of a checkpoint, stands for the disk."""
    whole = loop.start(small(tmp_path / "whole"), silent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MarketMakingPPO, "train", stop_after(3, MarketMakingPPO.train))
        with pytest.raises(KeyboardInterrupt) as stopped:
            loop.start(small(tmp_path), silent)
    folder = Path(str(stopped.value))
    before = state(folder)
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
    code += "from train.__main__ import main; sys.exit(main(['-i', sys.argv[1]]))"
    result = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 2
    assert re.fullmatch(r"error: .*File too large.*\n", result.stderr)
    assert state(folder) == before
    agents.load(folder)
    loop.resume(folder, silent)
    assert state(folder) == state(whole)
    assert rows(folder) == rows(whole)


def test_a_run_without_space_ends_in_one_sentence(tmp_path, monkeypatch, capsys):
    """No space from the third checkpoint on; with space again, the run goes on as if nothing had been."""
    whole = loop.start(small(tmp_path / "whole"), silent)
    write, writes = checkpoint.write_atomically, []

    def full(path, data):
        writes.append(path)
        if len(writes) > 6:
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(checkpoint, "write_atomically", full)
    assert main(arguments(tmp_path)) == 2
    assert re.fullmatch(r"error: .*No space left on device.*\n", capsys.readouterr().err)
    monkeypatch.undo()
    folder = tmp_path / "AvellanedaStoikov-v0_0_1"
    agents.load(folder)
    loop.resume(folder, silent)
    assert state(folder) == state(whole)
    assert rows(folder) == rows(whole)


@pytest.mark.parametrize("interruptions", [2, pytest.param(20, marks=pytest.mark.proof)])
@pytest.mark.parametrize("env", ["AvellanedaStoikov-v0", "ExponentialUtility-v0"])
def test_interruptions_at_random_boundaries_change_nothing(tmp_path, monkeypatch, env, interruptions):
    """Weights, moments of the optimiser, random generator and logs end as those of the uninterrupted run."""
    changes = {"env": env, "n_timesteps": 6000, "eval_freq": 700}
    whole = loop.start(small(tmp_path / "whole", **changes), silent)
    stops = np.sort(np.random.default_rng(5).choice(np.arange(1, 60), interruptions, replace=False)).tolist()
    collect = MarketMakingPPO.collect_rollouts

    def interrupted(self, *args, **kwargs):
        if stops and self.num_timesteps == 100 * stops[0]:
            stops.pop(0)
            raise KeyboardInterrupt
        return collect(self, *args, **kwargs)

    monkeypatch.setattr(MarketMakingPPO, "collect_rollouts", interrupted)
    with pytest.raises(KeyboardInterrupt) as stopped:
        loop.start(small(tmp_path, **changes), silent)
    folder = Path(str(stopped.value))
    for _ in range(interruptions - 1):
        with pytest.raises(KeyboardInterrupt):
            loop.resume(folder, silent)
    loop.resume(folder, silent)
    assert not stops
    assert state(folder) == state(whole)
    assert rows(folder) == rows(whole)


@posix
def test_ctrl_c_saves_within_five_seconds(tmp_path):
    """A real process, a real signal; twice, as an impatient person presses it."""
    command = [sys.executable, "-m", "train", *arguments(tmp_path, n_timesteps=10**9)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "exact gap" in process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    started = time.perf_counter()
    _, error = process.communicate(timeout=30)
    assert time.perf_counter() - started < 5
    assert process.returncode == 130
    folder = tmp_path / "AvellanedaStoikov-v0_0_1"
    assert f"interrupted; go on with: python -m train -i {folder}" in error
    _, record = checkpoint.load_tensors(folder, "state")
    assert record["num_timesteps"] > 0
    agents.load(folder)


def heed_interrupts():
    """A suite that a shell runs in the background ignores Ctrl-C, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@posix
@pytest.mark.proof
def test_ctrl_c_reaches_every_seed(tmp_path):
    command = [sys.executable, "-m", "train", *arguments(tmp_path, n_timesteps=10**9), "--seeds", "2"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    assert process.stdout is not None
    begun: set[str] = set()
    while len(begun) < min(2, os.cpu_count() or 1):
        begun.add(process.stdout.readline().split(":")[0])
    process.send_signal(signal.SIGINT)  # to the parent alone, as `kill` does
    process.communicate(timeout=60)
    assert process.returncode == 130
    for seed in begun:
        folder = tmp_path / f"AvellanedaStoikov-v0_{seed.split()[-1]}_1"
        assert checkpoint.load_tensors(folder, "state")[1]["num_timesteps"] >= 0
        agents.load(folder)


@pytest.mark.proof
def test_one_seed_gives_the_same_weights_in_another_process(tmp_path):
    folders = []
    for place in ("one", "other"):
        subprocess.run(
            [sys.executable, "-m", "train", *arguments(tmp_path / place)], cwd=ROOT, check=True, capture_output=True
        )
        folders.append(tmp_path / place / "AvellanedaStoikov-v0_0_1")
    assert state(folders[0]) == state(folders[1])
    assert rows(folders[0]) == rows(folders[1])


@pytest.mark.proof
@pytest.mark.parametrize("env", ["AvellanedaStoikov-v0", "ExponentialUtility-v0"])
def test_quick_comes_within_a_hundredth_of_a_percent(env, claim):
    """The preset that `make run` uses, in full: about 45 seconds of one core."""
    from mmenv.grading import grade
    from train.config import from_preset

    config = from_preset("quick", {"env": env, "seed": 11})
    result = grade(config.problem, loop.train_in_memory(config))
    claim("gap of the quick preset [%]", "33", result.gap_percent, 0.01)
    claim("skill of the quick preset", "33", result.skill, 0.8, at_least=True)
