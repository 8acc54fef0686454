"""The package's errors. Each message is one sentence: what was given, what is valid, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class StcgError(Exception):
    """Base class of the package's errors; the command line prints the message without a traceback."""


class InputError(StcgError, ValueError):
    """An invalid image, question, name, parameter or file."""


class ModelError(StcgError, RuntimeError):
    """A checkpoint that cannot be loaded or fails the checks after loading."""


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false, or 1 or 0",
    "tuple_type": "a list",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "too_short": ("min_length", "a list of at least"),
}


def invalid(error: ValidationError, name: str = "", known: Iterable[str] = ()) -> InputError:
    """Turn the first finding of a pydantic error into one sentence: the parameter, what was given, what is valid.

    Args:
        error: The error of pydantic.
        name: The parameter's name; if left out, the field's name.
        known: The names of all fields, listed when an unknown field was given.

    >>> from pydantic import TypeAdapter, ValidationError
    >>> try:
    ...     TypeAdapter(list[int]).validate_python([3, "many"], strict=True)
    ... except ValidationError as error:
    ...     print(invalid(error, "sizes"))
    sizes[1] is 'many'; it must be a whole number.
    """
    first = error.errors()[0]
    given, kind = first["input"], first["type"]
    entries = "".join(f"[{place}]" for place in first["loc"] if isinstance(place, int))
    name = f"{name or first['loc'][0]}{entries}"
    context = first.get("ctx", {})
    if isinstance(context.get("error"), InputError):
        return InputError(str(context["error"]))
    if kind == "extra_forbidden":
        return InputError(f"There is no option {name!r}; valid are {', '.join(known)}.")
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return InputError(f"{name} is {given!r}; it must be {words} {context[key]:g}.")
    if kind == "literal_error":
        return InputError(f"{name} is {given!r}; valid are {context['expected']}.")
    if kind == "value_error":
        reason = first["msg"].removeprefix("Value error, ")
        return InputError(f"{name} is {given!r}: {reason[0].lower()}{reason[1:]}.")
    return InputError(f"{name} is {given!r}; it must be {_EXPECTED.get(kind, first['msg'].lower())}.")
