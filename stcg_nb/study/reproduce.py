"""Every figure of the study from its notebooks, into one folder, so that a run that is killed goes on where it stopped.

1. What could be wrong is checked first: numbers, model, notebooks, a browser to draw with.
2. Each notebook is executed into a folder of its own (`stcg_nb.notebooks.run`). A notebook that is done is not run again. One that
   was stopped runs again from its first cell, but its measurements are kept question by question (`stcg_nb.study.records`).
3. The p-values of the findings are corrected together (Holm), and the verdicts follow from the corrected ones:
   ``findings.json``, ``findings.csv`` and a figure of all findings.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from stcg_nb.errors import InputError
from stcg_nb.files import differing, prepare_folder, write
from stcg_nb.models import load_model
from stcg_nb.notebooks.run import RunError, run_notebook
from stcg_nb.study.figures import verdicts
from stcg_nb.study.findings import FAMILY, Finding, corrected, load_finding, save_finding
from stcg_nb.study.parameters import LARGEST, LARGEST_SEED, check_number
from stcg_nb.viz.figure_files import draw, save_figure

NOTEBOOKS: Mapping[str, tuple[str, ...]] = {
    "10_overview": (),
    "11_h1_links": ("H1",),
    "12_h2_colour": ("H2",),
    "13_h3_dissociation": ("H3",),
    "14_h4_words": ("H4",),
    "15_time": ("time",),
    "16_h5_faithfulness": ("H5", "gain"),
}
"""The study's notebooks, the longest last, with the findings that each makes."""

FULL, MASKS = 220, 256
NEEDS_WEIGHTS = "16_h5_faithfulness"
HEAD = "study.json"
COLUMNS = ("key", "claim", "effect", "low", "high", "n", "p", "p_corrected", "verdict", "decided_by")


def reproduce(
    out: Path,
    *,
    model: str | None = None,
    n: int | None = None,
    seed: int = 0,
    quick: bool = False,
    card: Path | None = None,
    notebooks: Path | None = None,
    say: Callable[[str], object] = print,
) -> list[Finding]:
    """Make every figure of the study.

    Args:
        out: The folder; new, empty, or of the same study stopped earlier.
        model: A name for `stcg_nb.load_model`; None for what the environment asks for.
        n: Questions a notebook; by default 220, or if `quick` what each notebook is committed with.
        seed: Of the scenes.
        quick: A small size, to see that everything runs.
        card: What `stcg card` wrote of the same model, seed and masks: then it is not measured again.
        notebooks: Their folder; by default that of the checkout that the package lies in.
        say: Told of each step.

    Returns:
        The findings, corrected together.

    Raises:
        InputError: For a number out of range, missing notebooks, or a folder that holds something else.
        ModelError: If the model cannot be loaded.
        DrawingError: Without a browser to draw with.
        RunError: If a notebook fails; what is finished stays.
    """
    _check(n, seed, card)
    sources = _sources(notebooks)
    vlm = load_model(model)
    draw(go.Figure(layout={"width": 40, "height": 40}), "svg")
    size = n if n is not None or quick else FULL
    head = {"model": vlm.name, "model_revision": vlm.revision, "n": size, "seed": seed, "quick": quick}
    _begin(out, head)
    for name, source in sources.items():
        folder = out / name
        if vlm.synthetic and name == NEEDS_WEIGHTS:
            say(f"{name}: left out, since {vlm.name} has no weights.")
        elif _status(folder) == "done":
            say(f"{name}: done already")
        else:
            say(f"{name}: running ...")
            if folder.exists():
                shutil.rmtree(folder)
            run_notebook(source, _parameters(name, out, model, size, seed, None if quick else MASKS, card), folder)
            _check_weights(folder, NOTEBOOKS[name], head)
    return _summary(out, head, synthetic=vlm.synthetic)


def _check(n: int | None, seed: int, card: Path | None) -> None:
    if n is not None:
        check_number("n", n, 2, LARGEST)
    check_number("seed", seed, 0, LARGEST_SEED)
    if card is not None and not card.is_file():
        raise InputError(f"There is no card {str(card)!r}; give a file that `stcg card` wrote.")


def _parameters(
    name: str, out: Path, model: str | None, size: int | None, seed: int, masks: int | None, card: Path | None
) -> dict[str, Any]:
    """What a notebook is run with; None leaves a parameter as it is in the notebook."""
    given: dict[str, Any] = {"model": model, "seed": seed}
    if NOTEBOOKS[name]:
        given |= {"records": str((out / "records").resolve()), "n": size}
    if name == NEEDS_WEIGHTS and masks is not None:
        given |= {"masks": masks, "card": None if card is None else str(card.resolve())}
    return {key: value for key, value in given.items() if value is not None}


def _sources(notebooks: Path | None) -> dict[str, Path]:
    folder = notebooks if notebooks is not None else Path(__file__).resolve().parents[2] / "notebooks"
    found = {name: folder / f"{name}.ipynb" for name in NOTEBOOKS}
    missing = [path.name for path in found.values() if not path.is_file()]
    if missing:
        raise InputError(f"The notebook {missing[0]} is not in {str(folder)!r}; run this in a clone of the repository.")
    return found


def _begin(out: Path, head: Mapping[str, Any]) -> None:
    """Make the folder, or take one of the same study."""
    kept = out / HEAD
    if kept.is_file():
        try:
            difference = differing(json.loads(kept.read_text(encoding="utf-8")), head)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{str(kept)!r} is damaged ({error}); name another folder.") from None
        if difference is not None:
            raise InputError(f"{str(out)!r} holds a study with {difference}; name another folder.")
        return
    prepare_folder(out)
    write(kept, (json.dumps(head, indent=1) + "\n").encode())


def _status(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "status.json").read_text(encoding="utf-8"))["status"])
    except (OSError, ValueError, KeyError):
        return None


def _check_weights(folder: Path, keys: Sequence[str], head: Mapping[str, Any]) -> None:
    """Raise `RunError` if a finding was measured on other weights than the study's, which then changed while it ran."""
    for key in keys:
        path = folder / f"{key}.json"
        found = load_finding(path).settings.get("model_revision") if path.is_file() else head["model_revision"]
        if found != head["model_revision"]:
            raise RunError(
                f"{key} in {str(folder)!r} is of the weights {found}, but the study is of {head['model_revision']}: they changed "
                "on the way; begin anew in another folder."
            )


def _summary(out: Path, head: Mapping[str, Any], synthetic: bool) -> list[Finding]:
    """Correct the findings together; write them again with their corrected p-values, as a table and as a figure."""
    for name, keys in NOTEBOOKS.items():
        _check_weights(out / name, keys, head)
    places = {key: out / name for name, keys in NOTEBOOKS.items() for key in keys}
    found = [load_finding(places[key] / f"{key}.json") for key in FAMILY if (places[key] / f"{key}.json").is_file()]
    if len(found) < len(FAMILY) and not synthetic:
        missing = next(key for key in FAMILY if not (places[key] / f"{key}.json").is_file())
        raise RunError(f"The notebook {places[missing].name} left no {missing}.json; delete its folder and run again.")
    findings = corrected(found)
    for finding in findings:
        save_finding(finding, places[finding.key])
    table = [finding.as_dict() for finding in findings]
    write(out / "findings.json", (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode())
    write(out / "findings.csv", pd.DataFrame(table)[list(COLUMNS)].to_csv(index=False).encode())
    save_figure(verdicts(findings), out, "findings")
    return findings
