"""Execute the notebooks anew from their scripts, and write the pairs.

    python notebooks/execute.py [NAME ...]

``scripts/NAME.py`` is what people edit; ``NAME.ipynb`` is the same cells with their outputs. What differs from run to run is
left out: cell ids are the cells' numbers, and times, progress bars and the state of widgets are not kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from stcg_nb.notebooks.widget_state import drop_widgets

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"


def execute(script: Path) -> Path:
    """Run a script's cells as a notebook and write the notebook."""
    book = jupytext.read(script)
    for number, cell in enumerate(book.cells):
        cell["id"] = f"cell-{number:02d}"
    client = NotebookClient(
        book, timeout=1200, kernel_name="python3", record_timing=False, store_widget_state=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(HERE)}},
    )  # fmt: skip
    client.execute()
    drop_widgets(book)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    book.metadata["language_info"] = {"name": "python", "file_extension": ".py"}
    target = HERE / f"{script.stem}.ipynb"
    nbformat.write(book, target)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as 01_stcg (default: all)")
    names = parser.parse_args().names or sorted(path.stem for path in SCRIPTS.glob("*.py"))
    for name in names:
        print(execute(SCRIPTS / f"{name}.py"))


if __name__ == "__main__":
    main()
