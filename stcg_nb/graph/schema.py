"""What the dataset of an `STCG` must hold, and a copy of it that cannot change.

`stcg_nb.graph.stcg` says what each variable means; here stand its dimensions and number format, which loading and building both go by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from stcg_nb.errors import InputError

_TEXT = "U"
SCHEMA: dict[str, tuple[tuple[str, ...], str]] = {
    "word_text": (("word",), _TEXT),
    "token_text": (("step",), _TEXT),
    "image": (("y", "x", "channel"), "uint8"),
    "region_labels": (("y", "x"), "int32"),
    "region_box": (("region", "box"), "int64"),
    "p": (("step",), "float64"),
    "v": (("step",), "float64"),
    "word_region": (("word", "region"), "float64"),
    "step_region": (("step", "region"), "float64"),
    "step_word": (("step", "word"), "float64"),
    "word_effect": (("step", "word"), "float64"),
    "region_effect": (("step", "region"), "float64"),
    "word_low": (("step", "word"), "float64"),
    "word_high": (("step", "word"), "float64"),
    "region_low": (("step", "region"), "float64"),
    "region_high": (("step", "region"), "float64"),
    "word_verdict": (("step", "word"), _TEXT),
    "region_verdict": (("step", "region"), _TEXT),
    "intercept": (("step",), "float64"),
    "word_coefficient": (("step", "word"), "float64"),
    "region_coefficient": (("step", "region"), "float64"),
    "link_source": (("link",), "int64"),
    "link_target": (("link",), "int64"),
    "link_third": (("link",), "int64"),
    "link_step": (("link",), "int64"),
    "link_weight": (("link",), "float64"),
    "link_low": (("link",), "float64"),
    "link_high": (("link",), "float64"),
    "link_coefficient": (("link",), "float64"),
    "link_verdict": (("link",), _TEXT),
    "visual_reliance": (("step",), "float64"),
    "entropy": (("step",), "float64"),
    "js_previous": (("step",), "float64"),
    "top_overlap": (("step",), "float64"),
    "strength": (("perturbation",), "float64"),
    "pixel_distance": (("perturbation",), "float64"),
    "delta_w": (("perturbation",), "float64"),
    "delta_w_js": (("perturbation",), "float64"),
    "delta_p": (("perturbation",), "float64"),
    "flipped": (("perturbation",), "bool"),
    "perturbed_p": (("perturbation", "step"), "float64"),
    "perturbed_step_region": (("perturbation", "step", "region"), "float64"),
    "perturbed_answer": (("perturbation",), _TEXT),
    "thumbnail": (("perturbation", "ty", "tx", "channel"), "uint8"),
}
COORDS = {"word": _TEXT, "region": _TEXT, "perturbation": _TEXT, "box": _TEXT, "step": "int64"}
_NAN_FIRST = {"js_previous", "top_overlap"}
_ATTRS = {
    "question": str,
    "answer": str,
    "model": str,
    "model_revision": str,
    "estimator": str,
    "synthetic": bool,
    "seed": int,
    "regions": str,
    "absent": str,
    "masks": int,
    "p_answer": float,
    "stcg_version": str,
    "created_with": str,
}


def checked(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset if it is whole."""
    for name, (dims, dtype) in SCHEMA.items():
        if name not in dataset:
            raise InputError(f"An STCG needs {name!r} over {', '.join(dims)}; the dataset has none.")
        _check_array(name, dataset[name], dims, dtype)
    for name, dtype in COORDS.items():
        if name not in dataset.coords:
            raise InputError(f"An STCG needs the coordinate {name!r}; the dataset has none.")
        _check_array(name, dataset.coords[name], (name,), dtype)
    for name, kind in _ATTRS.items():
        if not isinstance(dataset.attrs.get(name), kind):
            raise InputError(
                f"An STCG needs the attribute {name!r} as {kind.__name__}; it is {dataset.attrs.get(name)!r}."
            )
    for key, value in dataset.attrs.items():
        if value is not None and not isinstance(value, (str, bool, int, float)):
            raise InputError(f"The attribute {key!r} is a {type(value).__name__}; it must be text or a number.")
    extra = set(dataset.variables) - set(SCHEMA) - set(COORDS)
    if extra:
        raise InputError(f"An STCG has no variable {sorted(str(e) for e in extra)[0]!r}.")
    for dim in ("word", "region", "step"):
        if not dataset.sizes[dim]:
            raise InputError(f"An STCG needs at least one {dim}.")
    for dim, size in (("box", 4), ("channel", 3)):
        if dataset.sizes[dim] != size:
            raise InputError(f"An STCG has {size} along {dim!r}; the dataset has {dataset.sizes[dim]}.")
    players, steps = dataset.sizes["word"] + dataset.sizes["region"], dataset.sizes["step"]
    ends = (
        ("link_source", 0, players),
        ("link_target", 0, players),
        ("link_third", -1, players),
        ("link_step", 0, steps),
    )
    for name, first, end in ends:
        if ((dataset[name].values < first) | (dataset[name].values >= end)).any():
            raise InputError(f"{name} must hold numbers from {first} to {end - 1}.")
    labels, regions = dataset["region_labels"].values, dataset.sizes["region"]
    if not np.array_equal(np.unique(labels), np.arange(regions)):
        raise InputError(f"region_labels must hold each number from 0 to {regions - 1}, and no other.")
    return dataset


def _check_array(name: str, array: xr.DataArray, dims: tuple[str, ...], dtype: str) -> None:
    if array.dims != dims:
        raise InputError(f"{name!r} has dimensions {array.dims}; they must be {dims}.")
    right = array.dtype.kind in "UT" if dtype == _TEXT else array.dtype == np.dtype(dtype)
    if not right and not (dtype == _TEXT and array.dtype == object):
        raise InputError(f"{name!r} holds {array.dtype}; it must hold {'text' if dtype == _TEXT else dtype}.")
    values = array.values[1:] if name in _NAN_FIRST else array.values
    if array.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{name!r} holds values that are not finite.")


def frozen(dataset: xr.Dataset) -> xr.Dataset:
    """A deep copy over read-only arrays; text is held as fixed-width unicode."""

    def held(array: xr.DataArray) -> np.ndarray:
        values: np.ndarray = array.values.astype(str) if array.dtype.kind in "UTO" else array.values.copy()
        values.setflags(write=False)
        return values

    attrs: dict[str, Any] = dict(dataset.attrs)
    return xr.Dataset(
        {name: (dims, held(dataset[name])) for name, (dims, _) in SCHEMA.items()},
        coords={name: held(dataset.coords[name]) for name in COORDS},
        attrs=attrs,
    )
