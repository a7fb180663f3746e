"""The README's code runs, prints what it says, and its commands exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_code_runs_and_prints_the_number_it_states(capsys):
    scope: dict = {}
    for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL):
        exec(compile(block, "README.md", "exec"), scope)
    printed = capsys.readouterr().out
    (stated,) = re.findall(r'best\.optimum:\.4f\}"\)  # ([\d.]+)', README)
    assert stated in printed.split()
    assert printed.count("% of the optimum") == README.count("print(mmenv.grade(") == 3


def test_every_command_exists():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"^make (\w+)", README, flags=re.MULTILINE)) <= targets
    for package in set(re.findall(r"python -m (\w+)", README)) - {"venv", "pip", "pytest"}:
        assert (ROOT / package / "__main__.py").exists(), package


def test_every_link_and_picture_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
