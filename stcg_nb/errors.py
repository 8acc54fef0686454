"""The package's errors: one sentence each that says what was given, what is valid and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class StcgError(Exception):
    """Base of all errors that the package raises on purpose; the command line prints its sentence, no traceback."""


class InputError(StcgError, ValueError):
    """An image, question, name, parameter or file that cannot be used."""


class ModelError(StcgError, RuntimeError):
    """A checkpoint that cannot be loaded, or that fails the checks after loading."""


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
}


def one_sentence(error: ValidationError, names: Iterable[str]) -> InputError:
    """What pydantic found first, as one sentence.

    Args:
        error: From a record of choices.
        names: The choices that the record has.
    """
    first = error.errors()[0]
    name, given, kind = str(first["loc"][0]), first["input"], first["type"]
    context = first.get("ctx", {})
    if isinstance(context.get("error"), InputError):
        return InputError(str(context["error"]))
    if kind == "extra_forbidden":
        return InputError(f"There is no option {name!r}; valid are {', '.join(names)}.")
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return InputError(f"{name} is {given!r}; it must be {words} {context[key]:g}.")
    if kind == "literal_error":
        return InputError(f"{name} is {given!r}; valid are {context['expected']}.")
    parts = first["loc"][1:]
    inside = f" (at {'.'.join(map(str, parts))})" if parts else ""
    return InputError(f"{name} is {given!r}{inside}; it must be {_EXPECTED.get(kind, first['msg'].lower())}.")
