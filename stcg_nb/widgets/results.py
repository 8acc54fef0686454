"""What a session has found, and how it is found again: by the choices that made it and the files behind them."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from stcg_nb.graph.stcg import STCG
from stcg_nb.inputs.open_image import unperturbed
from stcg_nb.models import Answer
from stcg_nb.options import Options
from stcg_nb.viz.graph_svg import Drawing
from stcg_nb.widgets.state import State

K = TypeVar("K")
V = TypeVar("V")
Written = list[tuple[str, int, int]]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A finished explanation.

    Attributes:
        state: The choices that made it.
        stcg: The graph.
        links_key: The `key` of what its links depend on, when it was begun.
    """

    state: State
    stcg: STCG
    links_key: str

    @property
    def label(self) -> str:
        """For lists: question, answer, and the options that differ from their defaults."""
        s, default = self.state, Options()
        made = [s.image, s.model]
        for name, value in s.options().items():
            if name in s.linked() and name != "regions" and value != getattr(default, name):
                made.append(f"{name} {value}")
        if s.boxes:
            made.append(f"drawn regions {len(s.boxes)}")
        elif s.regions != default.regions:
            made.append(f"regions {s.regions}")
        return f"{_short(self.stcg.question, 48)} → {_short(self.stcg.answer, 24)} ({', '.join(made)})"

    @cached_property
    def drawing(self) -> Drawing:
        return Drawing(self.stcg)


@dataclass(frozen=True, eq=False)
class Asked:
    """An answer to the chosen question, with the probability of each token, ``[step]``."""

    answer: Answer
    p: np.ndarray


class Latest(OrderedDict[K, V]):
    """The latest few things; the oldest is dropped when there are more.

    >>> kept = Latest[str, int](2)
    >>> kept["a"], kept["b"], kept["c"] = 1, 2, 3
    >>> list(kept)
    ['b', 'c']
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        while len(self) > self.most:
            self.popitem(last=False)


def key(values: Mapping[str, Any]) -> str:
    """One text for choices and the files behind their picture and model: an overwritten file is another picture, and a model that
    was trained anew in its folder is another model.
    """
    files = [*image_file(values.get("image", "")), *model_files(values.get("model", ""))]
    return json.dumps([values, files], sort_keys=True)


def image_file(source: str) -> Written:
    """Name, size (bytes) and time (ns) of the file behind a picture; nothing for a drawn one."""
    return _written(unperturbed(source)) if source else []


def model_files(name: str) -> Written:
    """Name, size (bytes) and time (ns) of the files of a model folder; nothing for other models."""
    try:
        return [state for path in sorted(Path(name).iterdir()) for state in _written(str(path))] if name else []
    except (OSError, ValueError):  # no folder: a model that is loaded by its name
        return []


def _written(path: str) -> Written:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # no such file, or no name of one: `open_image` says so where the picture is wanted
        return []
    return [(Path(path).name, status.st_size, status.st_mtime_ns)]


def _short(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"
