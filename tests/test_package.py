"""The wheel builds, and what is in it imports outside the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_wheel_imports_outside_the_checkout(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("mmenv-*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert {path.name for path in site.iterdir() if path.is_dir() and not path.name.endswith(".dist-info")} == {
        "mmenv",
        "agents",
        "train",
        "evaluate",
    }
    assert (site / "mmenv" / "py.typed").exists()
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "import mmenv, agents, train.config, evaluate, gymnasium;"
        "assert mmenv.__file__.startswith(sys.argv[1]), mmenv.__file__;"
        "gymnasium.make('mmenv/AvellanedaStoikov-v0').reset(seed=0);"
        "from mmenv.envs.registration import IDS;"
        "assert [f'mmenv/{name}' for name in agents.shipped()] == list(IDS), agents.shipped();"
        "assert all((agents.checkpoint.locate(name) / 'README.md').exists() for name in agents.shipped())"
    )
    subprocess.run([sys.executable, "-P", "-c", code, str(site)], check=True, cwd=tmp_path)
