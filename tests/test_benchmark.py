"""The benchmark: its problems stand still, submissions are graded exactly, and bad ones are refused by a sentence."""

import io
import json
import pickle
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest

import mmenv
from evaluate.__main__ import main
from evaluate.benchmark import Benchmark, Entry, Task, command, grade_submission, read_submission, run, version_0
from evaluate.benchmark.leaderboard import LINE, tables
from evaluate.benchmark.quotes import UNIT, QuotesError, read_quotes, write_quotes
from evaluate.benchmark.submission import RECORD, SubmissionError
from evaluate.text import markdown_table
from mmenv import ExponentialPenalty, ExponentialUtility, Market, Problem, QuoteTable, solve
from mmenv.linear_skew import best_linear_skew, linear_skew_table

PAGE = (command.SHIPPED.parents[1] / "docs" / "benchmark.md").read_text(encoding="utf-8")
MARKET = Market(steps=20, max_inventory=3, arrival_rate=30)
HEDGED = Market(steps=6, max_inventory=2, hedge_cost=0.05)
TINY = Benchmark(
    0,
    {"Plain": Problem(MARKET), "Utility": Problem(MARKET, ExponentialUtility(0.1)), "Hedged": Problem(HEDGED)},
    budgets=(100, 1000),
    seeds=(0, 1, 2),
)
TASK = Task("Plain", 100, 0)


class Model:
    """Quotes one depth everywhere, and says what it was trained on."""

    def __init__(self, problem, depth, num_timesteps):
        self.problem, self.depth, self.num_timesteps = problem, depth, num_timesteps

    def predict(self, observations, deterministic=False):
        action = self.problem.codec.actions(np.array(self.depth))
        return np.full((len(observations), self.problem.codec.components), action), None


def constant(name, depth, share=1.0):
    """An entry that quotes depth + seed / 10."""
    train = lambda problem, transitions, seed: Model(problem, depth + seed / 10, int(share * transitions))  # noqa: E731
    return Entry(name, "a constant", train, reward="expected")


def submit(folder, entry=None, tasks=None):
    return run(entry or constant("constant", 0.7), TINY, folder, tasks)


def array(values):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, values, version=(1, 0), allow_pickle=True)
    return stream.getvalue()


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)


def test_the_problems_of_version_0_never_change():
    """Whatever becomes of the registered ids: same budgets, same seeds, same optima to the last digit printed."""
    benchmark = version_0()
    assert (benchmark.version, benchmark.budgets, benchmark.seeds) == (0, (100_000, 1_000_000), (0, 1, 2, 3, 4))
    pinned = {"AvellanedaStoikov": 67.033005, "ExponentialUtility": 65.248471, "ToxicFlow": 19.939117}
    assert list(benchmark.markets) == list(pinned)
    for name, optimum in pinned.items():
        problem = benchmark.markets[name]
        assert solve(problem.market, problem.objective).optimum == pytest.approx(optimum, abs=1e-6)


def test_the_file_of_version_0_states_every_parameter_and_its_own_answers():
    """Nothing is left to a default that may change; the stated optimum and straight line are what grading finds."""
    path = command.SHIPPED.parents[1] / "evaluate" / "benchmark" / "v0.json"
    for name, values in json.loads(path.read_text(encoding="utf-8"))["markets"].items():
        problem = version_0().markets[name]
        assert values["market"] == problem.market.to_dict()
        assert values["objective"] == problem.objective.to_dict()
        graded = mmenv.grade(problem, solve(problem.market, problem.objective).quotes)
        assert values["optimum"] == pytest.approx(graded.optimum, rel=1e-12)
        assert values["linear_skew"] == pytest.approx(graded.linear_skew, rel=1e-9)


def test_the_least_noisy_reward_of_a_market():
    assert TINY.problem("Plain", "expected").reward == "expected"
    assert TINY.problem("Utility", "expected").reward == "surrogate"
    assert TINY.problem("Utility", "realised").reward == "realised"
    assert TINY.problem("Plain", "expected").market == MARKET
    with pytest.raises(ValueError, match="reward must be one of"):
        TINY.problem("Plain", "hoped for")


