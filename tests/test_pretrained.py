"""The shipped agents: found by name, made for their ids, as good as their cards say; and cards of any run."""

import csv
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

import agents
from agents import RunError, checkpoint, shipped
from agents.shipped import FOLDER, locate
from benchmarks.pretrained import finished, ship
from evaluate import card
from evaluate.__main__ import main
from mmenv import Problem
from mmenv.envs.registration import IDS
from mmenv.grading import grade
from tests.test_train import arguments
from train.__main__ import main as train
from train.algorithm import MarketMakingPPO

ROOT = Path(__file__).parents[1]
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")
NAMES = [name.removeprefix("mmenv/") for name in IDS]


def stated(name: str) -> str:
    return (FOLDER / name / "README.md").read_text(encoding="utf-8")


def cell(text: str, label: str) -> str:
    """A number that a card's table states."""
    found = re.search(rf"^\| {label}[^|]*\| ([^| ]+)[^|]*\|$", text, re.MULTILINE)
    assert found is not None, label
    return found[1]


def test_every_registered_id_has_an_agent_and_nothing_else_is_there():
    assert shipped() == NAMES
    assert {path.name for path in FOLDER.iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_agent_is_found_by_its_id(name):
    """Made for the id's market and objective, small, and of plain data only."""
    policy = agents.load(name)
    expected = Problem.from_arguments(**IDS[f"mmenv/{name}"])
    assert policy.name == name
    assert (policy.problem.market, policy.problem.objective) == (expected.market, expected.objective)
    assert policy.config["training"]["env"] == f"mmenv/{name}"
    assert policy.config["seed"] == policy.config["card"]["seeds"][0]["seed"] == 0  # fixed in advance, not the best
    files = {path.name: path.stat().st_size for path in (FOLDER / name).iterdir()}
    assert set(files) == {"config.json", "policy.safetensors", "progress.csv", "README.md"}
    assert sum(files.values()) < 100_000
    assert locate(f"mmenv/{name}") == locate(name) == FOLDER / name


@pytest.mark.parametrize("name", NAMES)
def test_what_the_card_states_is_what_is_computed(name):
    """By the grade of the library, not by the code that writes cards; and the whole card is what would be written."""
    policy, text = agents.load(name), stated(name)
    result = grade(policy.problem, policy)
    assert f"{result.percent_of_optimum:.4f} % of the exact optimum" in text
    assert float(cell(text, "its gap")) == pytest.approx(result.gap_percent, rel=0.05)
    assert float(cell(text, "its skill")) == pytest.approx(result.skill, abs=5e-4)
    assert float(cell(text, "optimum")) == pytest.approx(result.optimum, rel=1e-5)
    gaps = policy.config["card"]["seeds"]
    assert gaps[0]["gap"] == pytest.approx(result.gap, rel=1e-6, abs=1e-9 * result.optimum)
    assert result.skill > 0.5
    with open(FOLDER / name / "progress.csv", newline="", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["objective"]) == pytest.approx(result.objective, rel=1e-6)
    written = card.compose([name])[0]
    assert NUMBER.sub("#", written) == NUMBER.sub("#", text)
    numbers = zip(NUMBER.findall(written), NUMBER.findall(text), strict=True)
    # Other processors round otherwise: the second of two digits may be off by one.
    assert all(float(ours) == pytest.approx(float(theirs), rel=0.1) for ours, theirs in numbers)


@pytest.mark.parametrize("name", NAMES)
def test_cards_say_what_is_asked_of_them(name):
    text = stated(name)
    for part in ("The maker maximises", "reward, seed 0", "Commit `", "What it does not know", "no trading advice"):
        assert part in " ".join(text.split())
    assert re.search(r"finished 20\d\d-\d\d-\d\d", text)
    everything = text + (FOLDER / name / "config.json").read_text(encoding="utf-8")
    assert not re.search(r'["` ]/[a-z]|[A-Z]:\\|file:', everything)  # no path of the machine it was trained on


@pytest.mark.parametrize("name", NAMES)
def test_the_command_on_the_card_means_what_was_done(name, monkeypatch):
    """Presets and defaults are still those that the agent was trained with."""
    from train import session
    from train.config import TrainingConfig

    jobs = []
    monkeypatch.setattr(session, "run", lambda job, bar: (jobs.append(job), (0, None))[1])
    assert train(command(name)) == 0
    done = TrainingConfig(**agents.load(name).config["training"])
    assert recipe(jobs[0]) == recipe(done)


def recipe(config) -> dict:
    """What a configuration trains with: its fields, and the sizes that come of them (some may be left open)."""
    algorithm = MarketMakingPPO(config.problem, config)
    sizes = {"sessions": algorithm.n_envs, "steps": algorithm.n_steps, "batch": algorithm.batch_size}
    left_open = {"rollout_size", "batch_size", "log_folder"}
    return {key: value for key, value in config.to_dict().items() if key not in left_open} | sizes


def command(name: str) -> list[str]:
    """The arguments of `python -m train` on a card."""
    found = re.search(r"```sh\npython -m train (.*)\n```", stated(name))
    assert found is not None
    return shlex.split(found[1])


@pytest.mark.proof
def test_an_agent_retrained_from_its_card_is_as_good_as_the_card_says(tmp_path, claim):
    """The whole training, some minutes of one core."""
    name = "AvellanedaStoikov-v0"
    stated_bound = re.search(r"expect a gap of at most \*\*([\d.e-]+) %\*\*", stated(name))
    assert stated_bound is not None
    words = [sys.executable, "-m", "train", *command(name), "--log-folder", str(tmp_path)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    policy = agents.load(tmp_path / f"{name}_0_1")
    gap = grade(policy.problem, policy).gap_percent
    claim("gap of an agent retrained from its card, over what the card states", "33", gap / float(stated_bound[1]), 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("AvelanedaStoikov-v0", r"no run folder 'AvelanedaStoikov-v0' \(did you mean 'AvellanedaStoikov-v0'\?\)"),
        ("mmenv/ToxicFlow-v1", r"no run folder 'mmenv/ToxicFlow-v1' \(did you mean 'ToxicFlow-v0'\?\)"),
        ("best", "no run folder 'best', and no agent of that name is shipped: there are AvellanedaStoikov-v0, "),
        ("runs/ToxicFlow-v0", "no run folder 'runs/ToxicFlow-v0'$"),
        ("", "no run folder ''|config.json cannot be read"),
        ("..", "config.json cannot be read"),
    ],
)
def test_unknown_names_get_one_sentence(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=message) as refused:
        agents.load(name)
    assert "\n" not in str(refused.value)


def test_a_run_folder_comes_before_a_shipped_agent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate("ToxicFlow-v0") == FOLDER / "ToxicFlow-v0"
    Path("ToxicFlow-v0").mkdir()
    with pytest.raises(RunError, match=r"config\.json cannot be read"):
        agents.load("ToxicFlow-v0")


def test_no_arguments_grade_all_shipped_agents_in_seconds(capsys):
    started = time.process_time()
    assert main([]) == 0
    assert time.process_time() - started < 30  # about five on an idle core
    printed = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in printed.splitlines() if line.startswith(tuple(NAMES))}
    assert list(lines) == NAMES
    for name, (_, optimum, percent, gap, _line, skill, _error) in lines.items():
        policy = agents.load(name)
        result = grade(policy.problem, policy)
        assert float(optimum) == pytest.approx(result.optimum, abs=6e-5)
        assert float(percent) == pytest.approx(result.percent_of_optimum, abs=6e-6)
        assert float(gap) == pytest.approx(result.gap_percent, abs=6e-6)
        assert float(skill) == pytest.approx(result.skill, abs=6e-4)
    assert f"python -m evaluate {NAMES[0]}" in printed
    assert max(map(len, printed.splitlines())) <= 110


