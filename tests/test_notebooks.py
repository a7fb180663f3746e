"""The notebooks run from a clean kernel, and what they show is what they print.

To write their outputs anew: jupyter execute --inplace --NotebookClient.record_timing=False notebooks/*.ipynb
"""

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from evaluate.notebook import compact_png
from evaluate.style import BLUE, GREEN, ORANGE, PURPLE, RED, SKY, new_figure, rendered

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST_FILE = 150_000  # bytes
NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?")


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: Any) -> str:
    """The text that a cell shows: what it prints, and its tables."""
    return "".join(out.get("text") or out.get("data", {}).get("text/markdown", "") for out in cell.outputs)


def pictures(cell: Any) -> list[str]:
    return [out.data["image/png"] for out in cell.outputs if "image/png" in out.get("data", {})]


def test_there_are_three() -> None:
    assert {path.stem for path in NOTEBOOKS} == {"quick_start", "how_good_is_the_famous_formula", "bring_your_own"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_what_it_is_committed_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers agree to the last digit shown, but one unit of it where libraries round differently."""
    found = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *([found] if found else [])]))
    committed, notebook = read(path), read(path)
    for cell in code_cells(notebook):
        cell.outputs = []
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(ROOT))
    for before, now in zip(code_cells(committed), code_cells(notebook), strict=True):
        assert len(pictures(before)) == len(pictures(now))
        if "varies" not in before.metadata.get("tags", []):
            old, new = shown(before), shown(now)
            assert NUMBER.split(old) == NUMBER.split(new)
            for was, found_now in zip(NUMBER.findall(old), NUMBER.findall(new), strict=True):
                unit = 10.0 ** -len(was.partition(".")[2]) if "." in was else 0.0
                assert abs(float(was) - float(found_now)) <= 1.001 * unit, (was, found_now)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_small_run_in_order_and_free_of_this_machine(path: Path) -> None:
    notebook = read(path)
    assert path.stat().st_size < LARGEST_FILE
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert not [out for cell in code_cells(notebook) for out in cell.outputs if out.get("name") == "stderr"]
    assert sum(len(pictures(cell)) for cell in code_cells(notebook)) >= 1
    for picture in (picture for cell in code_cells(notebook) for picture in pictures(cell)):
        Image.open(io.BytesIO(base64.b64decode(picture))).verify()
    for cell in code_cells(notebook):
        for out in cell.outputs:
            out.get("data", {}).pop("image/png", None)
    assert not re.search(r"/(home|root|tmp|work|Users)/|[A-Z]:\\\\|0x[0-9a-f]{8}", nbformat.writes(notebook))
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


def test_compact_pictures_keep_every_colour() -> None:
    """Shades of grey must not crowd the colours of thin lines out of the palette: 24 of 256 is hardly seen."""
    figure = new_figure(8.0, 4.0)
    axes = figure.subplots()
    axes.imshow(np.linspace(0, 1, 400)[None] ** 2, cmap="gray", extent=(0, 1, 0, 1), aspect="auto")
    for i, colour in enumerate((ORANGE, SKY, GREEN, BLUE, RED, PURPLE)):
        axes.plot([0, 1], [0.1 * i, 0.1 * i + 0.3], color=colour, linestyle=":", linewidth=1)
    small, size = compact_png(figure)
    before, after = (
        np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=int) for png in (rendered(figure, "png"), small)
    )
    assert np.abs(before - after).max() <= 24
    assert size == {"width": 720, "height": 360}