@pytest.mark.parametrize("market", [MARKET, HEDGED], ids=["plain", "hedged"])
def test_quotes_survive_the_file(tmp_path, market):
    table = solve(market, ExponentialPenalty()).quotes
    write_quotes(tmp_path / "exact.npz", table, exact=True)
    exact = read_quotes(tmp_path / "exact.npz", market)
    write_quotes(tmp_path / "rounded.npz", table)
    rounded = read_quotes(tmp_path / "rounded.npz", market)
    for name, quoted in zip(("bid_depth", "ask_depth"), table.quoted, strict=True):
        np.testing.assert_array_equal(getattr(exact, name)[quoted], getattr(table, name)[quoted])
        error = getattr(rounded, name)[quoted] - getattr(table, name)[quoted]
        assert 0 < np.abs(error).max() <= 0.5 / UNIT
    for read in (exact, rounded):
        np.testing.assert_array_equal(read.hedge is None, table.hedge is None)
        if table.hedge is not None:
            assert np.abs(table.hedge).max() > 0
            np.testing.assert_array_equal(read.hedge, table.hedge)


@pytest.mark.parametrize("name", version_0().markets)
def test_rounding_costs_next_to_nothing(name):
    """An error of e <= 1/2048 in k <= 2.5 costs (k e)^2 / 2 of what fills earn: 7.5e-5 %, a third on average."""
    problem = version_0().markets[name]
    table = solve(problem.market, problem.objective).quotes
    rounded = QuoteTable(*(np.rint(side * UNIT) / UNIT for side in (table.bid_depth, table.ask_depth)))
    assert 0 < mmenv.grade(problem, rounded).gap_percent < 3e-5


def test_a_stored_agent_gets_the_grade_of_the_agent_itself(tmp_path):
    """The quotes are graded as stored: multiples of 1/1024 are stored without loss."""
    train = lambda problem, transitions, seed: Model(problem, 0.75 + seed / 4, transitions)  # noqa: E731
    submission = submit(tmp_path / "a", Entry("a", "b", train))
    for score in grade_submission(submission, TINY):
        problem = TINY.markets[score.task.market]
        direct = mmenv.grade(problem, train(problem, 100, score.task.seed))
        assert score.grade.objective == pytest.approx(direct.objective, rel=1e-12)
        assert score.grade.skill == pytest.approx(direct.skill, rel=1e-9, nan_ok=True)


def test_the_optimum_scores_gap_0_and_skill_1_and_a_straight_line_skill_0(tmp_path):
    submission = submit(tmp_path / "a", tasks=[TASK, Task("Plain", 100, 1)])
    line = best_linear_skew(MARKET, ExponentialPenalty())
    optimum = solve(MARKET, ExponentialPenalty()).quotes
    straight = linear_skew_table(MARKET, line.half_spread, line.skew)
    write_quotes(tmp_path / "a" / "Plain-100-0.npz", optimum, exact=True)
    write_quotes(tmp_path / "a" / "Plain-100-1.npz", straight, exact=True)
    best, second = grade_submission(submission, TINY)
    assert best.gap_percent == pytest.approx(0, abs=1e-12)
    assert best.grade.skill == pytest.approx(1, abs=1e-9)
    assert second.grade.skill == pytest.approx(0, abs=1e-9)


def test_an_entry_goes_on_where_it_stopped(tmp_path):
    calls = []

    def train(problem, transitions, seed):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append((transitions, seed, problem.reward))
        return lambda observations: np.zeros((len(observations), problem.codec.components))

    entry = Entry("a", "b", train)
    with pytest.raises(KeyboardInterrupt):
        run(entry, TINY, tmp_path / "a", TINY.tasks(["Plain", "Utility"], [100]))
    assert list(read_submission(tmp_path / "a", TINY).runs) == TINY.tasks(["Plain"], [100])
    entry = replace(entry, train=lambda *arguments: calls.pop() and train(*arguments))
    run(entry, TINY, tmp_path / "a", TINY.tasks(["Plain", "Utility"], [100]))
    assert list(read_submission(tmp_path / "a", TINY).runs) == TINY.tasks(["Plain", "Utility"], [100])
    with pytest.raises(SubmissionError, match="another submission"):
        submit(tmp_path / "a")


