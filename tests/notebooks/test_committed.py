"""The committed notebooks: pairs that agree, executed, small, without widget state, with parameters that papermill reads."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
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
            assert "application/vnd.plotly.v1+json" in kinds, cell.source
        if "print(" in cell.source and "nbval-ignore-output" not in cell.metadata.get("tags", ()):
            assert any(output.get("name") == "stdout" for output in cell.outputs) or "if " in cell.source, cell.source


def test_its_figures_offer_no_upload(book: nbformat.NotebookNode):
    plots = [
        output.data["application/vnd.plotly.v1+json"]
        for cell in book.cells
        for output in cell.get("outputs", [])
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert plots
    assert all(plot["config"]["showSendToCloud"] is False for plot in plots)


def test_it_is_small_and_holds_no_widget_state_or_times(name: str, book: nbformat.NotebookNode):
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 500_000
    assert "widgets" not in book.metadata
    assert all("execution" not in cell.metadata for cell in book.cells)


def test_papermill_reads_its_parameters_with_types_and_help(name: str):
    parameters = papermill.inspect_notebook(str(FOLDER / f"{name}.ipynb"))
    assert {"model", "seed", "run_dir"} <= set(parameters)
    assert all(p["inferred_type_name"] not in ("None", "") and p["help"] for p in parameters.values())
    assert parameters["run_dir"]["default"] == "None"
