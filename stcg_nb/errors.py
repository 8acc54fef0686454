"""The package's errors. Each message is one sentence: what was given, what is valid, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic.fields import FieldInfo


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
    "finite_number": "a finite number",
}
_MANY = {str: "texts", int: "whole numbers", float: "numbers"}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "too_short": ("min_length", "a list of at least"),
}


def invalid(error: ValidationError, name: str = "", fields: Mapping[str, FieldInfo] | None = None) -> InputError:
    """Turn the first finding of a pydantic error into one sentence: the parameter, what was given, what is valid.

    Args:
        error: Of pydantic.
        name: Of the parameter; left out, the name of the field.
        fields: The fields of the record, by name, which say what a list must hold and which fields there are.

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
    name = f"{name or next(iter(first['loc']), '')}{entries}"
    context = first.get("ctx", {})
    if isinstance(context.get("error"), InputError):
        return InputError(str(context["error"]))
    if kind == "extra_forbidden":
        return InputError(f"There is no option {name!r}; valid are {', '.join(fields or ())}.")
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return InputError(f"{name} is {given!r}; it must be {words} {context[key]:g}.")
    if kind == "literal_error":
        return InputError(f"{name} is {given!r}; valid are {context['expected']}.")
    if kind == "value_error":
        reason = first["msg"].removeprefix("Value error, ")
        return InputError(f"{name} is {given!r}: {reason[0].lower()}{reason[1:]}.")
    field = (fields or {}).get(str(first["loc"][0]) if first["loc"] else "")
    if field is not None and get_origin(field.annotation) is tuple:
        verb = "is" if len(first["loc"]) == 1 else "holds"
        return InputError(f"{first['loc'][0]} {verb} {given!r}; it must be a {_list_said(field.annotation)}.")
    named = [
        e["ctx"]["expected"]
        for e in error.errors()
        if e["type"] == "literal_error" and e["loc"][:1] == first["loc"][:1]
    ]
    expected = " or ".join([_EXPECTED.get(kind, first["msg"].lower()), *named])
    return InputError(f"{name} is {given!r}; it must be {expected}.")


def _list_said(annotation: Any) -> str:
    """What a list must hold, in words.

    >>> _list_said(tuple[tuple[int, int], ...])
    'list of lists of 2 whole numbers'
    """
    first, *others = (get_args(part)[0] if get_origin(part) is Annotated else part for part in get_args(annotation))
    count = "" if others == [...] else f"{1 + len(others)} "
    what = f"lists{_list_said(first)[4:]}" if get_origin(first) is tuple else _MANY[first]
    return f"list of {count}{what}"
