"""What a worker of a sweep does: load the model with its prompt, and explain one record after the other.

A record that cannot be asked (no picture, an empty question, ...) has a row that says why. Any other error stops the sweep, since it
would hit the following questions too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stcg_nb.datasets import Record
from stcg_nb.errors import InputError
from stcg_nb.explanation import explain
from stcg_nb.models import Model, load_model
from stcg_nb.progress import Stopped, without_bars
from stcg_nb.sweep.options import PROMPTS, SweepOptions
from stcg_nb.sweep.parts import SweepError, reason
from stcg_nb.sweep.rows import FinishedQuestion, row_of_record, row_of_stcg, storable


def prepared(model: str | None, how: SweepOptions) -> Model:
    """The model with the sweep's prompt; one without weights keeps its own."""
    vlm = load_model(model)
    return vlm.with_prompt(PROMPTS[how.prompt]) if how.prompt else vlm


def explained(model: Model, how: SweepOptions, place: int, record: Record) -> FinishedQuestion:
    """One question's row and STCG; a record that cannot be asked has a row that says why.

    Raises:
        SweepError: If the model fails.
    """
    row = row_of_record(record)
    try:
        with without_bars():  # the sweep has one
            stcg = explain(record.read(), record.question, model, how)
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
    how: SweepOptions

    def __call__(self, records: Iterable[tuple[int, Record]]) -> Iterator[FinishedQuestion]:
        for place, record in records:
            yield explained(self.model, self.how, place, record)
