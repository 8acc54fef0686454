"""How a notebook's parameter is read from the text of a command line."""

from __future__ import annotations

import json
import math
from typing import Any

_CONSTANTS = {"True": True, "False": False, "None": None}


def read_value(text: str) -> Any:
    """A parameter as JSON or Python's True, False, None read it; anything else is text.

    Not YAML: to it ``what color: red?`` is a mapping, ``is this #1?`` has a comment, and ``no`` is false.

    >>> [read_value(text) for text in ("3", "0.5", "True", '["a"]', "is it red: yes or no?", '"3"')]
    [3, 0.5, True, ['a'], 'is it red: yes or no?', '3']
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    try:
        value = json.loads(text)
    except ValueError:
        return text
    # NaN and Infinity, which json takes, are not JSON
    return text if isinstance(value, float) and not math.isfinite(value) else value
