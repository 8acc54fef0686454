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
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill

from stcg_nb.errors import InputError, StcgError

PACKAGES = ("stcg-nb", "torch", "transformers", "numpy", "opencv-python-headless", "plotly", "xarray", "papermill")


class RunError(StcgError, RuntimeError):
    """A notebook that stopped with an error; its folder is kept."""


def run_notebook(
    notebook: str | PathLike[str], parameters: Mapping[str, Any], out: str | PathLike[str] | None = None
) -> Path:
    """Execute a notebook with parameters.

    The folder holds the executed notebook, ``parameters.json``, ``environment.json`` and ``status.json`` (``done`` or ``failed`` and
    the error). A notebook with a parameter ``run_dir`` writes its results there.

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
    folder = Path(out) if out is not None else Path("runs") / f"{source.stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    prepare_folder(folder)
    try:
        book = jupytext.read(source)
    except (ValueError, KeyError, nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        folder.rmdir()
        raise InputError(f"{str(source)!r} cannot be read as a notebook ({error}).") from None
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with tempfile.TemporaryDirectory() as temporary:
        readable = Path(temporary) / f"{source.stem}.ipynb"
        nbformat.write(book, readable)
        known = papermill.inspect_notebook(str(readable))
        unknown = sorted(set(parameters) - set(known))
        if unknown:
            folder.rmdir()
            valid = ", ".join(sorted(known)) or "none: it has no cell tagged 'parameters'"
            raise InputError(f"{source.name} has no parameter {unknown[0]!r}; valid are {valid}.")
        values = dict(parameters)
        if "run_dir" in known:
            values.setdefault("run_dir", str(folder.resolve()))
        _write(folder / "parameters.json", values)
        _write(folder / "environment.json", environment())
        executed = folder / f"{source.stem}.ipynb"
        failure: papermill.PapermillExecutionError | None = None
        try:
            papermill.execute_notebook(
                str(readable),
                str(executed),
                parameters=values,
                cwd=str(source.parent),
                progress_bar=False,
                kernel_name="python3",
            )
        except papermill.PapermillExecutionError as error:
            failure = error
    strip_widgets(executed)
    if failure is not None:
        _write(
            folder / "status.json",
            {"status": "failed", "error": f"{failure.ename}: {failure.evalue}", "cell": failure.cell_index},
        )
        raise RunError(f"{source.name} stopped with {failure.ename}: {failure.evalue} (see {executed}).")
    _write(folder / "status.json", {"status": "done"})
    return folder


def prepare_folder(folder: Path) -> None:
    """Make a results folder, or take an empty one.

    Raises:
        InputError: If it holds files, is a file, or cannot be made or written.
    """
    if folder.is_file():
        raise InputError(f"{str(folder)!r} is a file; name a folder for the results.")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"The folder {str(folder)!r} holds files already; name a new one, or empty it.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"The folder {str(folder)!r} cannot be written ({error.strerror}); choose one that is yours."
        ) from None


def strip_widgets(path: Path) -> None:
    """Take widget state out of an executed notebook, in place."""
    book = nbformat.read(path, as_version=4)
    if book.metadata.pop("widgets", None) is not None:
        nbformat.write(book, path)


def environment() -> dict[str, str]:
    """Versions that a result depends on."""
    found = {name: version(name) for name in PACKAGES if _installed(name)}
    return {"python": platform.python_version(), "platform": platform.platform(), **found}


def _installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError

    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
