"""The options of an explanation, declared once: names, defaults, valid values, ranges and help texts.

`stcg_nb.explain`, the command line, sweeps, the panels' state and "Show code" all read them from `Options`. A new option is one
edit here. A default that a lower module needs too is a constant there (such as `stcg_nb.interventions.causal_graph.MASKS`), so that
another default is one edit as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError, model_validator
from pydantic_core import core_schema

from stcg_nb.attention.alignment import ESTIMATOR, ESTIMATORS
from stcg_nb.errors import InputError, invalid
from stcg_nb.graph.trust import TRUSTED
from stcg_nb.inputs.fills import FILL, FILLS
from stcg_nb.inputs.perturbations import DEFAULT, PERTURBATIONS, STRENGTH
from stcg_nb.inputs.regions import REGIONS, Regions, check_regions
from stcg_nb.interventions.causal_graph import MASKS, MIN_MASKS, MOST, Masks, check_masks
from stcg_nb.interventions.masking import check_removal, removals
from stcg_nb.interventions.robust import check_fills
from stcg_nb.registry import Registry


@dataclass(frozen=True)
class OneOf:
    """Annotates a field whose value, a name or several names, must be valid.

    Attributes:
        check: Raises `InputError` for an invalid name.
        listed: Returns the valid names.
    """

    check: Callable[[str], object]
    listed: Callable[[], Iterable[str]]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: str | Collection[str]) -> str | Collection[str]:
        for name in [value] if isinstance(value, str) else value:
            self.check(name)
        return value


def one_of(known: Registry[Any]) -> OneOf:
    """Annotates a field whose value must be a name, or names, of a registry."""
    return OneOf(known.__getitem__, lambda: known)


@dataclass(frozen=True)
class Checked:
    """Annotates a field whose value `check` accepts; it raises `InputError` for an invalid one."""

    check: Callable[[Any], object]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: Any) -> Any:
        self.check(value)
        return value


def _enough_masks(n: Masks) -> None:
    if n != 0:
        check_masks(n)


class Strict(BaseModel):
    """Base of frozen option records; an invalid value raises an `InputError` of one sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise invalid(error, fields=type(self).model_fields) from None


class Options(Strict):
    """The options of an explanation. Each field's description says what it is.

    Raises:
        InputError: For an unknown option or an invalid value.

    >>> Options(estimator="rollout").masks
    256
    >>> Options(estimator="shap")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    stcg_nb.errors.InputError: 'shap' is no estimator; valid are attention, ...
    """

    estimator: Annotated[str, one_of(ESTIMATORS)] = Field(
        default=ESTIMATOR,
        description="how alignment is computed from attention",
    )
    regions: Annotated[str | InstanceOf[Regions], Checked(check_regions)] = Field(
        default=REGIONS,
        description="what counts as a region: slic for one a thing, slic:30 for about 30, grid, grid:8x8, a file of masks",
    )
    perturbations: Annotated[tuple[str, ...], one_of(PERTURBATIONS)] = Field(
        default=DEFAULT,
        strict=False,
        description="perturbations of the image whose effect is measured",
    )
    strength: float = Field(
        default=STRENGTH,
        ge=0,
        le=1,
        description="strength of the perturbations, from 0 (no change) to 1",
    )
    seed: int = Field(
        default=0,
        ge=0,
        description="seed of everything that is drawn at random",
    )
    masks: Annotated[Masks, Checked(_enough_masks)] = Field(
        default=MASKS,
        description=f"masks of the causal graph, a forward pass each; 0: leave-one-out only; auto: until trust is {TRUSTED:g}, "
        f"at most {MOST:,}",
    )
    removal: Annotated[str, OneOf(check_removal, removals)] = Field(
        default=FILL,
        description="how a region is removed",
    )
    fills: Annotated[tuple[str, ...], one_of(FILLS)] = Field(
        default=(),
        strict=False,
        description="further fills under which effects and links are measured again; what changes sign is not drawn",
    )

    @model_validator(mode="after")
    def _fills_can_be_tried(self) -> Self:
        check_fills(self.removal, self.fills)
        if self.fills and not self.masks:
            raise InputError(
                f"fills are {', '.join(self.fills)} and masks is 0; a causal graph is what is measured again, so give no fills, or "
                f"at least {MIN_MASKS} masks."
            )
        return self

    def but(self, **changes: Any) -> Self:
        """A copy with some options changed.

        Raises:
            InputError: For an unknown option or an invalid value.
        """
        return type(self)(**{**dict(self), **changes})


def choices(name: str, record: type[BaseModel] = Options) -> tuple[str, ...] | None:
    """The valid values of an option; None if they are not a list.

    >>> "rollout" in (choices("estimator") or ()), choices("seed")
    (True, None)
    """
    field = record.model_fields[name]
    if get_origin(field.annotation) is Literal:
        return get_args(field.annotation)
    listed = [m.listed for m in field.metadata if isinstance(m, OneOf)]
    return tuple(listed[0]()) if listed else None


def help_text(name: str, record: type[BaseModel] = Options) -> str:
    """An option's description, valid values and default, as one line of help.

    >>> help_text("removal")  # doctest: +ELLIPSIS
    'how a region is removed: median, mean, blur, inpaint, ... (default median)'
    """
    field, valid = record.model_fields[name], choices(name, record)
    listed = f": {', '.join(valid)}" if valid else ""
    default = field.default
    if isinstance(default, tuple):
        default = "all of them" if default == valid else ", ".join(default)
    return f"{field.description}{listed}" + (f" (default {default})" if default not in ("", (), None) else "")
