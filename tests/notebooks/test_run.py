"""Notebooks run with parameters: what the run folder holds, what is refused, and what is said of a notebook that fails."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from stcg_nb.cli import main
from stcg_nb.errors import InputError
from stcg_nb.files import prepare_folder, results_folder
from stcg_nb.notebooks import run as runs
from stcg_nb.notebooks.run import RunError, environment, run_notebook
from stcg_nb.notebooks.widget_state import strip_widgets

PARAMETERS = 'name: str = "tiny"\ncount = 3\nrun_dir = None\nmode = "fine"'
LAST = """
from pathlib import Path
if mode == "fail":
    1 / 0
print(name * count)
if run_dir:
    (Path(run_dir) / "result.txt").write_text(Path("beside.txt").read_text())
"""


@pytest.fixture
def notebook(tmp_path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "beside.txt").write_text("from beside the notebook")
    book = new_notebook(
        cells=[
            new_markdown_cell("# A title"),
            new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
            new_markdown_cell("Text"),
            new_code_cell(LAST),
        ],
        metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {"state": "x" * 100_000}}},
    )
    path = tmp_path / "work" / "small.ipynb"
    nbformat.write(book, path)
    return path


def status(folder: Path) -> dict:
    return json.loads((folder / "status.json").read_text(encoding="utf-8"))


def printed(path: Path) -> str:
    return "".join(o.get("text", "") for c in nbformat.read(path, 4).cells for o in c.get("outputs", []))


def test_a_run_through_the_command_line(notebook, tmp_path, capsys):
    before = notebook.read_bytes()
    out = tmp_path / "some {folder}" / "run"  # papermill would fill in what stands in braces
    assert main(["run", str(notebook), "-p", "name", "is it: #1? ", "-p", "count", "2", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert notebook.read_bytes() == before
    assert sorted(p.name for p in out.iterdir()) == [
        "environment.json", "parameters.json", "result.txt", "small.ipynb", "status.json",
    ]  # fmt: skip
    assert json.loads((out / "parameters.json").read_text()) == {"name": "is it: #1? ", "count": 2, "run_dir": str(out)}
    assert status(out) == {"status": "done"}
    assert (out / "result.txt").read_text() == "from beside the notebook"
    assert printed(out / "small.ipynb").strip() == "is it: #1? is it: #1?"
    executed = nbformat.read(out / "small.ipynb", 4)
    nbformat.validate(executed)
    assert "widgets" not in executed.metadata
    assert (out / "small.ipynb").stat().st_size < 20_000
    versions = json.loads((out / "environment.json").read_text())
    assert versions == environment() and re.match(r"\d+\.\d+", versions["torch"])


def test_a_paired_script_runs_too_and_the_folder_has_a_default(notebook, tmp_path, monkeypatch):
    import jupytext

    script = notebook.with_suffix(".py")
    jupytext.write(jupytext.read(notebook), script, fmt="py:percent")
    monkeypatch.chdir(tmp_path)
    folder = run_notebook(script, {"count": 1})
    assert re.fullmatch(r"runs/small-\d{8}-\d{6}-\d{6}", folder.as_posix())
    assert printed(folder / "small.ipynb").strip() == "tiny"
    assert (folder / "result.txt").exists()


def test_a_failing_notebook_names_itself_and_the_cell(notebook, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["run", str(notebook), "-p", "mode", "fail", "--out", str(out)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "stcg: small.ipynb stopped in cell 4, 'from pathlib import Path', with ZeroDivisionError: division by zero "
        f"(see {out / 'small.ipynb'})."
    )
    assert status(out) == {"status": "failed", "error": "ZeroDivisionError: division by zero", "cell": 4}
    executed = nbformat.read(out / "small.ipynb", 4)
    assert "widgets" not in executed.metadata
    assert any(o.output_type == "error" for c in executed.cells for o in c.get("outputs", []))
    assert json.loads((out / "parameters.json").read_text())["mode"] == "fail"


def test_an_error_of_several_lines_is_one_line():
    assert runs._first_line("\n  ValueError: first line\nsecond line") == "ValueError: first line"
    assert runs._first_line("") == ""


def book_of(*cells: tuple[str, str]) -> nbformat.NotebookNode:
    return new_notebook(cells=[new_code_cell(source, metadata={"tags": [tag] if tag else []}) for source, tag in cells])


@pytest.mark.parametrize(
    ("tags", "injected", "numbers"),
    [
        (["", "parameters", ""], True, [1, 2, None, 3]),
        (["", "parameters", ""], False, [1, 2, 3]),
        (["", ""], True, [None, 1, 2]),
        (["parameters", "injected-parameters", ""], True, [1, 2, 3]),
    ],
)
def test_cells_are_counted_as_in_the_notebook_itself(tags, injected, numbers):
    """Against papermill: a notebook whose cell at each place in turn is the one that counts."""
    from papermill.parameterize import parameterize_notebook

    book = book_of(*((f"x{i} = {i}", tag) for i, tag in enumerate(tags)))
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book.metadata["papermill"] = {}
    run = parameterize_notebook(nbformat.from_dict(book), {"x0": 9}) if injected else book
    assert len(run.cells) == len(numbers)
    assert [runs._cell_number(book_of(*((c.source, t) for c, t in zip(book.cells, tags, strict=True))), i, injected)
            for i in range(len(run.cells))] == numbers  # fmt: skip
    for cell, number in zip(run.cells, numbers, strict=True):
        if number is not None and "injected-parameters" not in cell.metadata.get("tags", []):
            assert (
                cell.source == book_of(*((f"x{i} = {i}", tag) for i, tag in enumerate(tags))).cells[number - 1].source
            )


@pytest.mark.parametrize(
    ("error", "part"),
    [(RuntimeError("Kernel died"), "RuntimeError: Kernel died"), (KeyError("no such kernel"), "no such kernel")],
)
def test_a_run_that_breaks_off_without_a_cell(notebook, tmp_path, monkeypatch, error, part):
    def fail(*_, **__):
        assert status(tmp_path / "run") == {"status": "running"}
        raise error

    monkeypatch.setattr(runs.papermill, "execute_notebook", fail)
    with pytest.raises(RunError, match=rf"small\.ipynb stopped with .*{part}"):
        run_notebook(notebook, {}, tmp_path / "run")
    assert status(tmp_path / "run")["status"] == "failed"
    assert part in status(tmp_path / "run")["error"]


def test_a_run_that_is_stopped(notebook, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs.papermill, "execute_notebook", stop)
    assert main(["run", str(notebook), "--out", str(tmp_path / "run")]) == 130
    assert status(tmp_path / "run") == {"status": "failed", "error": "KeyboardInterrupt: ", "cell": None}


@pytest.fixture
def no_run(monkeypatch):
    monkeypatch.setattr(runs.papermill, "execute_notebook", lambda *_, **__: pytest.fail("the notebook was run"))


@pytest.mark.parametrize("existed", [False, True])
def test_an_unknown_parameter_is_refused_before_anything_runs(notebook, tmp_path, no_run, existed):
    out = tmp_path / "new" / "run"
    if existed:
        out.mkdir(parents=True)
    with pytest.raises(
        InputError, match=r"small\.ipynb has no parameter 'nmae'; valid are count, mode, name, run_dir\."
    ):
        run_notebook(notebook, {"nmae": "x", "count": 2}, out)
    assert out.exists() == existed
    assert (tmp_path / "new").exists() == existed


def test_a_notebook_without_parameters_takes_none(tmp_path, no_run):
    nbformat.write(book_of(("1", "")), tmp_path / "bare.ipynb")
    with pytest.raises(InputError, match="none: it has no cell tagged 'parameters'"):
        run_notebook(tmp_path / "bare.ipynb", {"a": 1}, tmp_path / "run")


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object(), Path()])
def test_a_parameter_that_json_cannot_hold(notebook, tmp_path, no_run, value):
    with pytest.raises(InputError, match="JSON"):
        run_notebook(notebook, {"name": value}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"[]", b"{}", b'{"cells": 3, "nbformat": 4, "nbformat_minor": 5}', b"\xff\xfe\x00"]
)
def test_a_file_that_is_no_notebook(tmp_path, no_run, content):
    (tmp_path / "a.ipynb").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.ipynb' cannot be read as a notebook") as caught:
        run_notebook(tmp_path / "a.ipynb", {}, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a.ipynb"]


@pytest.mark.parametrize("name", ["missing.ipynb", ".", "a.txt"])
def test_a_path_that_is_no_notebook(tmp_path, no_run, name):
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(InputError, match="is no notebook; give an existing"):
        run_notebook(tmp_path / name, {}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_used_is_left_alone(notebook, tmp_path, no_run):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "kept.txt").write_text("kept")
    with pytest.raises(InputError, match="holds files already"):
        run_notebook(notebook, {}, tmp_path / "run")
    with pytest.raises(InputError, match="is a file"):
        run_notebook(notebook, {}, tmp_path / "run" / "kept.txt")
    assert (tmp_path / "run" / "kept.txt").read_text() == "kept"


def test_folders_that_were_made(tmp_path):
    assert prepare_folder(tmp_path / "a" / "b") == [tmp_path / "a" / "b", tmp_path / "a"]
    assert prepare_folder(tmp_path / "a" / "b") == []
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_results_folder_is_kept_or_as_before(tmp_path):
    with results_folder(tmp_path / "kept") as written:
        written.append(tmp_path / "kept" / "a.txt")
        written[0].write_text("a")
    assert [p.name for p in (tmp_path / "kept").iterdir()] == ["a.txt"]
    folder = tmp_path / "gone" / "deep"

    def fail():
        with results_folder(folder) as written:
            written.append(folder / "a.txt")
            written[0].write_text("a")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert not (tmp_path / "gone").exists()
    assert (tmp_path / "kept" / "a.txt").read_text() == "a"


def test_widget_state_alone_is_stripped(notebook, tmp_path):
    strip_widgets(notebook)
    book = nbformat.read(notebook, 4)
    assert "widgets" not in book.metadata
    assert [c.source for c in book.cells] == ["# A title", PARAMETERS, "Text", LAST]
    before = os.stat(notebook).st_mtime_ns
    strip_widgets(notebook)
    assert os.stat(notebook).st_mtime_ns == before


def test_a_kernel_that_dies_is_named_with_its_cell(tmp_path):
    cells = [new_code_cell("a = 1", metadata={"tags": ["parameters"]}), new_code_cell("import os\nos._exit(1)")]
    nbformat.write(new_notebook(cells=[*cells, new_code_cell("1")]), tmp_path / "x.ipynb")
    with pytest.raises(RunError, match=r"x.ipynb stopped in cell 2 with DeadKernelError"):
        run_notebook(tmp_path / "x.ipynb", {"a": 2}, tmp_path / "out")
    assert status(tmp_path / "out")["cell"] == 2
