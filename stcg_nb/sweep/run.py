"""Explain many questions, so that nothing is lost when the run is stopped: a sweep.

1. The manifest says what is asked (dataset, its fingerprint, n, seed), of whom (model, revision, number format, prompt) and how
   (estimator, regions, perturbations, ...), with the versions of what computes. A sweep goes on only under the same manifest.
2. `SweepFolder` says which questions are not done yet. They go through the model one by one (`stcg_nb.sweep.worker`), or through
   several workers with a model each (`stcg_nb.sweep.ray_pool`). This process alone writes the folder.
3. A record that cannot be asked is reported and skipped. Any other error stops the sweep; what is done is kept.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import transformers

from stcg_nb.datasets import Dataset, Record, load_dataset
from stcg_nb.errors import InputError
from stcg_nb.models import Model
from stcg_nb.progress import progress, say
from stcg_nb.sweep.folder import SweepFolder
from stcg_nb.sweep.options import SweepOptions
from stcg_nb.sweep.ray_pool import OnRay
from stcg_nb.sweep.rows import FinishedQuestion, schema
from stcg_nb.sweep.worker import Local, prepared

Report = Callable[[str], None]
Workers = Callable[[Iterable[tuple[int, Record]]], Iterator[FinishedQuestion]]


@dataclass(frozen=True)
class Sweep:
    """What came of a sweep: its folder, how many questions it holds, and how many of them were skipped."""

    folder: Path
    questions: int
    skipped: int


def sweep(
    dataset: Dataset | str | PathLike[str],
    out: str | PathLike[str],
    model: str | None = None,
    how: SweepOptions | None = None,
    *,
    workers: int | None = None,
    report: Report = say,
) -> Sweep:
    """Explain every question of a dataset into a folder, or go on with it.

    Args:
        dataset: From `load_dataset`, or a name for it.
        out: The folder (`stcg_nb.sweep.folder`): new, empty, or of the same sweep.
        model: A name for `load_model`.
        how: How to explain.
        workers: Processes with a model each, by Ray Data; left out: this process alone.
        report: Takes a sentence for each question that is skipped and each file that was damaged; by default stderr shows them.

    Raises:
        InputError: For a dataset, folder or setting that cannot be used, or a folder of another sweep.
        ModelError: If the model cannot be loaded.
        SweepError: If the sweep has to stop, for a full disk, say.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> done = sweep(load_dataset("scenes", n=2), folder, "mock", SweepOptions(regions="grid:2x2", perturbations=()))
    >>> done.questions, done.skipped
    (2, 0)
    """
    how = SweepOptions() if how is None else how
    if not isinstance(dataset, Dataset):
        dataset = load_dataset(dataset)
    if workers is not None and workers < 1:
        raise InputError(f"There are to be {workers} workers; one is the least.")
    vlm = prepared(model, how)
    asked_how = manifest(dataset, vlm, how)
    run: Workers
    if workers is None:
        run = Local(vlm, how)
    else:
        run = OnRay(model, how, workers)
        del vlm
        _free()  # a GPU may have no room for this model beside the workers'
    with SweepFolder(Path(out), asked_how, dataset.size, schema(how.perturbations)) as folder:
        _explain_missing(dataset, folder, run, report)
        return Sweep(Path(out), dataset.size, folder.finish())


def _explain_missing(dataset: Dataset, folder: SweepFolder, run: Workers, report: Report) -> None:
    """Explain the questions that the folder lacks, and report what was damaged and what is skipped."""
    todo, damages = folder.todo()
    for sentence in damages:
        report(sentence)
    if not todo:
        return
    asked = ((place, record) for place, record in enumerate(dataset) if place in todo)
    with progress("sweep", dataset.size, "question", done=dataset.size - len(todo)) as advance:
        for question in run(asked):
            folder.keep(question)
            if question.artefact is None:
                report(f"Skipped question {question.row['id']}: {question.row['error']}")
            advance(1)


def _free() -> None:
    """Give back the memory of models that nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def manifest(dataset: Dataset, model: Model, how: SweepOptions) -> dict[str, Any]:
    """What must be the same for a sweep to go on."""
    return {
        "dataset": dataset.name, "questions": dataset.size, "fingerprint": dataset.fingerprint,
        "model": model.name, "model_revision": model.revision, "synthetic": model.synthetic,
        "weights": " ".join(model.dtypes),
        **how.model_dump(mode="json"),
        "versions": {"stcg-nb": version("stcg-nb"), "torch": torch.__version__, "transformers": transformers.__version__},
    }  # fmt: skip
