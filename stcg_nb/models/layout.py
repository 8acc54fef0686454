"""Where a question's words and a picture's parts are among a model's positions, for one question and one size of picture.

A *patch* is the smallest part of a picture that a mask or an attention map speaks of: a patch of the vision model where a
Q-Former reads those, else an image token of the language model. Each comes from a rectangle of the picture, its cover. Covers
may have any size and may overlap: tiles beside a thumbnail, merged patches, windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stcg_nb.models.protocol import Prompt


@dataclass(frozen=True, eq=False)
class Layout:
    """The positions of a question and a picture.

    Attention maps of the language model (`stcg_nb.models.protocol.Trace`) have its positions in this order: image tokens, then
    text tokens (whatever their order in the real sequence), then the answer's tokens.

    Attributes:
        cover: The part of the picture that each patch covers: x0, y0, x1, y1 in pixels, float ``[patch, 4]``; NaN for a patch that
            shows no part of it (such as the token that ends a row) or all of it alike.
        n_image_tokens: Number of image tokens that the language model reads.
        n_text_tokens: Number of the prompt's other tokens.
        word_tokens: For each word of the question, its places among the text tokens.
        query_word_tokens: For each word, its places among the text tokens of a Q-Former that reads the question; empty for other
            models.
        cross_layers: The layers with cross-attention to the patches, ascending: of the Q-Former, or of a language model that has no
            image tokens in its sequence. Empty for other models.
    """

    cover: np.ndarray
    n_image_tokens: int
    n_text_tokens: int
    word_tokens: tuple[tuple[int, ...], ...]
    query_word_tokens: tuple[tuple[int, ...], ...] = ()
    cross_layers: tuple[int, ...] = ()

    @property
    def n_patches(self) -> int:
        return len(self.cover)


def of_prompt(prompt: Prompt, cover: np.ndarray, n_image_tokens: int, cross_layers: Sequence[int] = ()) -> Layout:
    """The layout of a model whose image tokens are as many for every picture, from its prompt."""
    return Layout(
        cover, n_image_tokens, len(prompt.token_ids), prompt.word_tokens, prompt.query_word_tokens, tuple(cross_layers)
    )


def grid_cover(rows: int, cols: int, view: tuple[float, float, float, float]) -> np.ndarray:
    """The covers of patches that divide a part of the picture into equal rectangles, row by row, float ``[patch, 4]``.

    Args:
        rows, cols: Of the grid.
        view: The part: x0, y0, x1, y1 in pixels, x1 and y1 exclusive.

    >>> grid_cover(1, 2, (0, 0, 8, 4)).tolist()
    [[0.0, 0.0, 4.0, 4.0], [4.0, 0.0, 8.0, 4.0]]
    """
    x0, y0, x1, y1 = view
    x, y = x0 + (x1 - x0) * np.arange(cols + 1) / cols, y0 + (y1 - y0) * np.arange(rows + 1) / rows
    corners = [np.broadcast_to(a, (rows, cols)) for a in (x[None, :-1], y[:-1, None], x[None, 1:], y[1:, None])]
    return np.stack(corners, -1).reshape(-1, 4)
