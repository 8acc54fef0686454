"""Make an `STCG` from its arrays: dimensions, units and coordinates come from the schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from stcg_nb.graph.schema import SCHEMA
from stcg_nb.graph.stcg import STCG


def build(
    arrays: Mapping[str, np.ndarray], regions: Sequence[str], perturbations: Sequence[str], attrs: Mapping[str, Any]
) -> STCG:
    """Make an `STCG` from arrays.

    Args:
        arrays: One array per variable of `stcg_nb.graph.schema.SCHEMA`, with the dimensions and units given there.
        regions: Names of the regions, ``[region]``.
        perturbations: Names of the perturbations, ``[perturbation]``.
        attrs: Question, model, options and other facts about the explanation.

    Raises:
        InputError: If a variable is missing or has other dimensions.
    """
    return STCG(
        xr.Dataset(
            {name: (SCHEMA[name].dims if name in SCHEMA else (), array) for name, array in arrays.items()},
            coords={
                "word": [f"w{i}" for i in range(len(arrays["word_text"]))],
                "region": list(regions),
                "step": np.arange(len(arrays["token_text"])),
                "perturbation": np.array(perturbations, dtype=str),
                "box": ["x0", "y0", "x1", "y1"],
            },
            attrs=dict(attrs),
        )
    )
