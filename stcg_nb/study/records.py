"""Measuring many questions one by one, so that a run that is killed goes on where it stopped.

`Study.measure` asks fresh scenes (`stcg_nb.scenes.questions.sample`) and hands each with its question to a function of
`stcg_nb.study.measurements`, which returns rows: one a question, or one for each perturbation or word. The rows of a question are one
line of a JSON Lines file. Its first line says what was measured, so that two runs are never mixed; a last line that was cut
off while it was written is measured again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from stcg_nb.errors import InputError
from stcg_nb.models import Model, load_model
from stcg_nb.scenes.pictures import Scene
from stcg_nb.scenes.questions import KINDS, Question, sample

FORMAT = 1
TRIES = 200
LARGEST = 100_000

Row = dict[str, Any]
Measurement = Callable[..., list[Row]]


@dataclass(frozen=True)
class Study:
    """Which model is asked which questions.

    Attributes:
        model: A name for `stcg_nb.load_model`, a loaded model, or None for what the environment asks for.
        n: Questions, one a scene.
        seed: Of the scenes.
        kinds: Of `stcg_nb.scenes.questions.KINDS`, asked in turn.
        records: A folder that keeps what is measured, question by question; None keeps nothing.
        vlm: The loaded model.

    Raises:
        InputError: For a value of the wrong type or out of range.
        ModelError: If the model cannot be loaded.
    """

    model: str | Model | None = None
    n: int = 22
    seed: int = 0
    kinds: Sequence[str] = KINDS
    records: str | os.PathLike[str] | None = None
    vlm: Model = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_number("n", self.n, 2, LARGEST)
        check_number("seed", self.seed, 0, 10**6)
        check_names("kinds", self.kinds, KINDS)
        if self.records is not None and not isinstance(self.records, (str, os.PathLike)):
            raise InputError(f"records is {self.records!r}; give the path of a folder, or None.")
        vlm = load_model(self.model) if self.model is None or isinstance(self.model, str) else self.model
        object.__setattr__(self, "vlm", vlm)

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
        head = {
            "format": FORMAT, **self.settings, "kinds": list(self.kinds), "answered": answered, **settings,
        }  # fmt: skip
        path = None if self.records is None else Path(self.records) / f"{name}.jsonl"
        lines = [] if path is None else read_records(path, head)[: self.n]
        extra = settings if known is None else {**settings, "known": known}
        with tqdm(total=self.n, initial=len(lines), desc=name, unit="question", delay=1) as bar:
            for i, (scene, question) in enumerate(self.questions(answered)):
                if i < len(lines):
                    continue
                if i >= self.n:
                    break
                rows = measurement(self.vlm, scene, question, **extra)
                line = {"scene": scene.seed, "kind": question.kind, "question": question.text, "rows": rows}
                # Through JSON in any case, so that a resumed run gives what a whole one does.
                text = json.dumps(line, ensure_ascii=False, allow_nan=False)
                lines.append(json.loads(text))
                if path is not None:
                    append_record(path, text)
                bar.update()
        return pd.DataFrame(
            [{k: line[k] for k in ("scene", "kind", "question")} | row for line in lines for row in line["rows"]]
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


def read_records(path: Path, head: dict[str, Any]) -> list[Any]:
    """The lines of a file of records, which is begun if there is none.

    Raises:
        InputError: If it is of another run, damaged, or cannot be read or written.
    """
    wanted = json.dumps(head, ensure_ascii=False)
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted + "\n", encoding="utf-8")
            return []
        first, *rest = path.read_text(encoding="utf-8").split("\n")
        if rest and rest[-1]:  # cut off while it was written
            path.write_text("\n".join([first, *rest[:-1], ""]), encoding="utf-8")
        if first != wanted:
            raise InputError(f"{str(path)!r} is of another run ({first[:300]}); delete it, or name another folder.")
        return [json.loads(line) for line in rest[:-1]]
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(path)!r} cannot be used ({error}); delete it, or name another folder.") from None


def append_record(path: Path, text: str) -> None:
    """Add a line, and see to it that it is on the disk."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written ({error.strerror}); check the space.") from None


def check_number(name: str, value: object, low: float, high: float, whole: bool = True) -> None:
    """Raise `InputError` unless a parameter is a number in [low, high].

    >>> check_number("n", 22, 2, 100)
    """
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        what = "a whole number" if whole else "a number"
        raise InputError(f"{name} is {value!r}; give {what} from {low:g} to {high:g}.")


def check_names(name: str, values: object, valid: Sequence[str]) -> None:
    """Raise `InputError` unless a parameter is a list of some of the valid names.

    >>> check_names("kinds", ["color"], ("color", "count"))
    """
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise InputError(f"{name} is {values!r}; give a list of some of {', '.join(valid)}.")
    unknown = [v for v in values if v not in valid]
    if unknown:
        raise InputError(f"{name} holds {unknown[0]!r}; valid are {', '.join(valid)}.")


def check_claimed(name: str, values: Sequence[str], needed: Sequence[str], at_least: int) -> None:
    """Raise `InputError` unless the names hold all that a claim is about, none twice, and others to compare with.

    >>> check_claimed("perturbations", ["color_shift", "center_mask"], ["color_shift"], at_least=2)
    """
    missing = [v for v in needed if v not in values]
    if missing:
        raise InputError(f"{name} lacks {missing[0]!r}, which the claim is about; add it.")
    if len(set(values)) != len(values) or len(values) < at_least:
        raise InputError(f"{name} is {list(values)!r}; give at least {at_least} different names.")
