"""Run a notebook through papermill into a run folder that says what was run, with what, and how it ended.

papermill only warns of a parameter that a notebook does not have; here that is an error, before anything runs. Widget
state, which can be megabytes, is taken out of the executed notebook.
"""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill

from stcg_nb.errors import InputError, StcgError
from stcg_nb.files import prepare_folder
from stcg_nb.notebooks.widget_state import strip_widgets

PACKAGES = ("stcg-nb", "torch", "transformers", "numpy", "opencv-python-headless", "plotly", "xarray", "papermill")


class RunError(StcgError, RuntimeError):
    """A notebook that stopped with an error; its folder is kept."""


def run_notebook(
    notebook: str | PathLike[str], parameters: Mapping[str, Any], out: str | PathLike[str] | None = None
) -> Path:
    """Execute a notebook with parameters.

    The folder holds the executed notebook, ``parameters.json``, ``environment.json`` and ``status.json``: ``running``,
    ``done``, or ``failed`` with the error and the number of the cell. A notebook with a parameter
    ``run_dir`` writes its results there.

    Args:
        notebook: ``.ipynb``, or its paired ``.py``.
        parameters: Values for names in its cell tagged ``parameters``.
        out: The run folder; it must be new or empty. By default ``runs/NAME-TIME``.

    Returns:
        The run folder.

    Raises:
        InputError: For a missing notebook, an unknown parameter, or a folder that holds files or cannot be written.
        RunError: If the notebook itself fails.
    """
    source = Path(notebook)
    if not source.is_file() or source.suffix not in (".ipynb", ".py"):
        raise InputError(f"{str(source)!r} is no notebook; give an existing .ipynb or a paired .py.")
    book = _read(source)
    folder = Path(out) if out is not None else Path("runs") / f"{source.stem}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    executed = folder / f"{source.stem}.ipynb"
    with tempfile.TemporaryDirectory() as temporary:
        readable = Path(temporary) / "notebook.ipynb"
        nbformat.write(book, readable)
        values = _parameters(source.name, papermill.inspect_notebook(str(readable)), parameters, folder)
        _begin(folder, values)
        try:
            _execute(readable, executed, values, source.parent)
        except BaseException as error:
            reason, cell, end = _failure(error, book, executed, injected=bool(values))
            _write(folder / "status.json", {"status": "failed", "error": reason, "cell": cell})
            if not isinstance(error, Exception):  # someone stopped the run
                raise
            cause = None if isinstance(error, papermill.PapermillExecutionError) else error
            raise RunError(f"{source.name} stopped {end}") from cause
    strip_widgets(executed)
    _write(folder / "status.json", {"status": "done"})
    return folder


def _parameters(name: str, known: Mapping[str, Any], parameters: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The values to run with; raises `InputError` for a parameter that the notebook does not have."""
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        valid = ", ".join(sorted(known)) or "none: it has no cell tagged 'parameters'"
        raise InputError(f"{name} has no parameter {unknown[0]!r}; valid are {valid}.")
    values = dict(parameters)
    if "run_dir" in known:
        values.setdefault("run_dir", str(folder.resolve()))
    return values


def _begin(folder: Path, values: Mapping[str, Any]) -> None:
    """Make the run folder, with what is known before the run."""
    content = _json(values)
    prepare_folder(folder)
    (folder / "parameters.json").write_text(content, encoding="utf-8")
    _write(folder / "environment.json", environment())
    _write(folder / "status.json", {"status": "running"})


def _execute(readable: Path, executed: Path, values: Mapping[str, Any], place: Path) -> None:
    papermill.execute_notebook(
        str(readable),
        str(executed).replace("{", "{{").replace("}", "}}"),  # papermill fills in parameters between braces
        parameters=dict(values),
        cwd=str(place),
        progress_bar=False,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # the kernel warns that loopback TCP is not encrypted
    )


def _failure(
    error: BaseException, book: nbformat.NotebookNode, executed: Path, injected: bool
) -> tuple[str, int | None, str]:
    """Why a notebook stopped, the number of the cell from 1 on (None if it is not known), and the end of the error's sentence."""
    if isinstance(error, papermill.PapermillExecutionError):
        strip_widgets(executed)
        reason, cell = f"{error.ename}: {error.evalue}", _cell_number(book, error.cell_index, injected)
        where = f"cell {cell}, {_first_line(error.source)!r}," if cell else "the cell of the given parameters"
        return reason, cell, f"in {where} with {_first_line(reason)} (see {executed})."
    # The kernel died, there is none, or someone stopped the run.
    reason, index = f"{type(error).__name__}: {error}", _running(executed)
    cell = None if index is None else _cell_number(book, index, injected)
    return reason, cell, f"{f'in cell {cell} ' if cell else ''}with {_first_line(reason)} (see {executed.parent})."


def _read(source: Path) -> nbformat.NotebookNode:
    try:
        book = jupytext.read(source)
        nbformat.validate(book)
    except Exception as error:  # on a damaged file jupytext and nbformat raise errors of many types
        reason = _first_line(f"{type(error).__name__}: {error}")
        raise InputError(
            f"{str(source)!r} cannot be read as a notebook ({reason}); open and save it in Jupyter."
        ) from error
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return book


def _running(executed: Path) -> int | None:
    """The index of the cell that began and never ended; None if there is no notebook or no such cell."""
    if not executed.is_file():
        return None
    times = [cell.metadata.get("execution") for cell in nbformat.read(executed, as_version=4).cells]
    return next((i for i, t in enumerate(times) if t is not None and "shell.execute_reply" not in t), None)


def _cell_number(book: nbformat.NotebookNode, index: int, injected: bool) -> int | None:
    """The number, from 1 on, in a notebook of the cell at an index of its executed copy; None for papermill's own cell.

    papermill puts the parameters in a cell of their own, in place of an earlier such cell, else after the one that is tagged
    ``parameters``.
    """
    tags = [cell.metadata.get("tags", []) for cell in book.cells]
    if not injected or any("injected-parameters" in t for t in tags):
        return index + 1
    own = next((i + 1 for i, t in enumerate(tags) if "parameters" in t), 0)
    return None if index == own else index + 1 if index < own else index


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def environment() -> dict[str, str]:
    """Versions that a result depends on."""
    found = {name: version(name) for name in PACKAGES if _installed(name)}
    return {"python": platform.python_version(), "platform": platform.platform(), **found}


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _json(content: Mapping[str, Any]) -> str:
    try:
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise InputError(
            f"A parameter is none that JSON can hold ({error}); valid are text, finite numbers, true, false, null, lists and objects."
        ) from None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(_json(content), encoding="utf-8")
