"""What cannot be found out about a family of models from its checkpoint: one line each, or none.

A model type that is not here is loaded all the same. What it is offered depends on the checks on loading alone
(`stcg_nb.models.generic.checks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Facts:
    """Facts of one ``model_type``.

    Attributes:
        prompt: The prompt where the checkpoint has no chat template, with ``{}`` for the question.
        answer_types: The type of an answer's tokens in arguments that give each position one, such as ``token_type_ids``.
        options: Further options for the processor.
    """

    prompt: str | None = None
    answer_types: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


FACTS: Mapping[str, Facts] = {
    "llava": Facts("USER: <image>\n{} ASSISTANT:"),
    "llava_next": Facts("[INST] <image>\n{} [/INST]"),
    "paligemma": Facts("<image>answer en {}", answer_types=1),
    "janus": Facts(options={"generation_mode": "text"}),
}


def facts(model_type: str) -> Facts:
    """The facts of a model type; the defaults if there are none.

    >>> facts("paligemma").answer_types, facts("a type of tomorrow").prompt
    (1, None)
    """
    return FACTS.get(model_type, Facts())
