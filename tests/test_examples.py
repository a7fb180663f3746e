"""The examples run and learn, shortened."""

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name, *arguments):
    return runpy.run_path(str(EXAMPLES / name))["main"](*arguments)


def test_stock_ppo():
    assert run("stock_ppo.py", 128_000).percent_of_optimum > 90


def test_torch_loop():
    assert run("torch_loop.py", 40).percent_of_optimum > 85


def test_own_policy(capsys):
    grades = run("own_policy.py")
    assert 99 < grades["lean"].percent_of_optimum < 100
    assert grades["one-sided"].percent_of_optimum < 90
    assert "lean" in capsys.readouterr().out
