"""Load a dataset by name, or a table by its file: one function for all."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from stcg_nb.datasets.base import DATASETS, Dataset, of_records
from stcg_nb.datasets.table import ENDINGS, read_table
from stcg_nb.errors import InputError
from stcg_nb.registry import import_all

import_all("stcg_nb.datasets.sources")


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
        name: One of `DATASETS`, or a file with a question a row (`stcg_nb.datasets.table`).
        n: How many questions: that many scenes, 200 if left out; of other datasets that many drawn at random, all if left out.
        seed: Of the scenes, or of the draw.
        folder: Of a dataset whose files are not part of any package, such as VQA-v2.
        split: Of a dataset that has several, such as VQA-v2.

    Raises:
        InputError: For a dataset that does not exist, files that are missing or damaged, or an `n` that is too large.

    >>> len(load_dataset("scenes", n=3))
    3
    """
    source = DATASETS[name] if isinstance(name, str) and name in DATASETS else None
    if folder is not None and not (source and source.takes("folder")):
        those = ", ".join(repr(key) for key, each in DATASETS.items() if each.takes("folder"))
        raise InputError(f"A folder is for {those}; {str(name)!r} has none: leave it out.")
    if source:
        given = {"folder": folder, "split": split}
        return source.load(n=n, seed=seed, **{key: value for key, value in given.items() if source.takes(key)})
    path = Path(name)
    if path.suffix.lower() not in ENDINGS:
        raise InputError(
            f"{str(name)!r} is no dataset; valid are {', '.join(DATASETS)}, or a file that ends in {', '.join(ENDINGS)}."
        )
    return of_records(path.name, read_table([path], path.name, n, seed))
