"""Measuring many questions one by one, so that a run that is killed goes on where it stopped.

`Study.measure` asks fresh scenes (`stcg_nb.scenes.questions.sample`) and hands each with its question to a function of
`stcg_nb.study.measurements`, which returns rows: one a question, or one for each perturbation or word. The rows of a question are
one record of `stcg_nb.files.Records`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from stcg_nb.errors import InputError, invalid
from stcg_nb.files import Records
from stcg_nb.models import Model, load_model
from stcg_nb.progress import progress
from stcg_nb.scenes.pictures import Scene
from stcg_nb.scenes.questions import KINDS, Question, sample
from stcg_nb.study.parameters import LARGEST, LARGEST_SEED, one_of

FORMAT = 1
TRIES = 200

Row = dict[str, Any]
Measurement = Callable[..., list[Row]]


class Study(BaseModel):
    """Which model is asked which questions.

    Attributes:
        model: A name for `stcg_nb.load_model`, a loaded model, or None for what the environment asks for.
        n: Questions, one a scene.
        seed: Of the scenes.
        kinds: Of `stcg_nb.scenes.questions.KINDS`, asked in turn.
        records: A folder that keeps what is measured, question by question; None keeps nothing.

    Raises:
        InputError: For a value of the wrong type or out of range.
        ModelError: If the model cannot be loaded.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    model: Any = None
    n: int = Field(ge=2, le=LARGEST)
    seed: int = Field(ge=0, le=LARGEST_SEED)
    kinds: Annotated[Sequence[Annotated[str, one_of(KINDS)]], Field(min_length=1)]
    records: str | Path | None = None
    _vlm: Model = PrivateAttr()

    def __init__(
        self,
        model: str | Model | None = None,
        n: int = 22,
        seed: int = 0,
        kinds: Sequence[str] = KINDS,
        records: str | os.PathLike[str] | None = None,
    ) -> None:
        try:
            super().__init__(model=model, n=n, seed=seed, kinds=kinds, records=records)
        except ValidationError as error:
            raise invalid(error) from None
        self._vlm = load_model(model) if model is None or isinstance(model, str) else model

    @property
    def vlm(self) -> Model:
        """The loaded model."""
        return self._vlm

    @property
    def settings(self) -> dict[str, Any]:
        """What a finding says that it was measured on."""
        return {"model": self.vlm.name, "model_revision": self.vlm.revision, "seed": self.seed}

    def questions(self, answered: bool = False) -> Iterator[tuple[Scene, Question]]:
        """Scenes with a question each, without end; only those that the model answers correctly if `answered`.

        Raises:
            InputError: If it answers none of the first `TRIES`.
        """
        found = False
        for tried, (scene, question) in enumerate(sample(10**9, self.seed, tuple(self.kinds))):
            if answered:
                if tried == TRIES and not found:
                    raise InputError(
                        f"{self.vlm.name} answers none of {TRIES} questions correctly; choose another model."
                    )
                if self.vlm.answer([scene.image], self.vlm.prompt(question.text))[0].text != question.answer:
                    continue
            found = True
            yield scene, question

    def question(self, number: int) -> tuple[Scene, Question]:
        """One of the questions, from 0 on."""
        return next(islice(self.questions(), number, None))

    def measure(
        self, name: str, measurement: Measurement, *, answered: bool = False, known: object = None, **settings: Any
    ) -> pd.DataFrame:
        """Measure n questions; what the records hold already is not measured again.

        Args:
            name: Of the file in the records' folder.
            measurement: ``measurement(model, scene, question, **settings)`` gives the question's rows.
            answered: Ask only what the model answers correctly.
            known: What the measurement may look up; handed on, if given, but no part of the settings.
            settings: Handed on, and kept with the records.

        Returns:
            One line a row, with ``scene`` (its seed), ``kind`` and ``question`` first.

        Raises:
            InputError: If the records there are of another model, seed, kinds or settings, or cannot be written.
        """
        head = {"format": FORMAT, **self.settings, "kinds": self.kinds, "answered": answered, **settings}
        records = Records(None if self.records is None else Path(self.records) / f"{name}.jsonl", head)
        done = records.read()[: self.n]
        extra = settings if known is None else {**settings, "known": known}
        with progress(name, self.n, "question", done=len(done)) as advance:
            for scene, question in islice(self.questions(answered), len(done), self.n) if len(done) < self.n else ():
                rows = measurement(self.vlm, scene, question, **extra)
                record = {"scene": scene.seed, "kind": question.kind, "question": question.text, "rows": rows}
                done.append(records.append(record))
                advance(1)
        return pd.DataFrame(
            [{k: record[k] for k in ("scene", "kind", "question")} | row for record in done for row in record["rows"]]
        )


def read_card(path: str | os.PathLike[str], study: Study, masks: int) -> dict[int, Row]:
    """What a card holds of each question, by scene.

    Args:
        path: What `stcg card` wrote.
        study: Whose model and seed it must be of.
        masks: For each causal graph, as the card must have it.

    Raises:
        InputError: If it is missing, no card, or of another model, seed or number of masks.
    """
    try:
        card = json.loads(Path(path).read_text(encoding="utf-8"))
        records = {int(record["scene"]): record for record in card["questions"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{os.fspath(path)!r} is no card with its questions ({error}); run `stcg card`.") from None
    for key, wanted in {**study.settings, "masks": masks}.items():
        if card.get(key) != wanted:
            raise InputError(
                f"The card {os.fspath(path)!r} has {key} = {card.get(key)!r}, not {wanted!r}; run `stcg card` with that."
            )
    return records
