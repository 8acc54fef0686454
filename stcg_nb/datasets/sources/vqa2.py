"""VQA-v2 from its official files (Goyal et al. 2017, arXiv 1612.00837; visualqa.org).

A folder holds ``v2_OpenEnded_mscoco_val2014_questions.json``, ``v2_mscoco_val2014_annotations.json`` and COCO's pictures, in
``val2014/`` or ``images/val2014/`` or beside the files: ``COCO_val2014_000000000042.jpg``. Other splits likewise; those of the
test have no annotations, so nothing is right or wrong there. The id of a record is the official ``question_id``, its kind the
``answer_type``: "yes/no", "number" or "other". A folder may hold instead a copy from Hugging Face ``datasets``
(`stcg_nb.datasets.table`).
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from stcg_nb.datasets.base import Dataset, FilePicture, Record, choose, dataset, of_records
from stcg_nb.datasets.table import find_parts, read_table
from stcg_nb.errors import InputError


@dataclass(frozen=True)
class Split:
    """The names of a split: in the official files, in the pictures' names, and in copies of Hugging Face ``datasets``."""

    official: str
    pictures: str
    aliases: tuple[str, ...]
    annotated: bool = True

    @property
    def questions(self) -> str:
        return f"v2_OpenEnded_mscoco_{self.official}_questions.json"

    @property
    def annotations(self) -> str:
        return f"v2_mscoco_{self.official}_annotations.json"


SPLITS = {
    "val": Split("val2014", "val2014", ("validation", "val")),
    "train": Split("train2014", "train2014", ("train",)),
    "test": Split("test2015", "test2015", ("test",), annotated=False),
    "test-dev": Split("test-dev2015", "test2015", ("testdev", "test-dev"), annotated=False),
}


@dataset("vqa-v2", "VQA-v2 in a folder, the official files or a copy of Hugging Face datasets")
def load(n: int | None, seed: int, folder: str | PathLike[str] | None, split: str) -> Dataset:
    """A split (a key of `SPLITS`) of the files in a folder."""
    if folder is None:
        raise InputError("'vqa-v2' is not part of this package; name the folder that holds its files (--folder).")
    if split not in SPLITS:
        raise InputError(f"{split!r} is no split of VQA-v2; valid are {', '.join(SPLITS)}.")
    root, name = Path(folder), f"vqa-v2 {split}"
    if not root.is_dir():
        raise InputError(f"There is no folder {str(root)!r}; name the one that holds VQA-v2's files.")
    if (root / SPLITS[split].questions).is_file():
        return of_records(name, _read_official(root, split, n, seed))
    parts = find_parts(root, SPLITS[split].aliases)
    if not parts:
        raise InputError(
            f"{str(root)!r} holds neither {SPLITS[split].questions!r} nor .parquet or .arrow files of the split {split!r}; "
            "give the folder of the official files, or of a copy from Hugging Face datasets."
        )
    return of_records(name, read_table(parts, name, n, seed))


def _read_official(folder: Path, split: str, n: int | None, seed: int) -> list[Record]:
    """All records of a split, or `n` drawn with a seed, in the order of the file of questions.

    Raises:
        InputError: For files that are missing, damaged, or do not belong together.
    """
    files = SPLITS[split]
    questions = _read(folder / files.questions, "questions")
    chosen = [questions[i] for i in choose(len(questions), n, seed, f"vqa-v2 {split}").tolist()]
    wanted = {q.get("question_id") for q in chosen}
    found = {}
    if files.annotated:
        annotations = _read(folder / files.annotations, "annotations")
        found = {a.get("question_id"): a for a in annotations if a.get("question_id") in wanted}
        if missing := sorted(str(q) for q in wanted - set(found)):
            raise InputError(
                f"{files.annotations} lacks {len(missing):,} of the questions, such as {missing[0]}; take both files from "
                "one release."
            )
    places = [folder / files.pictures, folder / "images" / files.pictures, folder / "images", folder]
    where = next((p for p in places if next(p.glob(f"COCO_{files.pictures}_*.jpg"), None)), None)
    if where is None:
        raise InputError(
            f"There are no pictures COCO_{files.pictures}_….jpg in {str(folder / files.pictures)!r} or in {str(folder)!r}; "
            "unpack COCO's there."
        )
    return [_record(q, found.get(q.get("question_id")), files, where) for q in chosen]


def _record(question: dict[str, Any], annotation: dict[str, Any] | None, files: Split, where: Path) -> Record:
    number, text, image = (question.get(key) for key in ("question_id", "question", "image_id"))
    problem = ""
    if not isinstance(text, str) or not isinstance(image, int):
        problem = f"Question {number} has no text or no picture in {files.questions}."
        text, image = str(text or ""), 0
    name = f"COCO_{files.pictures}_{image:012d}.jpg"
    answers = tuple(annotation["answers"]) if annotation else ()
    kind = str(annotation["answer_type"]) if annotation else ""
    return Record(str(number), FilePicture(where / name), name, text, answers, kind, problem)


def _read(path: Path, key: str) -> list[dict[str, Any]]:
    """The list under a key of a JSON file; of each person's answer only the words are kept, which saves most of the memory."""

    def shrink(entry: dict[str, Any]) -> Any:
        return sys.intern(str(entry["answer"])) if "answer_id" in entry and "answer" in entry else entry

    if not path.is_file():
        raise InputError(f"There is no {path.name!r} in {str(path.parent)!r}; download it from visualqa.org.")
    try:
        with path.open(encoding="utf-8") as file:
            listed = json.load(file, object_hook=shrink)[key]
        if not all(isinstance(entry, dict) for entry in listed):
            raise TypeError("an entry is no object")
        if key == "annotations" and not all(isinstance(e["answers"], list) and "answer_type" in e for e in listed):
            raise TypeError("an entry has no answers")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(path)!r} is damaged or no file of VQA-v2 ({error}); download it again.") from None
    return list(listed)
