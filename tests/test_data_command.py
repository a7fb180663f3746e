"""`python -m mmenv calibrate` end to end: what it writes, what it says, how it refuses."""

import json
import runpy
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest

pytest.importorskip("polars")

from mmenv import Market
from mmenv.__main__ import calibrate, main
from mmenv.data import load_tape
from tests import recordings


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A simulated recording as files: twenty sessions of 200 steps of 5 ms."""
    folder = tmp_path_factory.mktemp("recording")
    trades, quotes = recordings.simulated(20, seed=21)
    (folder / "trades.csv").write_bytes(recordings.tardis_trades(trades))
    (folder / "quotes.csv").write_bytes(recordings.tardis_quotes(quotes))
    return [str(folder / "trades.csv"), str(folder / "quotes.csv")]


@pytest.mark.parametrize("run", [lambda words: main(["calibrate", *words]), calibrate])
def test_a_whole_run(run, files, tmp_path, capsys):
    assert run([*files, "-o", str(tmp_path / "out"), "--horizon", "1"]) == 0
    printed = capsys.readouterr().out
    for words in (
        "Tardis trades (us), 4,083 rows",
        "orders/s",
        "price/sqrt(s)",
        "The exponential fill curve fits",
        "20 recorded sessions",
    ):
        assert words in printed
    environment = json.loads((tmp_path / "out" / "market.json").read_text())
    env = gymnasium.make("mmenv/AvellanedaStoikov-v0", **environment)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    found = json.loads((tmp_path / "out" / "calibration.json").read_text())
    both = found["sides"]["both"]
    assert both["arrival_rate"]["low"] < 145
    assert both["arrival_rate"]["high"] > 135
    assert Market.from_dict(environment["market"]).steps == 200
    assert load_tape(tmp_path / "out" / "tape.npz").tape.mid_move.shape == (200, 20)
    for name in ("fill-curve.png", "volatility.png", "flow.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_a_split_fits_to_the_first_part_only(files, tmp_path, capsys):
    words = [*files, "--split", "0.6", "--dt", "0.005", "--horizon", "0.5", "--no-figures", "-o"]
    assert main(["calibrate", *words, str(tmp_path / "out")]) == 0
    early, late = (load_tape(tmp_path / "out" / name) for name in ("train.npz", "test.npz"))
    assert early.span[1] <= late.span[0]
    assert (early.tape.paths, late.tape.paths) == (24, 16)
    whole = [files[0], files[1], "--dt", "0.005", "--horizon", "0.5", "--no-figures", "-o", str(tmp_path / "whole")]
    assert main(["calibrate", *whole]) == 0
    together = load_tape(tmp_path / "whole" / "tape.npz").tape
    for name in ("mid_move", "bid_reach", "ask_reach"):
        parts = [getattr(part.tape, name) for part in (early, late)]
        np.testing.assert_allclose(np.concatenate(parts, axis=1), getattr(together, name), atol=1e-9)
    seconds = json.loads((tmp_path / "out" / "calibration.json").read_text())["seconds"]
    assert seconds == pytest.approx(12.0)


def test_without_quotes_the_mid_is_guessed_and_said_to_be(files, tmp_path, capsys):
    assert main(["calibrate", files[0], "-o", str(tmp_path), "--no-figures"]) == 0
    assert "the mid is guessed from the last trades" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.csv"], "nothing.csv cannot be read: No such file"),
        (["FILE", "QUOTES", "--dt", "-1"], "dt must be a finite number > 0, got -1.0"),
        (["FILE", "QUOTES", "--tick", "0.003"], "prices must be multiples of the tick 0.003"),
        (["FILE", "QUOTES", "--horizon", "nan"], "horizon must be a finite number > 0, got nan"),
        (["FILE", "FILE"], "must hold quotes, got Tardis trades"),
        (["FILE", "QUOTES", "--split", "1.5"], "split must be a number in (0, 1), got 1.5"),
        (["FILE", "--split", "0.5"], "--split needs a file of quotes"),
        (["FILE", "--columns", "price"], "--columns must be name=column pairs"),
        (["FILE", "--columns", "price=price"], "--columns must name time, price, side, got price"),
        (["FILE", "QUOTES", "-o", "FILE"], "--out must be a folder"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(words, message, files, tmp_path, capsys):
    named = {"FILE": files[0], "QUOTES": files[1]}
    out = [] if "-o" in words else ["-o", str(tmp_path / "out")]
    assert main(["calibrate", *(named.get(word, word) for word in words), *out]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_help_is_quick_and_loads_nothing_heavy():
    started = time.perf_counter()
    code = "import sys; from mmenv.__main__ import main\ntry: main(['calibrate', '--help'])\n"
    code += "except SystemExit: pass\nprint(sorted(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "--horizon SECONDS" in shown
    assert "'polars'" not in shown
    assert "'matplotlib'" not in shown
    assert time.perf_counter() - started < 30  # seconds; generous: the machine may be busy


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_real_recordings(symbol, tmp_path, capsys):
    files = recordings.real_files(symbol)
    assert main(["calibrate", *map(str, files), "-o", str(tmp_path), "--no-figures"]) == 0
    printed = capsys.readouterr().out
    assert "of the market orders went no further than the floor" in printed
    assert "Takers are informed" in printed
    assert "Orders cluster" in printed


def test_the_example_goes_from_a_recording_to_a_report(tmp_path, monkeypatch):
    pytest.importorskip("stable_baselines3")
    files = recordings.real_files("ETHUSDT")
    root = Path(__file__).parent.parent
    monkeypatch.setenv("PYTHONPATH", str(root))
    example = runpy.run_path(str(root / "examples" / "real_market.py"))["main"]
    assert example([*map(str, files), "--out", str(tmp_path / "out"), "--transitions", "20000", "--on-recording"]) == 0
    report = (tmp_path / "out" / "report" / "report.html").read_text(encoding="utf-8")
    assert "On the recording" in report
