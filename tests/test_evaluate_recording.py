"""Policies on recordings: figures against a loop, intervals that cover, splits that hold, and the command line."""

import json
from dataclasses import replace

import gymnasium
import numpy as np
import pytest

import mmenv
from agents import LinearSkew
from evaluate.__main__ import main as evaluate
from evaluate.ladder import Entrant
from evaluate.metrics import Mean
from evaluate.recording import COLUMNS, TapeError, block_means, bootstrapped, check, played, replay
from evaluate.recording_report import markout_rows, rows, verdict
from mmenv import Market, Problem, Tape
from mmenv.data import RecordedTape, save_tape
from mmenv.envs import MarketMakingEnv, MarketMakingVectorEnv

MARKET = Market(steps=20, horizon=0.1, fill_law="poisson")
PROBLEM = Problem(MARKET)
POLICY = LinearSkew(0.6, 0.05)


def recorded(sessions: int, seed: int, market: Market = MARKET, start: int = 0) -> RecordedTape:
    """A 'recording' of the model itself."""
    first = start + 10**9 * np.arange(sessions)
    return RecordedTape(Tape.draw(market, sessions, seed), first, market.dt, 0.01, "through", "simulated")


def test_figures_of_a_session_against_a_loop():
    tape, table = Tape.draw(MARKET, 3, seed=1), POLICY.tabulate(MARKET)
    columns, wealth = played(PROBLEM, table, tape, (1, 5))
    gained = 0.0
    for path in range(3):
        cash = inventory = earned = penalty = 0.0
        mid, fills, mids = 100.0, [], [100.0]
        for n in range(20):
            at = int(inventory) + MARKET.max_inventory
            bid, ask = table.bid_depth[n, 0, at], table.ask_depth[n, 0, at]
            if tape.bid_reach[n, path] > bid:
                cash, earned, inventory = cash - mid + bid, earned + bid, inventory + 1
                fills.append((n, 1))
            if tape.ask_reach[n, path] > ask:
                cash, earned, inventory = cash + mid + ask, earned + ask, inventory - 1
                fills.append((n, -1))
            mid += tape.mid_move[n, path]
            mids.append(mid)
            penalty += float(PROBLEM.objective.running_penalty(inventory)) * MARKET.dt
            assert wealth[20 * path + n] == pytest.approx(gained + cash + inventory * mid)
        profit = cash + inventory * mid
        gained += profit
        bids = sum(side > 0 for _, side in fills)
        expected = [bids, len(fills) - bids, profit, earned, profit - earned, profit - penalty, inventory, inventory**2]
        for horizon in (1, 5):
            inside = [(n, side) for n, side in fills if n + horizon <= 20]
            expected += [sum(side * (mids[n] - mids[n + horizon]) for n, side in inside), len(inside)]
        np.testing.assert_allclose(columns[:, path], expected, atol=1e-9)


@pytest.mark.parametrize(("sessions", "memory"), [(13, 0.0), (20, 0.3), (100, 0.3)])
def test_bootstrap_intervals_cover(sessions, memory):
    """Sessions that remember the one before, as a bad minute follows a bad minute; 400 intervals of 95 %."""
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        noise = rng.normal(size=sessions + 50)
        for i in range(1, len(noise)):
            noise[i] += memory * noise[i - 1]
        columns = noise[None, 50:]
        found = bootstrapped(columns, block_means(columns, rng), Mean(0))
        hits += found.low <= 0 <= found.high
    assert 0.92 <= hits / 400 <= 0.985


def test_a_recording_of_the_model_does_not_break_it():
    """Where the recording is the model, its figures agree with the exact ones and few intervals exclude them."""
    found = replay(PROBLEM, [Entrant("line", "baseline", POLICY, "linear_skew")], recorded(3000, seed=3))
    figures = found.outcomes[0].figures
    exact = mmenv.evaluate_exactly(MARKET, PROBLEM.objective, POLICY.tabulate(MARKET).clip(MARKET))
    truths = {"profit": exact.profit_mean, "outcome": exact.objective}
    for name, truth in (truths | {"final_inventory_std": exact.final_inventory_std}).items():
        assert figures[name].model == pytest.approx(truth, abs=4 * figures[name].recorded.half_width / 1.96)
        assert figures[name].recorded.value == pytest.approx(truth, abs=4 * figures[name].recorded.half_width / 1.96)
    assert sum(figure.breaks for figure in figures.values()) <= 2
    assert found.outcomes[0].wealth[-1] == pytest.approx(3000 * figures["profit"].recorded.value)


def test_adverse_selection_is_found_and_named():
    """A recording in which the mid follows the takers: fills and spread as predicted, profit not, and it says why."""
    plain = recorded(300, seed=4)
    tape = plain.tape
    jump = 0.4 * ((tape.ask_reach > 0.3) * 1.0 - (tape.bid_reach > 0.3))
    toxic = replace(plain, tape=Tape(tape.mid_move + jump, tape.bid_reach, tape.ask_reach))
    found = replay(PROBLEM, [Entrant("line", "baseline", POLICY, "linear_skew")], toxic)
    figures = found.outcomes[0].figures
    assert not figures["spread_earned"].breaks
    assert not figures["bid_fills"].breaks
    assert figures["inventory_profit"].breaks
    assert figures["profit"].breaks
    assert 0.25 < figures["markout_1"].recorded.value < 0.45
    assert "mostly in what its inventory does after fills" in verdict(found.outcomes[0])
    assert "fills and spread earned are as predicted" in verdict(found.outcomes[0])
    assert len(rows(found)) == 3
    assert len(markout_rows(found)[0]) == len(markout_rows(found)[1])


