"""The project's drawn scenes (`stcg_nb.scenes`), as many as are asked for; they share none with the embedded model's training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stcg_nb.datasets.base import Dataset, Record, check_seed, dataset
from stcg_nb.errors import InputError
from stcg_nb.scenes.pictures import make_scene
from stcg_nb.scenes.questions import sample

DEFAULT_SIZE = 200


@dataclass(frozen=True)
class ScenePicture:
    """A drawn scene, by its seed."""

    seed: int

    def read(self) -> np.ndarray:
        return make_scene(self.seed).image


@dataset(
    "scenes",
    f"drawn scenes with a question each, all kinds in turn; {DEFAULT_SIZE} of them by default",
    measured=1100,  # 100 of each kind
)
def load(n: int | None, seed: int) -> Dataset:
    """Scenes and questions of a seed, in equal parts for each kind of question."""
    check_seed(seed)
    size = DEFAULT_SIZE if n is None else n
    if size < 1:
        raise InputError(f"n is {n}; ask at least one question.")

    def make() -> Iterator[Record]:
        for i, (scene, question) in enumerate(sample(size, seed)):
            name = f"scene {scene.seed}"
            yield Record(str(i), ScenePicture(scene.seed), name, question.text, (question.answer,), question.kind)

    return Dataset("scenes", size, f"seed {seed}", make)