def test_seeds_are_run_in_order_and_none_is_left_out(tmp_path):
    """Whatever order is asked for: an interruption leaves a submission that can be graded and gone on with."""
    calls = []

    def train(problem, transitions, seed):
        if calls == [0, 1]:
            raise KeyboardInterrupt
        calls.append(seed)
        return lambda observations: np.zeros((len(observations), problem.codec.components))

    entry = Entry("a", "b", train)
    with pytest.raises(SubmissionError, match=r"seeds of Plain-100 must be taken from 0 on, got \[1, 2\]"):
        run(entry, TINY, tmp_path / "a", TINY.tasks(["Plain"], [100], [1, 2]))
    assert calls == []
    assert not (tmp_path / "a").exists()
    with pytest.raises(KeyboardInterrupt):
        run(entry, TINY, tmp_path / "a", TINY.tasks(["Plain"], [100], [2, 1, 0]))
    assert [task.seed for task in read_submission(tmp_path / "a", TINY).runs] == [0, 1]


def test_quotes_far_outside_the_box_are_stored_at_its_ends(tmp_path):
    """The file's integers could not hold them: a huge depth would come back as a negative one."""
    market = TINY.markets["Plain"].market
    shape = market.grid_shape
    entry = Entry("far", "-", lambda *_: QuoteTable(np.full(shape, 1e9), np.full(shape, -1e9)))
    table = submit(tmp_path / "a", entry, [TASK]).quotes(TASK, TINY)
    bid, ask = (side[quoted] for side, quoted in zip((table.bid_depth, table.ask_depth), table.quoted, strict=True))
    assert set(bid) == {market.max_depth}
    assert set(ask) == {market.min_depth}


def test_transitions_are_counted_and_limited(tmp_path):
    submission = submit(tmp_path / "a", constant("a", 0.7, share=0.9), [TASK])
    assert submission.runs[TASK].transitions == 90
    with pytest.raises(SubmissionError, match="at most 100 transitions in Plain-100-0, it saw 110"):
        submit(tmp_path / "b", constant("b", 0.7, share=1.1), [TASK])


def test_the_leaderboard_ranks_by_median_gap_with_the_straight_line_among_the_agents(tmp_path):
    optimal = Entry("optimal", "-", lambda problem, *_: solve(problem.market, problem.objective).quotes)
    entries = [constant("far", 2.0), optimal, constant("near", 0.6)]
    submissions = [submit(tmp_path / entry.name, entry, TINY.tasks(["Plain"], [1000])) for entry in entries]
    scores = [score for one in submissions for score in grade_submission(one, TINY)]
    ((title, rows),) = tables(scores, TINY).items()
    assert title == "Plain, 1,000 transitions"
    assert [row[0] for row in rows[1:]] == ["optimal", LINE, "near", "far"]
    gaps = sorted(
        mmenv.grade(TINY.markets["Plain"], Model(TINY.markets["Plain"], 2.0 + i / 10, 1)).gap_percent for i in range(3)
    )
    assert rows[4][2:6] == ["3", *(f"{gaps[i]:.1f}" for i in (1, 0, 2))]


def test_a_cell_short_of_seeds_says_so(tmp_path):
    submission = submit(tmp_path / "a", tasks=[TASK, Task("Plain", 100, 1)])
    (rows,) = tables(grade_submission(submission, TINY), TINY).values()
    assert "2 of 3" in [row[2] for row in rows]


def edit(folder, change):
    path = folder / RECORD
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")


