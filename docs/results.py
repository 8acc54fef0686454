"""Take what `stcg figures` made into the documents: docs/findings with numbers and pictures, and the table of README.md.

    python docs/results.py FOLDER

Nothing in them is typed by hand: all comes from the findings' JSON, and a test compares README.md with it.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from stcg_nb.study.figures import verdicts
from stcg_nb.study.findings import FAMILY, load_finding, p_text
from stcg_nb.study.reproduce import NOTEBOOKS
from stcg_nb.viz.figure_files import save_figure

HERE = Path(__file__).parent
TARGET = HERE / "findings"
README = HERE.parent / "README.md"
START, END = "<!-- findings: made by docs/results.py -->", "<!-- end of findings -->"
WIDTH = 660  # pixels of a picture
ENOUGH = 200  # questions

Entry = Mapping[str, Any]


def read(folder: Path) -> list[dict[str, Any]]:
    """The findings of a study. One that is not finished gives those it has, corrected as if the others took all they can."""
    kept = folder / "findings.json"
    paths = [folder / home(key) / f"{key}.json" for key in FAMILY]
    if kept.is_file():
        found = json.loads(kept.read_text(encoding="utf-8"))
    else:
        found = [load_finding(path).as_dict() for path in paths if path.is_file()]
    weights = {(f["settings"]["model"], f["settings"]["model_revision"]) for f in found}
    if len(weights) != 1 or "mock" in {model for model, _ in weights}:
        raise SystemExit(
            f"{folder} holds findings of {sorted(weights) or 'nothing'}; give a study of one model with weights."
        )
    return list(found)


def home(key: str) -> str:
    """The notebook that makes a finding."""
    return next(name for name, keys in NOTEBOOKS.items() if key in keys)


def table(findings: Sequence[Entry]) -> str:
    """The findings as a table in Markdown."""
    rows = [
        "| | claim | effect, 95 % interval | claimed | n | p, corrected | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for f in findings:
        claimed = next(f"{c['side']} {c['null']:g}" for c in f["comparisons"] if c["what"] == f["decided_by"])
        rows.append(
            f"| {f['key']} | {_cell(f['claim'])} | {_span(f)} | {claimed} | {f['n']} | {p_text(f['p_corrected'])} | "
            f"**{f['verdict']}** |"
        )
    return "\n".join(rows)


def section(findings: Sequence[Entry]) -> str:
    """The part of README.md between the two marks."""
    settings = findings[0]["settings"]
    few = min(f["n"] for f in findings) < ENOUGH
    small = (
        f" A small run, with fewer than {ENOUGH} questions in places: `make figures results` makes the real one."
        if few
        else ""
    )
    others = [f"{f['key']} {f['settings']['seed']}" for f in findings if f["settings"]["seed"] != settings["seed"]]
    seeds = f"seed {settings['seed']}" + (f" (but {', '.join(others)})" if others else "")
    return (
        f"{START}\n{table(findings)}\n\nModel `{settings['model']}`, weights {str(settings['model_revision'])[:12]}, "
        f"{seeds}; the effect is that of the comparison that decides.{small}{_still(findings)}\n{END}"
    )


def page(findings: Sequence[Entry], pictures: Mapping[str, Sequence[str]]) -> str:
    """docs/findings/README.md."""
    parts = [
        "# What the study finds\n",
        "Made by `stcg figures` and `docs/results.py` from the notebooks; no number here is typed by hand. A claim holds if all its "
        "comparisons do; p-values are corrected by Holm over all findings (`stcg_nb/findings.py`).\n",
        table(findings) + "\n",
        "![All findings](findings.png)\n",
        _still(findings).strip() + "\n",
        "Distances are in half widths of the interval of the comparison that decides.\n",
        "## The method\n\n![The method on one example](overview.png)\n\nMade by [the overview](../../notebooks/10_overview.ipynb).\n",
    ]
    for f in findings:
        notebook = home(f["key"])
        made_by = f"Made by [its notebook](../../notebooks/{notebook}.ipynb)."
        parts.append(f"## {f['key']}: {f['claim']}\n\n**{f['verdict'].capitalize()}.** {made_by}\n")
        parts.append("| comparison | mean, 95 % interval | claimed | n | p | verdict |\n|---|---|---|---|---|---|")
        for c in f["comparisons"]:
            parts.append(
                f"| {_cell(c['what'])} | {_span(c)} {c['unit']} | {c['side']} {c['null']:g} | {c['n']} | "
                f"{p_text(c['p'])} | {c['verdict']} |"
            )
        parts += ["", *(f"![{f['key']}]({name})\n" for name in pictures[f["key"]])]
    return "\n".join(parts).rstrip() + "\n"


def in_readme(text: str, findings: Sequence[Entry]) -> str:
    """README.md with its part anew."""
    before, rest = text.split(START)
    return before + section(findings) + rest.split(END)[1]


def _still(findings: Sequence[Entry]) -> str:
    """Which findings are missing, if any."""
    missing = [key for key in FAMILY if key not in {f["key"] for f in findings}]
    if not missing:
        return ""
    claims = "; ".join(f"{key} ({FAMILY[key]})" for key in missing)
    return f" Not measured with these weights yet: {claims}. `make figures results` goes on with that."


def _cell(text: str) -> str:
    """Text in a table's cell, where a bar would end it."""
    return text.replace("|", "\\|")


def _span(f: Entry) -> str:
    low, high = f["low"], f["high"]
    return f"{f['effect']:.2f}" + ("" if low is None else f" [{low:.2f}, {high:.2f}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="what `stcg figures --out FOLDER` made")
    folder = parser.parse_args().folder
    findings = read(folder)
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir()
    (TARGET / "findings.json").write_text(json.dumps(findings, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    shutil.copy(folder / "study.json", TARGET)
    pictures: dict[str, list[str]] = {}
    for name, keys in NOTEBOOKS.items():
        for path in sorted((folder / name).glob("*.png")):
            _small(path)
            for key in keys[:1]:
                pictures.setdefault(key, []).append(path.name)
        for key in keys[1:]:
            pictures[key] = []
    save_figure(
        verdicts([load_finding(folder / home(f["key"]) / f"{f['key']}.json") for f in findings]), folder, "findings"
    )
    _small(folder / "findings.png")
    (TARGET / "README.md").write_text(page(findings, pictures), encoding="utf-8")
    README.write_text(in_readme(README.read_text(encoding="utf-8"), findings), encoding="utf-8")
    print(TARGET)


def _small(path: Path) -> None:
    image = cv2.imread(str(path))
    height = round(image.shape[0] * WIDTH / image.shape[1])
    cv2.imwrite(str(TARGET / path.name), cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    main()
