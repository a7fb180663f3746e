"""The promised names, the direction of imports, and what importing costs."""

import ast
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

import agents
import mmenv

ROOT = Path(__file__).parent.parent
PACKAGES = ("mmenv", "agents", "train", "evaluate")
ALLOWED = {"mmenv": {"mmenv"}, "agents": {"mmenv", "agents"}}
ALLOWED |= {name: {"mmenv", "agents", name} for name in ("train", "evaluate")}
HEAVY = {"torch", "stable_baselines3", "safetensors", "tensorboard"}
HEAVY_HOMES = {"mmenv/envs/sb3.py"}


def imported(path):
    """Top-level packages that a module imports, anywhere in it outside `if TYPE_CHECKING`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        ours = set(imported(path)) & set(PACKAGES)
        assert ours <= ALLOWED[package], f"{path} imports {ours - ALLOWED[package]}"


@pytest.mark.parametrize("package", ["mmenv", "agents", "evaluate"])
def test_torch_and_sb3_only_where_they_are_needed(package):
    for path in (ROOT / package).rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        if name not in HEAVY_HOMES:
            heavy = set(imported(path)) & (HEAVY - {"safetensors"})
            assert not heavy, f"{name} imports {heavy}"


# What only an extra brings, and the only files that may ask for it.
EXTRAS = {
    "envs/render.py": {"matplotlib"},
    "data/plots.py": {"matplotlib"},
    "data/readers.py": {"polars"},
    "data/sources.py": {"tqdm"},
}


def test_mmenv_needs_numpy_scipy_and_gymnasium_only():
    for path in (ROOT / "mmenv").rglob("*.py"):
        if path.name == "sb3.py":
            continue
        foreign = set(imported(path)) - set(sys.stdlib_module_names) - {"mmenv", "numpy", "scipy", "gymnasium"}
        assert foreign <= EXTRAS.get(path.relative_to(ROOT / "mmenv").as_posix(), set()), f"{path} imports {foreign}"


def test_importing_is_light():
    code = "import sys, json, mmenv, agents; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert not {"torch", "stable_baselines3", "matplotlib", "tensorboard", "pandas", "polars"} & set(loaded)


WITHOUT_TRAIN_EXTRA = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "stable_baselines3"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import agents, mmenv
from mmenv.envs import *
trained = agents.load("AvellanedaStoikov-v0")
assert mmenv.grade(trained.problem, trained).skill > 0.9
MarketMakingEnv().reset(seed=0), MarketMakingVectorEnv(2).reset(seed=0)
try:
    mmenv.envs.MarketMakingVecEnv
except ModuleNotFoundError as error:
    print(error)
import train.__main__
sys.exit(train.__main__.main([]))
"""


def test_without_sb3_and_torch_all_but_training_works_and_the_extra_is_named():
    found = subprocess.run([sys.executable, "-c", WITHOUT_TRAIN_EXTRA], capture_output=True, text=True, cwd=ROOT)
    for printed in (found.stdout, found.stderr):
        assert printed.count("\n") == 1, printed
        assert "pip install 'mmenv[train]'" in printed
    assert found.returncode == 2


def test_promised_names():
    for name in [
        "Market",
        "ExponentialPenalty",
        "QuadraticPenalty",
        "RiskNeutral",
        "ExponentialUtility",
        "Tape",
        "QuoteTable",
        "solve",
        "evaluate_exactly",
        "simulate",
        "grade",
    ]:
        assert hasattr(mmenv, name), name
    for name in ("MarketMakingEnv", "MarketMakingVectorEnv", "MarketMakingVecEnv"):
        assert hasattr(mmenv.envs, name), name
    for name in [
        "AvellanedaStoikov",
        "GueantLehalleFernandezTapia",
        "Symmetric",
        "FixedSpread",
        "LinearSkew",
        "Optimal",
        "load",
    ]:
        assert hasattr(agents, name), name


def test_who_owns_the_four_names():
    owners = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        if package not in owners:
            pytest.skip("the project runs from its checkout and is not installed")
        assert set(owners[package]) == {"mmenv"}, f"{package} is also installed by {owners[package]}"
