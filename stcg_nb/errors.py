"""The package's errors: one sentence each that says what was given, what is valid and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class StcgError(Exception):
    """Base of all errors that the package raises on purpose; the command line prints its sentence, no traceback."""


class InputError(StcgError, ValueError):
    """An image, question, name, parameter or file that cannot be used."""


class ModelError(StcgError, RuntimeError):
    """A checkpoint that cannot be loaded, or that fails the checks after loading."""


def invalid(error: ValidationError, name: str = "") -> InputError:
    """What pydantic found first, as one sentence: the parameter, what was given, what is valid.

    Args:
        error: Of pydantic.
        name: Of the parameter; left out, the name of the model's field.

    >>> from pydantic import TypeAdapter, ValidationError
    >>> try:
    ...     TypeAdapter(list[int]).validate_python([3, "many"], strict=True)
    ... except ValidationError as error:
    ...     print(invalid(error, "sizes"))
    sizes[1] is 'many': input should be a valid integer.
    """
    first = error.errors()[0]
    entries = "".join(f"[{place}]" for place in first["loc"] if isinstance(place, int))
    reason = first["msg"].removeprefix("Value error, ")
    return InputError(f"{name or first['loc'][0]}{entries} is {first['input']!r}: {reason[0].lower()}{reason[1:]}.")
