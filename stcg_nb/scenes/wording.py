"""The wordings of the scenes' questions. ``{0}`` stands for the noun phrase, or for the colour or shape, that is asked about."""

from __future__ import annotations

from stcg_nb.scenes.sprites import SHAPES

PLURALS = {name: name if name == "fish" else f"{name}es" if name == "box" else f"{name}s" for name in SHAPES}

COLOR_TEXTS = (
    "What color is the {0}?",
    "What colour is the {0}?",
    "Which color does the {0} have?",
    "Which colour does the {0} have?",
    "What is the color of the {0}?",
    "The {0} has what colour?",
    "Tell me the colour of the {0}.",
)
OBJECT_TEXTS = (
    "What is the {0} thing?",
    "What is the {0} object?",
    "Which object is {0}?",
    "The {0} thing is a what?",
    "What kind of object is {0}?",
)
EXISTS_TEXTS = (
    "Is there {0}?",
    "Is there {0} in the picture?",
    "Do you see {0}?",
    "Can you see {0} in the image?",
    "Does the picture show {0}?",
)
COUNT_TEXTS = (
    "How many {0} are there?",
    "How many {0} do you see?",
    "How many {0} are in the picture?",
    "Count the {0}.",
    "What is the number of {0}?",
)
DIRECTION_TEXTS = {
    "left": ("What is left of the {0}?", "What is to the left of the {0}?", "Which object is left of the {0}?"),
    "right": ("What is right of the {0}?", "What is to the right of the {0}?", "Which object is right of the {0}?"),
    "above": ("What is above the {0}?", "What do you see above the {0}?", "Which object is above the {0}?"),
    "below": ("What is below the {0}?", "What do you see below the {0}?", "Which object is below the {0}?"),
}
DESCRIBE_TEXTS = (
    "Describe the {0}.",
    "Describe the {0} in the picture.",
    "What does the {0} look like?",
    "Can you describe the {0}?",
)
CAPTION_TEXTS = (
    "Describe the picture from left to right.",
    "Describe the image from left to right.",
    "What do you see from left to right?",
    "What is in the picture from left to right?",
)


def noun_phrase(color: str | None, shape: str | None, plural: bool = False) -> str:
    """A noun phrase without article; "thing" stands for a shape that is not named.

    >>> noun_phrase("red", "car"), noun_phrase(None, "box", plural=True), noun_phrase("blue", None)
    ('red car', 'boxes', 'blue thing')
    """
    noun = (PLURALS[shape] if plural else shape) if shape else ("things" if plural else "thing")
    return f"{color} {noun}" if color else noun
