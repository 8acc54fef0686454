"""Draw the pictures of README.md: the graph of the demo picture by the embedded model, and the explorer in JupyterLab.

    python docs/pictures.py

A Chrome or Chromium must be installed; kaleido finds it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from stcg_nb import demo, explain
from stcg_nb.viz import graph_figure

HERE = Path(__file__).parent
TARGET, EXPLORER = HERE / "graph.png", HERE / "explore.png"
sys.path.insert(0, str(HERE.parent / "tests"))
CELL = """\
from stcg_nb import widgets
session = widgets.start(model="tiny", top=16)
explorer = widgets.explorer(session)
explorer"""


def main() -> None:
    image, question = demo()
    graph_figure(explain(image, question, "tiny")).write_image(TARGET, scale=1.5)
    print(TARGET)
    draw_explorer()
    print(EXPLORER)


def draw_explorer() -> None:
    """The explorer as it looks in JupyterLab, with the strongest link of a word chosen."""
    from lab import run_all, running

    with tempfile.TemporaryDirectory() as folder, running(Path(folder), 1240, 1200) as lab:
        tab = lab.open(lab.write("explore.ipynb", CELL))
        run_all(tab)
        link = tab.locator(".stcg-canvas circle[data-pick^='word:']").first
        link.wait_for()
        link.click()
        tab.get_by_text("lost without it (nats)").wait_for()
        tab.mouse.move(0, 0)  # the browser outlines what the mouse is on
        tab.locator(".jp-OutputArea-output").first.screenshot(path=EXPLORER)


if __name__ == "__main__":
    main()
