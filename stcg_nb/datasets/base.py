"""What every dataset is made of: light records that say where their picture is and read it when it is asked for.

A record holds no pixels, so a hundred thousand of them fit into memory, and one can be sent to a worker on another machine. A
dataset gets its name from `dataset`, the decorator of the function that loads it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.inputs.images import read_image
from stcg_nb.registry import Registry

Loader = TypeVar("Loader", bound=Callable[..., Any])


class Picture(Protocol):
    """Where a picture is."""

    def read(self) -> np.ndarray:
        """Read the picture, uint8 ``[height, width, 3]``. Raises `InputError` if it cannot be read."""


@dataclass(frozen=True)
class FilePicture:
    """A picture in a file."""

    path: Path

    def read(self) -> np.ndarray:
        return read_image(self.path)


@dataclass(frozen=True)
class Record:
    """A question about a picture.

    Attributes:
        id: Unlike any other in its dataset.
        picture: Where the picture is; None if the dataset does not say.
        image: The dataset's name for the picture, such as a file name.
        question: Its text.
        answers: Those that people gave, ten in VQA-v2; the right one alone where it is known; none where no answer is known.
        kind: Of question or answer, such as "color" or "yes/no"; empty if the dataset has no kinds.
        problem: Why this record cannot be asked; empty if no reason is known.
    """

    id: str
    picture: Picture | None
    image: str
    question: str
    answers: tuple[str, ...] = ()
    kind: str = ""
    problem: str = ""

    def read(self) -> np.ndarray:
        """Read its picture, uint8 ``[height, width, 3]``.

        Raises:
            InputError: If the record has a problem, or its picture cannot be read.
        """
        if self.problem:
            raise InputError(self.problem)
        if self.picture is None:
            raise InputError(f"Question {self.id} names no picture; give it one.")
        return self.picture.read()


@dataclass(frozen=True)
class Dataset:
    """Records in a fixed order.

    Attributes:
        name: One of `DATASETS`, with its split if there are several, or a file's name.
        size: How many records there are.
        fingerprint: Differs whenever a record differs; it does not depend on the pictures' pixels.
        make: Makes the records, in order; called for each iteration.

    >>> from stcg_nb.datasets import load_dataset
    >>> [record.kind for record in load_dataset("scenes", n=2)]
    ['color', 'object']
    """

    name: str
    size: int
    fingerprint: str
    make: Callable[[], Iterator[Record]]

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Record]:
        return self.make()


@dataclass(frozen=True)
class Source:
    """A dataset that has a name.

    Attributes:
        load: Takes ``n`` and ``seed``, and ``folder`` and ``split`` if it names them; gives a `Dataset`.
        about: What it is, in one line, for the command line's help.
        measured: How many questions `stcg_nb.datasets.accuracy` asks by default; None: all.
    """

    load: Callable[..., Dataset]
    about: str
    measured: int | None = None

    def takes(self, option: str) -> bool:
        """Whether the loader has a parameter of this name."""
        return option in signature(self.load).parameters


DATASETS = Registry[Source]("dataset")


def dataset(name: str, about: str, measured: int | None = None) -> Callable[[Loader], Loader]:
    """The decorator that gives a loader its name; the other arguments are those of `Source`."""

    def add(load: Loader) -> Loader:
        DATASETS.add(name, Source(load, about, measured), load)
        return load

    return add


def of_records(name: str, records: Sequence[Record]) -> Dataset:
    """A dataset of records in memory.

    Raises:
        InputError: If there are none, or two have the same id.
    """
    if not records:
        raise InputError(f"{name} holds no questions; give at least one.")
    first: dict[str, int] = {}
    digest = hashlib.sha256()
    for number, record in enumerate(records, 1):
        if record.id in first:
            raise InputError(
                f"{name} has the id {record.id!r} twice, as its questions {first[record.id]} and {number}; make ids differ."
            )
        first[record.id] = number
        digest.update(json.dumps(astuple(replace(record, picture=None))).encode() + b"\n")
    return Dataset(name, len(records), digest.hexdigest()[:16], lambda: iter(records))


def choose(size: int, n: int | None, seed: int, name: str) -> np.ndarray:
    """Which of `size` records to take: all, or `n` drawn without replacement; ascending.

    Raises:
        InputError: If `n` is not from 1 to `size`, or the seed is negative.

    >>> choose(5, 3, 0, "five").tolist()
    [2, 3, 4]
    """
    check_seed(seed)
    if n is None:
        return np.arange(size)
    if not 1 <= n <= size:
        raise InputError(f"n is {n}; {name} has {size:,} questions: ask for 1 to {size:,}.")
    return np.sort(np.random.default_rng(seed).choice(size, n, replace=False))


def check_seed(seed: int) -> None:
    if seed < 0:
        raise InputError(f"The seed is {seed}; give a whole number from 0 on.")