def test_what_was_trained_on_is_not_tested_on():
    tape = recorded(10, seed=5, start=10**15)
    first, last = tape.span
    check(PROBLEM, tape, [("agent", first - 100, first), ("other", last, last + 100)])
    with pytest.raises(TapeError, match="agent was trained on a part of this recording"):
        check(PROBLEM, tape, [("agent", first - 100, first + 1)])
    with pytest.raises(TapeError, match="at least 5 sessions, got 4"):
        check(PROBLEM, recorded(4, seed=5))
    with pytest.raises(ValueError, match=r"must have the market's 20 steps of 0\.005, got 200 steps"):
        check(PROBLEM, recorded(10, seed=5, market=Market()))


def test_every_shell_plays_the_same_recorded_sessions():
    tape = recorded(7, seed=6)
    name = "mmenv/AvellanedaStoikov-v0"
    single = [gymnasium.make(name, market=MARKET.to_dict(), tape=tape, index=i) for i in (0, 65)]
    vector = MarketMakingVectorEnv(66, market=MARKET, tape=tape)
    for env in single:
        env.reset(seed=9)
    vector.reset(seed=9)
    rng = np.random.default_rng(7)
    for _ in range(20):
        actions = rng.uniform(-1, 1, (66, 2)).astype(np.float32)
        _, rewards, *_ = vector.step(actions)
        for env, i in zip(single, (0, 65), strict=True):
            assert env.step(actions[i])[1] == pytest.approx(rewards[i])


def test_recorded_sessions_run_on_from_a_random_step_and_differ_between_seeds():
    tape = recorded(5, seed=8)
    everything = tape.tape.mid_move.T.ravel()
    starts = set()
    for seed in (0, 1):
        (chunk,) = tape.draw_chunks(MARKET, range(2), seed, 3)
        for session in chunk[0].T:
            start = int(np.flatnonzero(everything == session[0])[0])
            np.testing.assert_array_equal(session, np.take(everything, start + np.arange(20), mode="wrap"))
            starts.add((seed, start))
    assert len({start for _, start in starts}) > 60  # of 100 steps, 256 times drawn
    assert {s for seed, s in starts if seed == 0} != {s for seed, s in starts if seed == 1}


def test_tapes_that_do_not_fit_an_environment_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must have the market's 200 steps"):
        MarketMakingEnv(tape=recorded(5, seed=9))
    with pytest.raises(ValueError, match="reward must be 'realised', got 'expected'"):
        MarketMakingEnv(market=MARKET, reward="expected", tape=recorded(5, seed=9))
    with pytest.raises(ValueError, match="cannot be read"):
        MarketMakingEnv(market=MARKET, tape=str(tmp_path / "nothing.npz"))


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "market.json").write_text(json.dumps(PROBLEM.to_dict() | {"reward": "realised"}))
    save_tape(tmp_path / "train.npz", recorded(10, seed=10, start=0))
    save_tape(tmp_path / "test.npz", recorded(10, seed=11, start=10**12))
    return tmp_path


def test_training_on_a_recording_and_testing_on_a_later_one(files, capsys):
    train = pytest.importorskip("train.__main__").main
    words = ["--market", "market.json", "--tape", "train.npz", "-n", "4000", "--rollout-size", "2000"]
    assert train([*words, "--hidden", "8", "-f", "runs", "--no-progress"]) == 0
    (run,) = (files / "runs").iterdir()
    assert json.loads((run / "config.json").read_text())["recording"] == [0, 9 * 10**9 + 10**8]
    shown = ["--episodes", "200", "--policies", "linear_skew", "--format", "html", "md", "--out", "report"]
    assert evaluate([str(run), "--tape", "test.npz", *shown]) == 0
    printed = capsys.readouterr().out
    assert "On the recording, per session:" in printed
    report = (files / "report" / "report.md").read_text(encoding="utf-8")
    assert "## On the recording" in report
    assert "block bootstrap" in report
    assert evaluate([str(run), "--tape", "train.npz", *shown[:-1], "other"]) == 2
    assert "was trained on a part of this recording" in capsys.readouterr().err
    assert train([*words[:2], "--tape", "nothing.npz", "-f", "runs"]) == 2
    assert "nothing.npz cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--market", "nothing.json"], "nothing.json cannot be read: No such file"),
        (["--market", "test.npz"], "test.npz must hold a JSON object"),
        (["--market", "market.json", "--env", "AvellanedaStoikov-v0"], "--env and --market both name a problem"),
        (["--market", "market.json", "--tape", "market.json"], "market.json is no recorded tape"),
        (["--tape", "test.npz"], "must have the market's 200 steps"),
    ],
)
def test_bad_input_is_one_sentence(words, message, files, capsys):
    assert evaluate([*words, "--episodes", "100"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_columns_are_named_once():
    assert len(set(COLUMNS)) == len(COLUMNS)
