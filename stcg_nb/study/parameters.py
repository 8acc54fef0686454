"""Checks of the parameters of a study and of its notebooks, by pydantic, with errors of one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from stcg_nb.errors import InputError, invalid

LARGEST, LARGEST_SEED = 100_000, 10**6


def one_of(valid: Sequence[str]) -> AfterValidator:
    """Pydantic's check that a text is one of the valid names."""

    def check(name: str) -> str:
        if name not in valid:
            raise ValueError(f"valid are {', '.join(valid)}")
        return name

    return AfterValidator(check)


def check_number(name: str, value: object, low: float, high: float, whole: bool = True) -> None:
    """Raise `InputError` unless a parameter is a number in [low, high].

    >>> check_number("n", 22, 2, 100)
    """
    _check(name, value, Annotated[int if whole else float, Field(strict=True, ge=low, le=high)])


def check_names(name: str, values: object, valid: Sequence[str]) -> None:
    """Raise `InputError` unless a parameter is a list of some of the valid names.

    >>> check_names("kinds", ["color"], ("color", "count"))
    """
    _check(name, values, Annotated[Sequence[Annotated[str, one_of(valid)]], Field(min_length=1)])


def check_claimed(name: str, values: Sequence[str], needed: Sequence[str], at_least: int) -> None:
    """Raise `InputError` unless the names hold all that a claim is about, none twice, and others to compare with.

    >>> check_claimed("perturbations", ["color_shift", "center_mask"], ["color_shift"], at_least=2)
    """
    missing = [v for v in needed if v not in values]
    if missing:
        raise InputError(f"{name} lacks {missing[0]!r}, which the claim is about; add it.")
    if len(set(values)) != len(values) or len(values) < at_least:
        raise InputError(f"{name} is {list(values)!r}; give at least {at_least} different names.")


def _check(name: str, value: object, kind: Any) -> None:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise invalid(error, name) from None
