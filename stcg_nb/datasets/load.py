"""Load a dataset by name: one function for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from stcg_nb.datasets.base import Dataset, FilePicture, Record, ScenePicture, check_seed, choose, of_records
from stcg_nb.datasets.table import ENDINGS, find_parts, read_table
from stcg_nb.datasets.vqa2 import SPLITS, holds_official, read_official
from stcg_nb.errors import InputError
from stcg_nb.scenes.questions import sample

NAMES = ("scenes", "easy-vqa", "vqa-v2")
SCENES = 200


def load_dataset(
    name: str | PathLike[str],
    *,
    n: int | None = None,
    seed: int = 0,
    folder: str | PathLike[str] | None = None,
    split: str = "val",
) -> Dataset:
    """Load a dataset.

    Args:
        name: ``"scenes"``, drawn on the fly; ``"easy-vqa"``, the test split in the package of that name; ``"vqa-v2"``, from
            `folder`; or a file with a question a row (`stcg_nb.datasets.table`).
        n: How many questions: of the scenes that many, 200 if left out; of the others that many drawn at random, all if left out.
        seed: Of the scenes, or of the draw.
        folder: Of VQA-v2: the official files (`stcg_nb.datasets.vqa2`), or a copy from Hugging Face ``datasets``.
        split: Of VQA-v2.

    Raises:
        InputError: For a dataset that does not exist, files that are missing or damaged, or an `n` that is too large.

    >>> len(load_dataset("scenes", n=3))
    3
    """
    if folder is not None and name != "vqa-v2":
        raise InputError(f"A folder is for 'vqa-v2'; {str(name)!r} has none: leave it out.")
    if name == "scenes":
        return _scenes(SCENES if n is None else n, seed)
    if name == "easy-vqa":
        return _easy_vqa(n, seed)
    if name == "vqa-v2":
        return _vqa2(n, seed, folder, split)
    path = Path(name)
    if path.suffix.lower() not in ENDINGS:
        raise InputError(
            f"{str(name)!r} is no dataset; valid are {', '.join(NAMES)}, or a file that ends in {', '.join(ENDINGS)}."
        )
    return of_records(path.name, read_table([path], path.name, n, seed))


def _scenes(n: int, seed: int) -> Dataset:
    check_seed(seed)
    if n < 1:
        raise InputError(f"n is {n}; ask at least one question.")

    def make() -> Iterator[Record]:
        for i, (scene, question) in enumerate(sample(n, seed)):
            name = f"scene {scene.seed}"
            yield Record(str(i), ScenePicture(scene.seed), name, question.text, (question.answer,), question.kind)

    return Dataset("scenes", n, f"seed {seed}", make)


def _easy_vqa(n: int | None, seed: int) -> Dataset:
    try:
        import easy_vqa
    except ImportError:
        raise InputError("The package easy-vqa is not installed; install it: pip install easy-vqa.") from None
    from stcg_nb.datasets.easy_vqa import easy_vqa_kind

    texts, answers, numbers = easy_vqa.get_test_questions()
    paths = {number: Path(path) for number, path in easy_vqa.get_test_image_paths().items()}
    return of_records(
        "easy-vqa",
        [
            Record(
                str(i),
                FilePicture(paths[numbers[i]]),
                f"test/{paths[numbers[i]].name}",
                texts[i],
                (answers[i],),
                easy_vqa_kind(texts[i], answers[i]),
            )
            for i in choose(len(texts), n, seed, "easy-vqa").tolist()
        ],
    )


def _vqa2(n: int | None, seed: int, folder: str | PathLike[str] | None, split: str) -> Dataset:
    if folder is None:
        raise InputError("'vqa-v2' is not part of this package; name the folder that holds its files (--folder).")
    if split not in SPLITS:
        raise InputError(f"{split!r} is no split of VQA-v2; valid are {', '.join(SPLITS)}.")
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"There is no folder {str(root)!r}; name the one that holds VQA-v2's files.")
    if holds_official(root, split):
        return of_records(f"vqa-v2 {split}", read_official(root, split, n, seed))
    parts = find_parts(root, SPLITS[split].aliases)
    if not parts:
        raise InputError(
            f"{str(root)!r} holds neither {SPLITS[split].questions!r} nor .parquet or .arrow files of the split {split!r}; "
            "give the folder of the official files, or of a copy from Hugging Face datasets."
        )
    return of_records(f"vqa-v2 {split}", read_table(parts, f"vqa-v2 {split}", n, seed))