def test_a_report_of_a_shipped_agent(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["ThinMarket-v0", "--episodes", "100", "--policies", "linear_skew", "--format", "md"]) == 0
    report = Path("reports/ThinMarket-v0/report.md").read_text(encoding="utf-8")
    assert re.search(r"The depths of PPO are [\d.]+ price units from the best ones on average", report)
    assert "`ThinMarket-v0`, reward `expected`" in report
    assert str(ROOT) not in report
    assert main(["ThinMarket-v0", "mmenv/ThinMarket-v0"]) == 2
    assert "given twice" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- cards of any run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two seeds of a small recipe."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        assert train(arguments(folder, seed=seed)) == 0
    return [folder / f"AvellanedaStoikov-v0_{seed}_1" for seed in (0, 1)]


def test_a_card_of_two_seeds(runs, capsys):
    capsys.readouterr()
    assert main(["card", *map(str, runs)]) == 0
    text = capsys.readouterr().out
    results = [grade(policy.problem, policy) for policy in map(agents.load, runs)]
    assert f"0: {results[0].gap_percent:.2g} %, 1: {results[1].gap_percent:.2g} %" in text
    assert f"at most **{2 * max(result.gap_percent for result in results):.2g} %**" in text
    assert "| `steps`: steps in a session | 10 |" in text
    assert "`max_inventory`" in text
    assert "`volatility`" not in text  # the default
    assert "`mmenv/AvellanedaStoikov-v0` with changes" in text
    assert "the average over the last 50 % of the run" in text


