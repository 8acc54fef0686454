"""Draw the picture of README.md: the graph of the demo picture, by the embedded model.

    python docs/pictures.py

A Chrome or Chromium must be installed; kaleido finds it.
"""

from __future__ import annotations

from pathlib import Path

from stcg_nb import demo, explain
from stcg_nb.figures import graph_figure

TARGET = Path(__file__).parent / "graph.png"


def main() -> None:
    image, question = demo()
    graph_figure(explain(image, question, "tiny")).write_image(TARGET, scale=1.5)
    print(TARGET)


if __name__ == "__main__":
    main()
