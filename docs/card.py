"""Take what `stcg card` measured into the documents: docs/card.json, its figure, and the table of README.md.

    python docs/card.py card.json

Nothing in them is typed by hand, and a test compares README.md with docs/card.json. A Chrome or Chromium must be installed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stcg_nb.viz.card import LOOKS, card_figure

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
START, END = "<!-- card: made by docs/card.py -->", "<!-- end of card -->"


def section(card: Mapping[str, Any]) -> str:
    """The part of README.md between the two marks."""
    rows = ["| measure | value | 95 % interval | n |", "|---|---|---|---|"]
    for key, entry in card["measures"].items():
        look = LOOKS.get(entry["role"])
        label = entry["label"] if look is None else f"{entry['label']} ({look.name})"
        span = f"{entry['low']:.3f} to {entry['high']:.3f}"
        rows.append(f"| `{key}`: {label} | {entry['value']:.3f} | {span} | {entry['n']} |")
    made = (
        f"Model `{card['model']}`, weights {str(card['model_revision'])[:12]}, fresh scenes of seed {card['seed']}, "
        f"{card['masks']} masks, {card['n']} questions; intervals clustered by image."
    )
    return f"{START}\n" + "\n".join(rows) + f"\n\n{made}\n{END}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("card", type=Path, help="what `stcg card --json` wrote")
    card = json.loads(parser.parse_args().card.read_text(encoding="utf-8"))
    del card["questions"]
    (HERE / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    card_figure(card).write_image(HERE / "card.png", scale=1.2)
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(START)
    README.write_text(before + section(card) + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
