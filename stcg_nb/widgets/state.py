"""What a person chose in the panels: what to explain, and what of it to show.

A `State` can be written as JSON, as lines of code (`stcg_nb.widgets.code`), and as parameters of ``notebooks/00_explore.ipynb``;
each makes the same result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from stcg_nb.errors import InputError
from stcg_nb.graph.selection import LINKS, View
from stcg_nb.inputs.demo import DEMO_QUESTION
from stcg_nb.options import OneOf, Options
from stcg_nb.settings import Dtype, Quantisation

LOADED = ("model", "device", "dtype", "quantisation", "revision")
ASKED = (*LOADED, "image", "question")
EXPLAINED = (*ASKED, "boxes", *Options.model_fields)
"""What an explanation depends on; the other choices say what is shown of it."""

_Number = Annotated[int, Field(strict=True)]
Box = Annotated[tuple[_Number, _Number, _Number, _Number], Field(strict=False)]


def _check_links(name: str) -> None:
    View(links=name)


class State(Options):
    """Choices: the options of an explanation, and these.

    Attributes:
        model, device, dtype, quantisation, revision: For `stcg_nb.load_model`.
        image: For `stcg_nb.inputs.open_image`.
        question: In words.
        boxes: Drawn regions, each x0, y0, x1, y1 in pixels; if there are any, they replace `regions`.
        links, top, step, min_effect: What the picture of the graph shows (`stcg_nb.graph.View`).
        picked: The chosen node or link, such as ``"word:3"`` or ``"word:3>step:1"``.
        site, layer, head: Whose attention is shown as alignment (`stcg_nb.attention.heads`); without a site that of the estimator.
        cuts: Links that are cut, each as in `picked`.

    Raises:
        InputError: For a choice that does not exist, or a value that is not valid.
    """

    model: str = "tiny"
    device: str = "auto"
    dtype: Dtype = "auto"
    quantisation: Quantisation = "none"
    revision: str | None = None
    image: str = "demo"
    question: str = DEMO_QUESTION
    boxes: tuple[Box, ...] = Field(default=(), strict=False)
    links: Annotated[str, OneOf(_check_links, lambda: LINKS)] = "counterfactual"
    top: int = Field(default=24, ge=1)
    step: int | None = Field(default=None, ge=0)
    min_effect: float = Field(default=0.0, ge=0)
    picked: str | None = None
    site: str | None = None
    layer: int | None = None
    head: int | None = None
    cuts: tuple[str, ...] = Field(default=(), strict=False)

    @field_validator("regions")
    @classmethod
    def _can_be_saved(cls, regions: Any) -> Any:
        if not isinstance(regions, str):
            raise InputError(
                "The panels take regions by name, such as 'grid:8x8', or as boxes; for others call stcg_nb.explain."
            )
        return regions

    def options(self) -> dict[str, Any]:
        """The options of the explanation."""
        return {name: getattr(self, name) for name in Options.model_fields}

    def loaded(self) -> dict[str, Any]:
        """The choices that the loaded model depends on."""
        return {name: getattr(self, name) for name in LOADED}

    def asked(self) -> dict[str, Any]:
        """The choices that the answer depends on."""
        return {name: getattr(self, name) for name in ASKED}

    def explained(self) -> dict[str, Any]:
        """The choices that an explanation depends on; two states that agree in them share one."""
        return {name: getattr(self, name) for name in EXPLAINED}

    def linked(self) -> dict[str, Any]:
        """The choices that the links of a graph depend on: all of those but the perturbations."""
        return {name: value for name, value in self.explained().items() if name not in ("perturbations", "strength")}

    def view(self) -> View:
        """What to show of the graph."""
        node = None if self.picked is None or ">" in self.picked else self.picked
        return View(self.links, self.top, self.step, self.min_effect, node)

    def to_json(self) -> str:
        """As a JSON object.

        >>> State.from_json(State(step=1).to_json()) == State(step=1)
        True
        """
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> State:
        """What `to_json` wrote.

        Raises:
            InputError: For text that is no such object, or holds a choice that is not valid.
        """
        try:
            content = json.loads(text)
        except ValueError as error:
            raise InputError(f"This is no saved state ({error}); give the text that was saved.") from None
        if not isinstance(content, dict):
            raise InputError(f"A saved state is a JSON object; this is a {type(content).__name__}.")
        return cls(**content)

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> State:
        """From plain values; what is left out keeps its default."""
        return cls(**values)
