"""The variables of an `STCG`'s dataset: for each its dimensions, number format, units and meaning.

Building, checking, loading and freezing all use `SCHEMA`. Units and meanings are set as xarray attributes when a dataset is made;
files do not store them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from stcg_nb.errors import InputError

_TEXT = "U"
FORMAT, VERSION = "stcg", 6  # written to each file
MATTERS = (
    0.5  # nats from which an effect counts: the odds change by a factor of 1.65, so that p = .50 becomes .62 or .38
)


class Variable(NamedTuple):
    """A variable's dimensions, number format, units (empty if it has none) and meaning."""

    dims: tuple[str, ...]
    dtype: str
    units: str
    meaning: str

    @property
    def attrs(self) -> dict[str, str]:
        """The variable's xarray attributes: ``units`` and ``long_name``."""
        return {**({"units": self.units} if self.units else {}), "long_name": self.meaning}


SCHEMA: dict[str, Variable] = {
    "word_text": Variable(("word",), _TEXT, "", "the question's words"),
    "token_text": Variable(("step",), _TEXT, "", "the answer's tokens"),
    "image": Variable(("y", "x", "channel"), "uint8", "", "the picture as it was given, RGB"),
    "region_labels": Variable(("y", "x"), "int32", "", "number of the region that each pixel belongs to"),
    "region_box": Variable(
        ("region", "box"), "int64", "pixels", "x0, y0, x1, y1 of each region, the latter two exclusive"
    ),
    "p": Variable(("step",), "float64", "1", "probability of the answer's token"),
    "v": Variable(("step",), "float64", "nats", "the same as log-odds"),
    "word_region": Variable(
        ("word", "region"),
        "float64",
        "1",
        "alignment S of words with regions, at least 0, by the method named in the attribute `estimator`",
    ),
    "step_region": Variable(("step", "region"), "float64", "1", "alignment A of steps with regions, at least 0"),
    "step_word": Variable(("step", "word"), "float64", "1", "alignment B of steps with words, at least 0"),
    "word_share": Variable(
        ("step", "word"),
        "float64",
        "1",
        "part of attention to all words that goes to that word, 0 to 1, over all heads and layers, whatever the `estimator`",
    ),
    "region_share": Variable(("step", "region"), "float64", "1", "the same of regions, 0 to 1"),
    "word_region_share": Variable(
        ("word", "region"), "float64", "1", "part of a word's attention to all regions that goes to that region, 0 to 1"
    ),
    "word_effect": Variable(
        ("step", "word"),
        "float64",
        "nats",
        "v with everything less v without that word; positive if it supports the token",
    ),
    "region_effect": Variable(
        ("step", "region"), "float64", "nats", "the same without that region, removed as the attribute `removal` says"
    ),
    "word_low": Variable(
        ("step", "word"),
        "float64",
        "nats",
        "smallest effect under the fills that were tried; the effect itself where it was one",
    ),
    "word_high": Variable(("step", "word"), "float64", "nats", "largest effect under the fills"),
    "region_low": Variable(("step", "region"), "float64", "nats", "smallest effect under the fills"),
    "region_high": Variable(("step", "region"), "float64", "nats", "largest effect under the fills"),
    "word_verdict": Variable(
        ("step", "word"),
        _TEXT,
        "",
        "confirmed, spurious, hidden, unclear or none: compares attention with the effect, which matters from 0.5 nats on "
        "(`stcg_nb.interventions.verdicts`); empty without a causal graph",
    ),
    "region_verdict": Variable(("step", "region"), _TEXT, "", "the same of regions"),
    "intercept": Variable(
        ("step",),
        "float64",
        "ranks",
        "constant with which the sparse graph predicts the ranks of masks (`stcg_nb.interventions.sparse`)",
    ),
    "word_coefficient": Variable(("step", "word"), "float64", "ranks", "coefficient of each word in the sparse graph"),
    "region_coefficient": Variable(
        ("step", "region"), "float64", "ranks", "coefficient of each region in the sparse graph"
    ),
    "link_source": Variable(
        ("link",),
        "int64",
        "",
        "first player (words, then regions) of an interaction of two players or a triple link of three",
    ),
    "link_target": Variable(("link",), "int64", "", "second player"),
    "link_third": Variable(("link",), "int64", "", "third player; -1 for an interaction of two"),
    "link_step": Variable(("link",), "int64", "", "step of the link"),
    "link_weight": Variable(
        ("link",), "float64", "nats", "how far the players' separate effects do not add up to their joint effect"
    ),
    "link_low": Variable(("link",), "float64", "nats", "smallest weight under the fills that were tried"),
    "link_high": Variable(("link",), "float64", "nats", "largest weight under the fills that were tried"),
    "link_coefficient": Variable(("link",), "float64", "ranks", "coefficient of the link in the sparse graph"),
    "link_verdict": Variable(("link",), _TEXT, "", "the same of a link between word and region; empty for other links"),
    "group_kind": Variable(
        ("group",), _TEXT, "", "as one, or stand-ins: regions that belong together (`stcg_nb.interventions.groups`)"
    ),
    "group_step": Variable(("group",), "int64", "", "the step at which they do"),
    "group_region": Variable(("group", "region"), "bool", "", "which regions belong to the group"),
    "group_effect": Variable(("group",), "float64", "nats", "v with everything less v without all of them"),
    "curve_links": Variable(("size",), "int64", "", "numbers of links at a step"),
    "curve_lds": Variable(
        ("size",), "float64", "1", "estimated LDS of the graph with so many links, the most telling first"
    ),
    "visual_reliance": Variable(("step",), "float64", "nats", "v less v with the image blanked"),
    "entropy": Variable(("step",), "float64", "nats", "entropy of the step's normalised links with regions"),
    "js_previous": Variable(
        ("step",),
        "float64",
        "1",
        "Jensen-Shannon distance of those links to the previous step's, 0 to 1; NaN at step 0",
    ),
    "top_overlap": Variable(
        ("step",),
        "float64",
        "1",
        "share of the five strongest regions kept from the previous step; NaN at step 0",
    ),
    "strength": Variable(("perturbation",), "float64", "1", "strength of the perturbation, 0 to 1"),
    "pixel_distance": Variable(("perturbation",), "float64", "1", "root mean square change of the pixels, 0 to 1"),
    "delta_w": Variable(("perturbation",), "float64", "1", "mean absolute change of attention's word-region links"),
    "delta_w_js": Variable(
        ("perturbation",), "float64", "1", "change of these links as a Jensen-Shannon distance, 0 to 1"
    ),
    "delta_p": Variable(("perturbation",), "float64", "1", "change of the answer's probability, -1 to 1"),
    "flipped": Variable(("perturbation",), "bool", "", "whether greedy decoding gives another answer"),
    "perturbed_p": Variable(
        ("perturbation", "step"),
        "float64",
        "1",
        "p of the original answer's tokens on the perturbed picture",
    ),
    "perturbed_step_region": Variable(
        ("perturbation", "step", "region"), "float64", "1", "alignment A by attention, on the perturbed picture"
    ),
    "perturbed_answer": Variable(("perturbation",), _TEXT, "", "the model's answer on the perturbed picture"),
    "thumbnail": Variable(("perturbation", "ty", "tx", "channel"), "uint8", "", "the perturbed picture, small"),
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
    "removal": str,
    "masks": int,
    "masks_asked": str,
    "fills": str,
    "p_answer": float,
    "stcg_version": str,
    "created_with": str,
}


