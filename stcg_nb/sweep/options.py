"""How a sweep explains: the options of an explanation, and the prompt."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stcg_nb.options import OneOf, Options
from stcg_nb.registry import Registry

PROMPTS = Registry[str]("prompt")
PROMPTS.add("short", "Question: {} Short answer:")  # of BLIP-2's own evaluation on VQA-v2 (arXiv 2301.12597, appendix)
PROMPTS.add("plain", "Question: {} Answer:")


def _check_prompt(name: str) -> None:
    if name:
        PROMPTS[name]


class SweepOptions(Options):
    """How a sweep explains.

    Raises:
        InputError: For a value that is not valid.

    >>> SweepOptions(prompt="short").masks
    256
    """

    prompt: Annotated[str, OneOf(_check_prompt, lambda: PROMPTS)] = Field(
        default="",
        description="the prompt around the question; left out, the model's own",
    )
