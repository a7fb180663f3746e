"""The command line: what it writes, and what it refuses in one sentence without touching anything."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evaluate.__main__ import POLICIES, main
from evaluate.entrants import BASELINES
from mmenv import ExponentialUtility, Market, Problem
from tests.evaluation import MARKET, fake_load, make_run

FAST = ["--episodes", "200", "--policies", "fixed,linear_skew", "--format", "md,csv"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("agents.load", fake_load)
    return tmp_path


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run what must be refused; nothing may be written, and stderr is one line."""
    before = files_below(Path())
    assert main(list(arguments)) == 2
    assert files_below(Path()) == before
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_report_of_two_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(make_run(Path("runs") / f"ppo{seed}", seed)) for seed in range(2)]
    assert main([*names, *FAST]) == 0
    printed = capsys.readouterr().out
    assert "PPO, seed 0" in printed
    assert "over 2 training seeds" in printed
    assert re.search(r"report: +reports/ppo0-and-1-more/report.md", printed.replace("\\", "/"))
    assert max(map(len, printed.split("\n")[: printed.split("\n").index("")])) <= 100
    about = json.loads(Path("reports/ppo0-and-1-more/report.json").read_text(encoding="utf-8"))
    assert about["episodes"] == 200
    assert about["command"] == " ".join(["python -m evaluate", *names, *FAST])


