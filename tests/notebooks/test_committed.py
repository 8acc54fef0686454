"""The committed notebooks: pairs that agree, executed, small, without widget state, with parameters that papermill reads."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import papermill
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "notebooks"
PLOTLY = "application/vnd.plotly.v1+json"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def book(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def cells(book: nbformat.NotebookNode) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(c.cell_type, c.source, tuple(c.metadata.get("tags", ()))) for c in book.cells]


def test_every_notebook_has_its_script_and_the_other_way_round():
    assert NAMES
    assert sorted(path.stem for path in (FOLDER / "scripts").glob("*.py")) == NAMES


def test_a_pair_agrees_cell_by_cell(name: str, book: nbformat.NotebookNode):
    assert cells(jupytext.read(FOLDER / "scripts" / f"{name}.py")) == cells(book)


def test_it_is_valid_and_was_executed_from_top_to_bottom(book: nbformat.NotebookNode):
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]


def test_its_figures_and_printed_text_are_kept(book: nbformat.NotebookNode):
    """Otherwise a comparison with what a run gives would compare nothing."""
    for cell in book.cells:
        if cell.cell_type != "code":
            continue
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        assert "application/vnd.jupyter.widget-view+json" not in kinds
        if ".show(" in cell.source:
            assert PLOTLY in kinds, cell.source
        if "print(" in cell.source and "nbval-ignore-output" not in cell.metadata.get("tags", ()):
            assert any(output.get("name") == "stdout" for output in cell.outputs), cell.source


def figures(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The output bundles that hold a figure."""
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    found = [output.data for output in outputs if PLOTLY in output.get("data", {})]
    assert found
    return found


def test_its_figures_offer_no_upload(book: nbformat.NotebookNode):
    assert all(bundle[PLOTLY]["config"]["showSendToCloud"] is False for bundle in figures(book))


def test_each_figure_has_a_picture_for_viewers_that_do_not_draw_plotly(book: nbformat.NotebookNode):
    """GitHub is one. The picture has the figure's size, its title and more, in ink and in colour."""
    for bundle in figures(book):
        picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"], validate=True)))
        assert picture.format == "PNG"
        assert picture.size == (bundle[PLOTLY]["layout"]["width"], bundle[PLOTLY]["layout"]["height"])
        pixels = np.asarray(picture.convert("RGB")).astype(int)
        assert 0.005 < (pixels.min(2) < 200).mean() < 0.9
        halves = np.array_split(pixels.min(2), 2)
        assert all((half < 100).sum() > 20 for half in halves)
        assert (np.ptp(pixels, axis=2) > 60).sum() > 200


def test_it_is_small_and_holds_no_widget_state_or_times(name: str, book: nbformat.NotebookNode):
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 500_000
    assert "widgets" not in book.metadata
    assert all("execution" not in cell.metadata for cell in book.cells)


def test_papermill_reads_its_parameters_with_types_and_help(name: str):
    parameters = papermill.inspect_notebook(str(FOLDER / f"{name}.ipynb"))
    assert {"model", "seed", "run_dir"} <= set(parameters)
    assert all(p["inferred_type_name"] not in ("None", "") and p["help"] for p in parameters.values())
    assert parameters["run_dir"]["default"] == "None"
