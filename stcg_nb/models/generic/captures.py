"""Captured attention of a causal sequence, in the order of positions that the rest of the package reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from stcg_nb.models.generic.rows import Sequences


def layers_of(capture: Sequence[str]) -> tuple[str, ...]:
    """The sites of layers that must be captured for sites of a model: ``reading`` is a part of ``language``."""
    return tuple(dict.fromkeys("language" if site == "reading" else site for site in capture))


def stored_queries(capture: Sequence[str], of: Sequences) -> Tensor | None:
    """Positions whose attention must be stored: those of text and answer, unless ``language`` is wanted with all of them."""
    return None if "language" in capture else torch.from_numpy(of.places.order(of.length)[len(of.places.image) :])


def arranged(maps: Mapping[str, Tensor], capture: Sequence[str], of: Sequences, steps: int) -> dict[str, Tensor]:
    """Maps by site, queries and keys in the order of `stcg_nb.models.layout.Layout`, without positions that predict no step.

    Args:
        maps: By site of layers, ``[..., query, key]`` in the order of the sequence; of all queries, or of the `stored_queries`.
        capture: The sites that are wanted.
        of: The sequences.
        steps: Number of steps.
    """
    n = len(of.places.image)
    length = len(of.places.ids) + steps - 1
    order = torch.from_numpy(of.places.order(of.length)[:length])
    some = stored_queries(capture, of) is not None
    out = {}
    for site in capture:
        rows = maps[layers_of([site])[0]]
        queries = slice(0, length - n) if some else order if site == "language" else order[n:]
        out[site] = rows[..., queries, :] if site == "cross" else rows[..., queries, :][..., order]
    return out
