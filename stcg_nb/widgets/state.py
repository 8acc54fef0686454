"""What a person chose, in one frozen record: of what to explain, and of what to look at.

A `State` and its JSON, its lines of code (`stcg_nb.widgets.code`) and the parameters of ``notebooks/00_explore.ipynb`` say the same:
each can be made from it, and a test makes the result from each and compares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, get_args

from stcg_nb.errors import InputError
from stcg_nb.explanation import ESTIMATORS
from stcg_nb.graph.selection import LINKS, View
from stcg_nb.inputs.demo import DEMO_QUESTION
from stcg_nb.inputs.perturbations import DEFAULT
from stcg_nb.settings import Settings

EXPLAINED = (
    "model", "device", "dtype", "quantisation", "revision", "image", "question", "estimator", "regions", "boxes",
    "perturbations", "strength", "seed", "masks", "absent",
)  # fmt: skip
"""What an explanation depends on; the rest is but what is looked at."""

VALID: dict[str, tuple[str, ...]] = {
    "estimator": tuple(ESTIMATORS), "links": LINKS,
    **{name: get_args(Settings.model_fields[name].annotation) for name in ("dtype", "quantisation")},
}  # fmt: skip

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class State:
    """Choices.

    Attributes:
        model, device, dtype, quantisation, revision: For `stcg_nb.load_model`.
        image: For `stcg_nb.inputs.open_image.open_image`.
        question: In words.
        estimator, regions, perturbations, strength, seed, masks, absent: For `stcg_nb.explain`.
        boxes: Regions that were drawn, x0, y0, x1, y1 in pixels; where there are any they take the place of `regions`.
        links, top, step, beyond: Of the picture of the graph (`stcg_nb.graph.selection.View`).
        picked: The node or link that is chosen.
        site, layer, head: Whose attention is shown as alignment (`stcg_nb.attention.heads`); the estimator's own without a site.
        cuts: Links that are cut, as the picture calls them.
    """

    model: str = "tiny"
    device: str = "auto"
    dtype: str = "auto"
    quantisation: str = "none"
    revision: str | None = None
    image: str = "demo"
    question: str = DEMO_QUESTION
    estimator: str = "causal"
    regions: str = "slic"
    boxes: tuple[Box, ...] = ()
    perturbations: tuple[str, ...] = DEFAULT
    strength: float = 0.5
    seed: int = 0
    masks: int = 256
    absent: str = "median"
    links: str = "counterfactual"
    top: int = 24
    step: int | None = None
    beyond: float = 0.0
    picked: str | None = None
    site: str | None = None
    layer: int | None = None
    head: int | None = None
    cuts: tuple[str, ...] = ()

    def but(self, **changes: Any) -> State:
        """The same with some choices changed."""
        return replace(self, **changes)

    def explained(self) -> dict[str, Any]:
        """The choices that an explanation depends on; two states that agree in them share one."""
        return {name: getattr(self, name) for name in EXPLAINED}

    def linked(self) -> dict[str, Any]:
        """The choices that the links of a graph depend on: all of those but the perturbations, which leave them as they are."""
        return {name: value for name, value in self.explained().items() if name not in ("perturbations", "strength")}

    def view(self) -> View:
        """What to show of the graph."""
        node = None if self.picked is None or ">" in self.picked else self.picked
        return View(self.links, self.top, self.step, self.beyond, node)

    def to_json(self) -> str:
        """As a JSON object.

        >>> State.from_json(State(step=1).to_json()) == State(step=1)
        True
        """
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> State:
        """What `to_json` wrote.

        Raises:
            InputError: For what is no such object.
        """
        try:
            content = json.loads(text)
        except ValueError as error:
            raise InputError(f"This is no saved state ({error}); give the text that was saved.") from None
        if not isinstance(content, dict):
            raise InputError(f"A saved state is a JSON object; this is a {type(content).__name__}.")
        return cls.from_parameters(content)

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> State:
        """From plain values, lists for tuples; what is left out keeps its default.

        Raises:
            InputError: For a name that does not exist, a value of another type, or one that is no choice.
        """
        known = {f.name: str(f.type) for f in fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise InputError(f"A state has no {name!r}; valid are {', '.join(known)}.")
            if not _fits(value, known[name]):
                raise InputError(f"{name} is {value!r}; it must be {_SAID[known[name]]}.")
            if name in VALID and value not in VALID[name]:
                raise InputError(f"{name} is {value!r}; valid are {', '.join(VALID[name])}.")
        return cls(**{name: _held(value, known[name]) for name, value in values.items()})


_SAID = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "int | None": "a whole number or nothing",
    "str | None": "text or nothing",
    "tuple[str, ...]": "a list of texts",
    "tuple[Box, ...]": "a list of boxes of four whole numbers x0, y0, x1, y1",
}


def _fits(value: Any, kind: str) -> bool:
    if kind.endswith(" | None"):
        return value is None or _fits(value, kind.removesuffix(" | None"))
    if kind == "tuple[str, ...]":
        return isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
    if kind == "tuple[Box, ...]":
        return isinstance(value, list | tuple) and all(
            isinstance(box, list | tuple) and len(box) == 4 and all(_fits(v, "int") for v in box) for box in value
        )
    types: Any = {"str": str, "int": int, "float": (int, float)}[kind]
    return isinstance(value, types) and not isinstance(value, bool)


def _held(value: Any, kind: str) -> Any:
    if kind == "tuple[str, ...]":
        return tuple(value)
    if kind == "tuple[Box, ...]":
        return tuple(tuple(box) for box in value)
    return float(value) if kind == "float" else value