def checked(dataset: xr.Dataset) -> xr.Dataset:
    """Return the dataset if it fits the schema, else raise `InputError`."""
    for name, (dims, dtype, *_) in SCHEMA.items():
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
    """Raise `InputError` if an array has other dimensions, another number format, or values that are not finite."""
    if array.dims != dims:
        raise InputError(f"{name!r} has dimensions {array.dims}; they must be {dims}.")
    valid = array.dtype.kind in "UT" if dtype == _TEXT else array.dtype == np.dtype(dtype)
    if not valid and not (dtype == _TEXT and array.dtype == object):
        raise InputError(f"{name!r} holds {array.dtype}; it must hold {'text' if dtype == _TEXT else dtype}.")
    values = array.values[1:] if name in _NAN_FIRST else array.values
    if array.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{name!r} holds values that are not finite.")


def frozen(dataset: xr.Dataset) -> xr.Dataset:
    """A deep copy with read-only arrays; text becomes fixed-width Unicode."""

    def read_only(array: xr.DataArray) -> np.ndarray:
        values: np.ndarray = array.values.astype(str) if array.dtype.kind in "UTO" else array.values.copy()
        values.setflags(write=False)
        return values

    attrs: dict[str, Any] = dict(dataset.attrs)
    return xr.Dataset(
        {name: (variable.dims, read_only(dataset[name]), variable.attrs) for name, variable in SCHEMA.items()},
        coords={name: read_only(dataset.coords[name]) for name in COORDS},
        attrs=attrs,
    )
