"""Make the table of docs/families.md from small models of every family, loaded and checked.

    python docs/families_table.py

A test compares each row with what loading the small model says.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # the small models of the tests

from small_vlms import SMALL, save_small_vlm, table_row

from stcg_nb.models import load_model

PAGE = Path(__file__).with_name("families.md")
START, END = "<!-- families: made by docs/families_table.py -->", "<!-- end of families -->"
HEAD = [
    "| model type | class | what it is offered | rows share | image tokens are where … says |",
    "|---|---|---|---|---|",
]


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in SMALL:
            model = load_model(str(save_small_vlm(Path(folder) / kind, kind)))
            rows.append(table_row(kind, model))
    page = PAGE.read_text(encoding="utf-8")
    before, after = page[: page.index(START)], page[page.index(END) + len(END) :]
    PAGE.write_text(before + "\n".join([START, *HEAD, *rows, END]) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
