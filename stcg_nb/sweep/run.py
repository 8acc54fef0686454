"""Explain many questions, so that nothing is lost when the run is stopped: a sweep.

1. The manifest says what is asked (dataset, its fingerprint, n, seed), of whom (model, revision, number format, prompt) and how
   (estimator, regions, perturbations, ...), with the versions of what computes. A sweep goes on only under the same manifest.
2. `SweepFolder` says which questions are not done yet. They go through the model one by one, or through several workers with a
   model each (`stcg_nb.sweep.ray_pool`); a worker gives back a row and the STCG's bytes, and one process writes.
3. A record that cannot be asked (no picture, an empty question, ...) is reported and skipped: its row says why. Any other
   error stops the sweep, since it would hit the following questions too; what is done is kept.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import transformers
from tqdm import tqdm

from stcg_nb.datasets import Dataset, Record, load_dataset
from stcg_nb.errors import InputError
from stcg_nb.explanation import explain
from stcg_nb.models import Model, load_model
from stcg_nb.progress import watching
from stcg_nb.sweep.folder import Done, SweepError, SweepFolder
from stcg_nb.sweep.options import PROMPTS, SweepOptions
from stcg_nb.sweep.rows import row_of_record, row_of_stcg, schema, storable

Worker = Callable[[Iterable[tuple[int, Record]]], Iterator[Done]]


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
    report: Callable[[str], None] | None = None,
) -> Sweep:
    """Explain every question of a dataset into a folder, or go on with it.

    Args:
        dataset: From `load_dataset`, or a name for it.
        out: The folder (`stcg_nb.sweep.folder`): new, empty, or of the same sweep.
        model: A name for `load_model`.
        how: SweepOptions to explain.
        workers: Processes with a model each, by Ray Data; left out: this process alone.
        report: Takes a sentence for each question that is skipped and each file that was damaged; left out: stderr does.

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
    report = _on_stderr if report is None else report
    if not isinstance(dataset, Dataset):
        dataset = load_dataset(dataset)
    if workers is not None and workers < 1:
        raise InputError(f"There are to be {workers} workers; one is the least.")
    vlm = prepared(model, how)
    asked_how, columns = manifest(dataset, vlm, how), schema(how.perturbations)
    run: Worker
    if workers is None:
        run = Local(vlm, how)
    else:
        from stcg_nb.sweep.ray_pool import OnRay

        run = OnRay(model, how, workers)
        del vlm
        _free()  # a GPU may have no room for this model beside the workers'
    with SweepFolder(Path(out), asked_how, dataset.size, columns) as folder:
        todo, damages = folder.todo()
        for sentence in damages:
            report(sentence)
        asked = ((place, record) for place, record in enumerate(dataset) if place in todo)
        skipped = 0
        with tqdm(desc="sweep", total=dataset.size, initial=dataset.size - len(todo), unit="question") as bar:
            for done in run(asked) if todo else ():
                folder.keep(done)
                if done.row.get("error"):
                    skipped += 1
                    report(f"Skipped question {done.row['id']}: {done.row['error']}")
                    bar.set_postfix(skipped=skipped, refresh=False)
                bar.update()
        return Sweep(Path(out), dataset.size, folder.finish())


def _on_stderr(sentence: str) -> None:
    tqdm.write(sentence, file=sys.stderr)  # beside the bar


def _free() -> None:
    """Give back the memory of models that nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def prepared(model: str | None, how: SweepOptions) -> Model:
    """The model with the sweep's prompt."""
    vlm = load_model(model)
    return vlm.with_prompt(PROMPTS[how.prompt]) if how.prompt else vlm


def manifest(dataset: Dataset, model: Model, how: SweepOptions) -> dict[str, Any]:
    """What must be the same for a sweep to go on."""
    return {
        "dataset": dataset.name, "questions": dataset.size, "fingerprint": dataset.fingerprint,
        "model": model.name, "model_revision": model.revision, "synthetic": model.synthetic,
        "weights": " ".join(model.number_formats),
        **how.model_dump(mode="json"),
        "versions": {"stcg-nb": version("stcg-nb"), "torch": torch.__version__, "transformers": transformers.__version__},
    }  # fmt: skip


@dataclass(frozen=True)
class Local:
    """One model in this process, question by question."""

    model: Model
    how: SweepOptions

    def __call__(self, records: Iterable[tuple[int, Record]]) -> Iterator[Done]:
        for place, record in records:
            yield explained(self.model, self.how, place, record)


def explained(model: Model, how: SweepOptions, place: int, record: Record) -> Done:
    """One question's row and STCG; a record that cannot be asked has a row that says why.

    Raises:
        SweepError: If the model fails.
    """
    row = row_of_record(record)
    try:
        with watching(lambda *_: None):  # the sweep's bar is enough
            stcg = explain(record.read(), record.question, model, how)
    except InputError as error:
        return Done(place, {**row, "error": storable(str(error))}, None)
    except Exception as error:
        raise SweepError(
            f"Question {record.id} made {model.name} fail ({type(error).__name__}: {str(error).strip().split(chr(10))[0]}); what is "
            "done is kept, and starting the same sweep again goes on with this question."
        ) from error
    return Done(place, {**row, **row_of_stcg(stcg, record)}, stcg.to_bytes())