RUN = "Plain-100-0"
BAD_RECORDS = {
    "another version": (lambda record: record.update(benchmark=1), "benchmark must be 0"),
    "no name": (lambda record: record.pop("name"), "must have the field 'name'"),
    "empty name": (lambda record: record.update(name=" "), "name must not be empty"),
    "escape codes": (lambda record: record.update(name="\x1b[2J"), "name must be a line"),
    "long text": (lambda record: record.update(tuned="x" * 10_000), "tuned must be a line"),
    "other reward": (lambda record: record.update(reward="hoped for"), "reward must be one of"),
    "no date": (lambda record: record.update(date="yesterday"), "is no valid record"),
    "extra field": (lambda record: record.update(gap=0), "must have no field 'gap'"),
    "versions": (lambda record: record.update(versions=[1]), "versions must be texts"),
    "no runs": (lambda record: record.update(runs={}), "at least one run"),
    "unknown run": (lambda record: record["runs"].update({"Plain-100-9": record["runs"][RUN]}), "run must be one of"),
    "path": (lambda record: record["runs"].update({"../Plain-100-0": record["runs"][RUN]}), "run must be one of"),
    "over budget": (lambda record: record["runs"][RUN].update(transitions=101), r"\[1, 100\], got 101"),
    "not counted": (lambda record: record["runs"][RUN].pop("transitions"), "must state transitions"),
    "seconds": (lambda record: record["runs"][RUN].update(cpu_seconds="1"), "cpu_seconds of Plain-100-0"),
    "chosen seeds": (lambda record: record["runs"].pop(RUN), r"must be taken from 0 on, got \[1, 2\]"),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return submit(tmp_path_factory.mktemp("submissions") / "good", tasks=TINY.tasks(["Plain"], [100])).folder


@pytest.fixture
def folder(good, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in good.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_record_that_does_not_fit_is_refused(folder, name):
    change, words = BAD_RECORDS[name]
    edit(folder, change)
    with pytest.raises(SubmissionError, match=words):
        read_submission(folder, TINY)


def test_a_missing_folder_record_or_file_is_named(folder, tmp_path):
    with pytest.raises(SubmissionError, match="no submission folder"):
        read_submission(tmp_path / "nowhere", TINY)
    (folder / "Plain-100-1.npz").unlink()
    with pytest.raises(SubmissionError, match=r"states the run Plain-100-1, but Plain-100-1\.npz is missing"):
        read_submission(folder, TINY)
    (folder / RECORD).write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="no valid JSON"):
        read_submission(folder, TINY)


class Payload:
    def __reduce__(self):
        return pytest.fail, ("a file was executed",)


ZEROS = np.zeros(MARKET.grid_shape)
BAD_QUOTES = {
    "nan": (dict.fromkeys(("bid_depth", "ask_depth"), array(np.full(MARKET.grid_shape, np.nan))), "must be finite"),
    "infinity": ({"bid_depth": array(ZEROS), "ask_depth": array(ZEROS + np.inf)}, "must be finite"),
    "wrong shape": ({"bid_depth": array(ZEROS[1:]), "ask_depth": array(ZEROS)}, r"= \(20, 1, 7\), got \(19, 1, 7\)"),
    "one side": ({"bid_depth": array(ZEROS)}, "must hold the arrays ask_depth, bid_depth, got 'bid_depth'"),
    "hedge without venue": (dict.fromkeys(("bid_depth", "ask_depth", "hedge"), array(ZEROS)), "must hold the arrays"),
    "objects": (dict.fromkeys(("bid_depth", "ask_depth"), array(np.array([Payload()]))), "as plain numbers"),
    "complex": (dict.fromkeys(("bid_depth", "ask_depth"), array(ZEROS + 0j)), "as plain numbers"),
    "pickle": (dict.fromkeys(("bid_depth", "ask_depth"), pickle.dumps(ZEROS)), "is no file of quotes"),
    "cut off": (dict.fromkeys(("bid_depth", "ask_depth"), array(ZEROS)[:-8]), "is no file of quotes"),
    "bomb": (dict.fromkeys(("bid_depth", "ask_depth"), bytes(10**7)), "must hold at most 11120 bytes"),
    "lying header": (
        dict.fromkeys(("bid_depth", "ask_depth"), array(ZEROS).replace(b"(20, 1, 7)", b"(9**9,1,7)")),
        "is no file of quotes",
    ),
    "huge header": (
        dict.fromkeys(("bid_depth", "ask_depth"), array(ZEROS).replace(b"(20, 1, 7)", b"(99999999,)")),
        "is no file of quotes|got",
    ),
}


@pytest.mark.parametrize("name", BAD_QUOTES)
def test_a_hostile_or_damaged_file_of_quotes_is_refused(folder, name):
    members, words = BAD_QUOTES[name]
    archive(folder / "Plain-100-1.npz", **members)
    with pytest.raises(QuotesError, match=words):
        grade_submission(read_submission(folder, TINY), TINY)


def test_what_is_no_archive_is_refused(folder):
    for data in (b"", b"PK", bytes(1000), (folder / "Plain-100-0.npz").read_bytes()[:-40]):
        (folder / "Plain-100-1.npz").write_bytes(data)
        with pytest.raises(QuotesError, match="is no file of quotes"):
            grade_submission(read_submission(folder, TINY), TINY)


def test_a_flipped_byte_anywhere_is_refused_or_harmless(folder):
    """Every byte in turn: the archive's checksum notices, or the byte says nothing about the quotes."""
    path = folder / "Plain-100-1.npz"
    data, expected = path.read_bytes(), read_quotes(path, MARKET)
    refused = 0
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            table = read_quotes(path, MARKET)
        except QuotesError:
            refused += 1
        else:
            np.testing.assert_array_equal(table.bid_depth, expected.bid_depth)
            np.testing.assert_array_equal(table.ask_depth, expected.ask_depth)
    assert refused > len(data) / 2


def test_a_damaged_npy_header_is_refused_or_harmless(folder):
    """Behind a checksum that holds, 300 headers with up to three bytes overwritten: refused, or the same zeros."""
    path, rng, refused = folder / "Plain-100-1.npz", np.random.default_rng(0), 0
    for _ in range(300):
        header = bytearray(array(ZEROS))
        header[rng.integers(128)], header[rng.integers(128)], header[rng.integers(128)] = rng.choice(
            list(b"([{',0\0 "), 3
        )
        archive(path, bid_depth=bytes(header), ask_depth=array(ZEROS))
        try:
            table = read_quotes(path, MARKET)
        except QuotesError:
            refused += 1
        else:
            np.testing.assert_array_equal(table.bid_depth, ZEROS)
    assert 150 < refused < 300


def test_other_compressions_are_refused(folder):
    with zipfile.ZipFile(folder / "Plain-100-1.npz", "w", zipfile.ZIP_LZMA) as file:
        for name in ("bid_depth", "ask_depth"):
            file.writestr(f"{name}.npy", array(ZEROS))
    with pytest.raises(QuotesError, match="stored or deflated, got compression 14"):
        read_quotes(folder / "Plain-100-1.npz", MARKET)


ENTRY = """
import numpy as np
from evaluate.benchmark import Entry

mine = Entry("mine", "half way", lambda problem, transitions, seed: lambda seen: np.zeros((len(seen), 2)))
"""


def test_the_command_trains_grades_and_writes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(ENTRY, encoding="utf-8")
    assert command.main(["--run", "mine.py:mine", "--markets", "Plain", "--budgets", "100"], TINY) == 0
    assert "Plain, 100 transitions" in capsys.readouterr().out
    assert command.main(["submissions/mine", "--out", "out"], TINY) == 0
    printed = capsys.readouterr().out
    assert "Plain, 100 transitions" in printed
    assert "1,000" not in printed
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert [run["seed"] for run in results["runs"]] == [0, 1, 2]
    assert results["submissions"]["mine"]["versions"]["numpy"] == np.__version__
    assert len((tmp_path / "out" / "results.csv").read_text(encoding="utf-8").splitlines()) == 4
    assert "| mine |" in (tmp_path / "out" / "leaderboard.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run", "nothing.py:mine"], "FILE.py:NAME"),
        (["--run", "mine.py:yours"], "entries in it: mine"),
        (["--run", "mine.py:mine", "--budgets", "7"], "budget must be one of"),
        (["--run", "mine.py:mine", "--markets", "Plane"], "did you mean 'Plain'"),
        (["--run", "mine.py:mine", "folder"], "give its folder as --out"),
        (["--run", "mine.py:mine", "--overwrite"], "--overwrite is for results"),
        (["--run", "mine.py:mine", "--seeds", "1"], "must be taken from 0 on"),
        (["--seeds", "0"], "is for --run"),
        (["nowhere"], "there is no submission folder 'nowhere'"),
    ],
)
def test_the_command_refuses_in_one_sentence(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(ENTRY, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        command.main(arguments, TINY)


def test_two_submissions_of_one_name_are_refused(good, folder):
    with pytest.raises(SubmissionError, match="two submissions are named 'constant'"):
        command.main([str(good), str(folder)], TINY)


def test_without_the_repository_the_command_says_where_submissions_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "SHIPPED", tmp_path / "site-packages" / "benchmarks")
    assert main(["benchmark"]) == 2
    assert "benchmarks/submissions of the repository" in capsys.readouterr().err


def test_the_ten_lines_of_the_page_enter(tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    scope: dict = {}
    exec(compile(block, "docs/benchmark.md", "exec"), scope)
    submission = run(scope["entry"], TINY, tmp_path / "a", [TASK])
    assert submission.runs[TASK].transitions == 80
    assert grade_submission(submission, TINY)[0].grade.gap > 0


def test_the_page_shows_what_the_command_prints():
    submissions = command.read_all([], version_0())
    assert "mmenv PPO" in [submission.about.name for submission in submissions]
    scores = [score for one in submissions for score in grade_submission(one, version_0())]
    shown = tables(scores, version_0())
    assert len(shown) == PAGE.count("### ")
    for title, rows in shown.items():
        assert f"### {title}\n\n{markdown_table(rows)}\n" in PAGE, title