@pytest.mark.parametrize("name", ["ThinMarket-v0", "DeepMarket-v0", "Hedged-v0"])
def test_ladders_of_registered_markets_with_regimes_ticks_and_hedges(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--env", name, *FAST]) == 0
    assert "exact optimum" in capsys.readouterr().out
    assert Path(f"reports/ladder-{name}/report.md").is_file()


def test_reports_never_overwrite_one_another(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(FAST) == 0
    first = files_below(Path("reports/ladder"))
    assert main(FAST) == 0
    assert files_below(Path("reports/ladder")) == first
    assert Path("reports/ladder-2/report.md").is_file()
    capsys.readouterr()
    assert "exists" in refusal(capsys, *FAST, "--out", "reports/ladder")


def test_overwriting_is_asked_for_and_takes_only_reports(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FAST, "--out", "mine"]) == 0
    assert main([*FAST, "--out", "mine", "--overwrite", "--seed", "3"]) == 0
    assert json.loads(Path("mine/report.json").read_text(encoding="utf-8"))["seed"] == 3
    assert list(Path().iterdir()) == [Path("mine")]
    Path("mine/notes.txt").write_text("my own", encoding="utf-8")
    capsys.readouterr()
    assert "'notes.txt', which is not part of a report" in refusal(capsys, *FAST, "--out", "mine", "--overwrite")
    Path("file").write_text("my own", encoding="utf-8")
    assert "error" in refusal(capsys, *FAST, "--out", "file", "--overwrite")


def test_a_failure_leaves_nothing_behind(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main([*FAST, "--out", "mine"]) == 0
    capsys.readouterr()

    def full(*arguments: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evaluate.text.csv_text", full)
    assert "No space left" in refusal(capsys, *FAST, "--out", "mine", "--overwrite")
    assert "No space left" in refusal(capsys, *FAST, "--out", "new")
    assert not Path("new").exists()


def test_an_interrupt_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("evaluate.text.csv_text", interrupted)
    assert main([*FAST, "--out", "new"]) == 130
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs/pppo0"], r"no run folder 'runs.pppo0' \(did you mean 'runs.ppo0'\?\)"),
        (["runs"], "is no run folder, but holds other, ppo0: name one of them"),
        (["runs/ppo0", "runs/./ppo0"], "is given twice"),
        (["runs/ppo0", "runs/other"], "volatility is 2.0 in runs.ppo0 but 3.0 in runs.other"),
        (["runs/ppo0", "runs/cara"], "objective is .*exponential_penalty.* in runs.ppo0 but .*exponential_utility"),
        (["--policies", "lineer_skew"], r"--policies must be one of .*'lineer_skew' \(did you mean 'linear_skew'\?\)"),
        (["--format", "html", "pdf"], "--format must be one of 'html', 'md', 'csv', 'png', 'svg', got 'pdf'"),
        (["--format", ","], "--format must name at least one of html, md, csv, png, svg"),
        (["--policies", ""], "--policies must name at least one of fixed, "),
        (["--episodes", "1"], "--episodes must be an integer >= 2, got 1"),
        (["--seed", "-1"], "--seed must be an integer >= 0, got -1"),
        (["--env", "AvelanedaStoikov-v0"], "--env must be one of .*did you mean 'mmenv/AvellanedaStoikov-v0'"),
        (["runs/ppo0", "--env", "ExponentialUtility-v0"], "--env is for a ladder without runs"),
        (["--latest"], "no run folder below 'runs'"),
        (["compare", "runs/ppo0"], "compare needs at least two runs, got 1"),
        (["watch", "runs/nothing"], "no run folder"),
        (["watch", "runs/ppo0", "--seed", "-4"], "seed must be an integer >= 0, got -4"),
    ],
)  # fmt: skip
def test_refusals_are_one_sentence(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    if arguments != ["--latest"]:
        make_run(Path("runs/ppo0"))
        make_run(Path("runs/other"), problem=Problem(Market(**{**MARKET.to_dict(), "volatility": 3.0})))
    if "runs/cara" in arguments:
        make_run(Path("runs/cara"), problem=Problem(MARKET, ExponentialUtility(0.1)))
    extra = [] if arguments[0] in ("compare", "watch") else ["--format", "md"] if "--format" not in arguments else []
    assert re.search(message, refusal(capsys, *arguments, *extra))


def test_the_newest_run(capsys: pytest.CaptureFixture[str]) -> None:
    import os

    for i, name in enumerate(("old", "new")):
        folder = make_run(Path("runs") / name, seed=i)
        os.utime(folder / "config.json", ns=(i * 10**9, i * 10**9))
    assert main(["--latest", *FAST]) == 0
    assert "PPO, seed 1" in capsys.readouterr().out
    assert Path("reports/new").is_dir()


def test_compare(capsys: pytest.CaptureFixture[str]) -> None:
    first = make_run(Path("runs/a"), seed=0)
    second = make_run(Path("runs/b"), seed=1, learning_rate=0.01)
    assert main(["compare", str(first), str(second), "--episodes", "500"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"learning_rate +0.003 +0.01", printed)
    assert re.search(r"PPO \(learning_rate 0.01\), seed 1 +\d.* ± ", printed)
    assert "log_folder" not in printed


def test_seeds_of_one_recipe_have_the_same_settings(capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(make_run(Path(f"runs/{seed}"), seed=seed)) for seed in (0, 0, 1)[1:]]
    assert main(["compare", *names, "--episodes", "100"]) == 0
    assert "settings are the same" in capsys.readouterr().out


def test_watch_writes_a_page_that_needs_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    run = str(make_run(Path("runs/a")))
    assert main(["watch", run]) == 0
    assert main(["watch", run]) == 0
    assert sorted(path.name for path in Path("reports").iterdir()) == ["watch-a-2.html", "watch-a.html"]
    page = Path("reports/watch-a.html").read_text(encoding="utf-8")
    assert not re.search(r"src=|href=|url\(|@import|http", page)
    found = re.search(r"const data = (\{.*\});", page)
    assert found is not None
    data = json.loads(found[1])
    assert len(data["mid"]) == len(data["inventory"]) == len(data["profit"]) == MARKET.steps + 1
    assert len(data["bid"]) == len(data["askFill"]) == MARKET.steps
    moves = [after - before for before, after in zip(data["inventory"], data["inventory"][1:], strict=False)]
    assert moves == [bid - ask for bid, ask in zip(data["bidFill"], data["askFill"], strict=True)]
    assert any(moves)
    capsys.readouterr()
    assert "exists" in refusal(capsys, "watch", run, "--out", "reports/watch-a.html")


def test_a_real_run_folder() -> None:
    """An untrained network, saved and loaded by the packages that own the format."""
    from agents import checkpoint
    from agents.ppo import Architecture
    from evaluate.runs import load_runs
    from tests.networks import random_weights

    folder, problem = make_run(Path("runs/real")), Problem(MARKET, reward="expected")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"format": checkpoint.FORMAT}
    checkpoint.write_json(folder / "config.json", config)
    architecture = Architecture.for_problem(problem, (8,), fold=True)
    about = {"architecture": architecture.to_dict(), "transitions": 0}
    checkpoint.save_tensors(folder, "policy", random_weights(architecture, 0.1), about)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agents.load", checkpoint.load)
        assert main([str(folder), *FAST]) == 0
        assert load_runs([str(folder)])[0].label == "PPO, seed 0"


def test_help_is_quick() -> None:
    """Asking for help loads nothing heavy."""
    heavy = "{'numpy', 'mmenv', 'torch', 'matplotlib'}"
    code = f"import sys, evaluate.__main__; print(sorted({heavy} & set(sys.modules)))"
    root = Path(__file__).parents[1]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_help_names_all_baselines() -> None:
    assert tuple(BASELINES) == POLICIES


@pytest.mark.parametrize("part", [[], ["compare"], ["watch"]])
def test_help_is_there(part: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_code:
        main([*part, "--help"])
    assert exit_code.value.code == 0
    assert "RUN" in capsys.readouterr().out


@pytest.mark.parametrize(
    "sides",
    [{"bid_depth_decay": 1.0, "ask_depth_decay": 2.0}, {"bid_arrival_rate": 0.0}],
    ids=["another decay", "takers on one side"],
)
def test_a_market_whose_sides_differ_has_a_ladder(sides: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    """Calibrations find such markets. Formulas that do not know them are left out, the others stand there."""
    market = Market(steps=5, max_inventory=2, arrival_rate=30.0, **sides)
    Path("market.json").write_text(json.dumps({"market": market.to_dict()}), encoding="utf-8")
    assert main(["--market", "market.json", "--episodes", "50", "--format", "csv"]) == 0
    printed = capsys.readouterr().out
    assert "Avellaneda–Stoikov" in printed
    assert "best linear skew" in printed
    assert "GLFT finite" not in printed
    assert "continuous" not in printed
