"""Execute the notebooks anew from their scripts, and write the pairs.

    python notebooks/execute.py [NAME ...]

``scripts/NAME.py`` is what people edit; ``NAME.ipynb`` is the same cells with their outputs. What differs from run to run is
left out: cell ids are the cells' numbers, and times, progress bars and the state of widgets are not kept.

GitHub does not draw plotly's figures, so each gets a PNG beside it, drawn by kaleido (which needs a Chrome or Chromium). The notebooks
are kept small: the PNGs have few colours, no picture is kept twice, and the JSON is not indented.
"""

from __future__ import annotations

import argparse
import base64
import io
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
import nbformat
import plotly.graph_objects as go
import plotly.io as pio
from nbclient import NotebookClient
from PIL import Image

from stcg_nb.notebooks.widget_state import drop_widgets

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"
PLOTLY = "application/vnd.plotly.v1+json"
BRIGHTNESS = [round(round(value / 12.75) * 12.75) for value in range(256)]  # 21 levels, with black and white
TINT = [128 + 12 * round((value - 128) / 12) for value in range(256)]  # 21 levels around grey, which stays grey


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
    add_pictures(book)
    drop_copies(book)
    target = HERE / f"{script.stem}.ipynb"
    write(book, target)
    return target


def add_pictures(book: nbformat.NotebookNode) -> None:
    """Put a PNG of its own size beside each of plotly's figures."""
    bundles = [o.data for cell in book.cells for o in cell.get("outputs", ()) if PLOTLY in o.get("data", {})]
    figures = [go.Figure(bundle[PLOTLY]["data"], bundle[PLOTLY]["layout"]) for bundle in bundles]
    with TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}.png" for i in range(len(figures))]
        widths, heights = [f.layout.width for f in figures], [f.layout.height for f in figures]
        pio.write_images(figures, files, width=widths, height=heights, scale=1)  # one browser draws them all
        for bundle, file in zip(bundles, files, strict=True):
            bundle["image/png"] = base64.b64encode(few_colours(file)).decode()


def few_colours(file: Path) -> bytes:
    """The picture as a PNG with a palette.

    Brightness and tint are rounded first. A palette fitted to the pixels alone spends its colours on the background and changes those
    of thin links.
    """
    levels = Image.open(file).convert("RGB").convert("YCbCr").point(BRIGHTNESS + TINT + TINT)
    out = io.BytesIO()
    levels.convert("RGB").quantize(256).save(out, "PNG", optimize=True)
    return out.getvalue()


def drop_copies(book: nbformat.NotebookNode) -> None:
    """Pillow shows a picture as PNG and as JPEG; of a grainy one the JPEG is a tenth as large, so keep that."""
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            if "image/jpeg" in output.get("data", {}):
                output.data.pop("image/png", None)


def write(book: nbformat.NotebookNode, target: Path) -> None:
    """Write a notebook without indentation, which would be a fifth of it: each number of a figure has its own line."""
    target.write_text(re.sub(r"\n +", "\n", nbformat.writes(book)) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as 01_stcg (default: all)")
    names = parser.parse_args().names or sorted(path.stem for path in SCRIPTS.glob("*.py"))
    for name in names:
        print(execute(SCRIPTS / f"{name}.py"))


if __name__ == "__main__":
    main()
