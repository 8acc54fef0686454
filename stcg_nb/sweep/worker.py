"""What a worker of a sweep does: load the model with its prompt, and explain one record after the other.

A record that cannot be asked (no picture, an empty question, ...) has a row that says why. Any other error stops the sweep, since it
would hit the following questions too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stcg_nb.datasets import Record
from stcg_nb.errors import InputError
from stcg_nb.explanation import explain
from stcg_nb.inputs.perturbations import DEFAULT
from stcg_nb.models import Model, load_model
from stcg_nb.models.mock import Mock
from stcg_nb.progress import Stopped, watching, without_bars
from stcg_nb.sweep.parts import SweepError, reason
from stcg_nb.sweep.rows import FinishedQuestion, row_of_record, row_of_stcg, storable

PROMPTS = {
    "short": "Question: {} Short answer:",  # of BLIP-2's own evaluation on VQA-v2 (arXiv 2301.12597, appendix)
    "plain": "Question: {} Answer:",
}


@dataclass(frozen=True)
class How:
    """How a sweep explains: what `stcg_nb.explain` takes, and the prompt.

    Attributes:
        prompt: A key of `PROMPTS`; empty: the model's own.

    Raises:
        InputError: For a value that `explain` would refuse.
    """

    prompt: str = ""
    estimator: str = str((explain.__kwdefaults__ or {})["estimator"])
    regions: str = "slic"
    perturbations: Sequence[str] = DEFAULT
    strength: float = 0.5
    seed: int = 0
    masks: int = 256
    absent: str = "median"

    def __post_init__(self) -> None:
        if self.prompt and self.prompt not in PROMPTS:
            raise InputError(f"{self.prompt!r} is no prompt; valid are {', '.join(PROMPTS)}.")
        # What the mock refuses here is no fault of a record later.
        noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
        with watching(lambda *_: None):
            explain(noise, "what is this?", Mock(), **self.for_explain())

    def for_explain(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if k != "prompt"}


def prepared(model: str | None, how: How) -> Model:
    """The model with the sweep's prompt; one without weights keeps its own."""
    vlm = load_model(model)
    return vlm.with_prompt(PROMPTS[how.prompt]) if how.prompt else vlm


def explained(model: Model, how: How, place: int, record: Record) -> FinishedQuestion:
    """One question's row and STCG; a record that cannot be asked has a row that says why.

    Raises:
        SweepError: If the model fails.
    """
    row = row_of_record(record)
    try:
        with without_bars():  # the sweep has one
            stcg = explain(record.read(), record.question, model, **how.for_explain())
    except Stopped:
        raise
    except InputError as error:
        return FinishedQuestion(place, {**row, "error": storable(str(error))}, None)
    except Exception as error:
        raise SweepError(
            f"Question {record.id} made {model.name} fail ({type(error).__name__}: {reason(error)}); what is "
            "done is kept, and starting the same sweep again goes on with this question."
        ) from error
    return FinishedQuestion(place, {**row, **row_of_stcg(stcg, record)}, stcg.to_bytes())


@dataclass(frozen=True)
class Local:
    """One model in this process, question by question."""

    model: Model
    how: How

    def __call__(self, records: Iterable[tuple[int, Record]]) -> Iterator[FinishedQuestion]:
        for place, record in records:
            yield explained(self.model, self.how, place, record)
