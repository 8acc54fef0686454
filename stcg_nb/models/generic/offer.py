"""What a model is offered, as the checks on loading decide, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass

from stcg_nb.models.generic.budget import BUDGET
from stcg_nb.models.protocol import PATCH_CUTS

SENTENCES = {
    "cut": (
        "Words and regions can be cut from its attention, regions can be filled, and the attention of its language model is captured, "
        "not that of its vision model."
    ),
    "filled": "Words can be cut from its attention and regions can be filled, but not cut: each image token shows the whole picture.",
    "masked": "Words are masked and regions filled; nothing is cut or captured, since not all its layers are attention.",
}


@dataclass(frozen=True)
class Offer:
    """What a model is offered.

    Attributes:
        level: ``"cut"``: words and regions are cut from attention. ``"filled"``: words are cut, regions only filled. ``"masked"``:
            words are masked by the library's own mask of absent tokens, regions filled, and attention is not captured.
        shares: Whether rows may share keys and values of the positions that no mask reaches.
        tokens: The most image tokens of a picture by the checkpoint's own settings, and as it is read here.
    """

    level: str
    shares: bool = False
    tokens: tuple[int, int] = (0, 0)

    @property
    def edges(self) -> tuple[str, ...]:
        """Kinds of edges that can be cut, as in `stcg_nb.models.protocol.ENDS`."""
        return {"cut": tuple(PATCH_CUTS), "filled": ("step_word",), "masked": ()}[self.level]

    @property
    def sentence(self) -> str:
        own, now = self.tokens
        fewer = (
            f" A picture is read as at most {now:,} image tokens (its own settings allow {own:,})." if now < own else ""
        )
        many = f" A picture takes up to {now:,} image tokens, which no setting lowers." if now > BUDGET else ""
        return SENTENCES[self.level] + fewer + many
