"""What a model is offered, as the checks on loading decide, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass

from stcg_nb.models.protocol import PATCH_CUTS

SENTENCES = {
    "cut": "Words and regions can be cut from its attention, regions can be filled, and its language model's attention is captured.",
    "filled": "Words can be cut from its attention and regions can be filled, but not cut: each image token shows the whole picture.",
    "masked": "Words are masked and regions filled; nothing is cut or captured, since not all its layers are attention.",
}


@dataclass(frozen=True)
class Offer:
    """What a model is offered.

    Attributes:
        level: ``"cut"``: words and regions are cut from attention. ``"filled"``: words are cut, regions only filled. ``"masked"``: words
            are masked by the library's own mask of absent tokens, regions filled, and attention is not captured.
        shares: Whether rows may share keys and values of the positions that no mask reaches.
        note: What else there is to say, in a sentence or none.
    """

    level: str
    shares: bool = False
    note: str = ""

    @property
    def edges(self) -> tuple[str, ...]:
        """Kinds of edges that can be cut, as in `stcg_nb.models.protocol.ENDS`."""
        return {"cut": tuple(PATCH_CUTS), "filled": ("step_word",), "masked": ()}[self.level]

    @property
    def sentence(self) -> str:
        return f"{SENTENCES[self.level]} {self.note}".strip()