def test_a_published_agent_is_a_run_that_loads(runs, tmp_path, capsys):
    out = tmp_path / "mine"
    assert main(["card", *map(str, runs), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md", "config.json", "policy.safetensors", "progress.csv"
    ]  # fmt: skip
    assert (out / "policy.safetensors").read_bytes() == (runs[0] / "policy.safetensors").read_bytes()
    assert agents.load(out).name == "mine"
    assert 'agents.load("mine")' in (out / "README.md").read_text(encoding="utf-8")
    assert card.compose([str(out)])[0] == (out / "README.md").read_text(encoding="utf-8")  # it knows its seeds
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main(["card", str(runs[0]), "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err
    (out / "notes.txt").write_text("my own", encoding="utf-8")
    assert main(["card", str(runs[0]), "--out", str(out), "--overwrite"]) == 2
    assert "'notes.txt', which is not part of an agent" in capsys.readouterr().err
    (out / "notes.txt").unlink()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert main(["card", str(runs[1]), "--out", str(out), "--overwrite"]) == 0
    assert agents.load(out).config["seed"] == 1


def test_a_card_is_about_one_recipe(runs, tmp_path, capsys):
    assert train(arguments(tmp_path, seed=1, learning_rate=0.001)) == 0
    assert main(["card", str(runs[0]), str(tmp_path / "AvellanedaStoikov-v0_1_1")]) == 2
    assert "runs that differ in their seeds only" in capsys.readouterr().err


def test_a_card_of_a_run_that_was_cut_short_says_so(runs, tmp_path):
    """It tells the transitions that the weights have seen, not those that were planned."""
    for path in runs[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    seen = config["training"]["n_timesteps"]
    assert f"- {seen:,} transitions, on the" in card.compose([str(tmp_path)])[0]
    config["training"]["n_timesteps"] = 10 * seen
    checkpoint.write_json(tmp_path / "config.json", config)
    text = card.compose([str(tmp_path)])[0]
    assert f"- {seen:,} transitions of {10 * seen:,}: training was cut short, on the" in text
    assert "The weights are the last ones" in text


@pytest.mark.parametrize(
    "facts",
    [
        3,
        {},
        {"date": "x", "seeds": [{"seed": 0, "gap": 1}]},
        {"date": "2026-01-01", "seeds": []},
        {"date": "2026-01-01", "seeds": [{"gap": "-"}]},
        {"date": "2026-01-01", "seeds": [{"seed": 0, "gap": "inf"}]},
    ],
)
def test_facts_that_make_no_sense_are_not_believed(runs, tmp_path, facts):
    for path in runs[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    checkpoint.write_json(tmp_path / "config.json", config | {"card": facts})
    assert card.compose([str(tmp_path)], "run")[0] == card.compose([str(runs[0])], "run")[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--env X -n 5", "--env X -n 5 --seed 3"),
        ("--env X --seed 3 -f runs/a -P", "--env X --seed 3"),
        ("--seeds 5 --log-folder=runs --seed=9 --preset standard", "--preset standard --seed 3"),
        ("""--env-kwargs '{"steps": 10}' --no-progress""", """--env-kwargs '{"steps": 10}' --seed 3"""),
    ],
)
def test_the_command_on_a_card_trains_that_seed_anywhere(words, expected):
    config = {"command": ["python", "-m", "train", *shlex.split(words)], "seed": 3}
    assert card.command(config) == f"python -m train {expected}"


def test_only_finished_runs_are_shipped(runs, tmp_path, monkeypatch, capsys):
    """The agent is that of the first seed, however good the others are."""
    monkeypatch.setattr("benchmarks.pretrained.FOLDER", tmp_path)
    assert all(map(finished, runs))
    ship("AvellanedaStoikov-v0", [1, 0], runs[0].parent)
    assert agents.load(tmp_path / "AvellanedaStoikov-v0").config["seed"] == 1
    ship("AvellanedaStoikov-v0", [7, 0], runs[0].parent)
    assert "seed 7 has not finished" in capsys.readouterr().out
    lines = (runs[1] / "progress.csv").read_text(encoding="utf-8").splitlines()
    copy = tmp_path / "AvellanedaStoikov-v0_1_1"
    copy.mkdir()
    (copy / "config.json").write_bytes((runs[1] / "config.json").read_bytes())
    (copy / "progress.csv").write_text("\n".join(lines[:-1]), encoding="utf-8")
    assert not finished(copy)
    assert not finished(tmp_path / "nowhere")
