"""The figures of a graph by name. A module of this folder registers its own with `figure`; nobody keeps another list.

>>> list(FIGURES)[:2]
['graph', 'words']
>>> FIGURES["timeline"].plain_caption
'Token by token: how sure the model is, how much of that is the image, and how the links move.'
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import plotly.graph_objects as go

from stcg_nb.errors import InputError
from stcg_nb.graph.stcg import STCG
from stcg_nb.registry import Registry

Draw = TypeVar("Draw", bound=Callable[..., go.Figure])


@dataclass(frozen=True)
class Figure:
    """A figure that every graph has.

    Attributes:
        name: One word; the page's heading.
        draw: The function from a graph to its figure.
        plain_caption: One or two sentences on how to read it.
        causal_caption: The same where a causal graph was fitted, if that reads otherwise.
    """

    name: str
    draw: Callable[..., go.Figure]
    plain_caption: str
    causal_caption: str | None = None

    def caption(self, stcg: STCG) -> str:
        """How to read the figure of this graph."""
        return self.causal_caption if stcg.causal and self.causal_caption is not None else self.plain_caption


FIGURES = Registry[Figure]("figure")
"""All figures, in the order in which pages show them."""


def figure(name: str, *, caption: str, caption_causal: str | None = None) -> Callable[[Draw], Draw]:
    """Register the function that it decorates as a figure, which pages and exports then have.

    Args:
        name: Letters, digits and underscores, unlike that of other figures.
        caption: How to read it, in one or two sentences.
        caption_causal: The same where a causal graph was fitted, if that reads otherwise.
    """

    if not name.isidentifier():
        raise InputError(f"{name!r} cannot name a figure; use letters, digits and underscores.")

    def add(draw: Draw) -> Draw:
        FIGURES.add(name, Figure(name, draw, caption, caption_causal), draw)
        return draw

    return add
