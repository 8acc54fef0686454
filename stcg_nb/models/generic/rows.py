"""Score counterfactual rows with the second half of a network, sharing what rows with the same picture have in common.

A mask changes nothing before the first position that it reaches. There, all rows with the same picture have the same keys and values,
so they are computed once for the picture. A picture with one row has nothing to share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from stcg_nb.models.adapters import Cuts
from stcg_nb.models.attention import probing
from stcg_nb.models.generic.calls import Arguments, Calls, join, split
from stcg_nb.models.generic.cuts import first_reached
from stcg_nb.models.generic.reading import Places
from stcg_nb.models.image_cache import tensors

SHORTEST = 16  # positions that are worth sharing


@dataclass(frozen=True)
class Sequences:
    """The sequences of one prompt and answer, for pictures of one size.

    Attributes:
        places: Of the prompt's tokens.
        ids: Token ids of prompt and answer, ``[1, position]``.
        types: Names of the network's arguments that give each position a type.
        keep: Number of positions at the end whose logits are wanted.
    """

    places: Places
    ids: Tensor
    types: Sequence[str]
    keep: int

    @property
    def length(self) -> int:
        return int(self.ids.shape[1])


def scored(calls: Calls, fronts: Mapping[int, Arguments], index: np.ndarray, of: Sequences) -> Tensor:
    """Logits ``[row, position, token]`` of the last positions.

    Args:
        calls: The network.
        fronts: What the language model is called with, by picture.
        index: The picture of each row, ``[row]``.
        of: The sequences.
    """
    return calls.back(join([fronts[i] for i in index]), of.ids.expand(len(index), -1), of.types, of.keep)


def scored_sharing(
    calls: Calls, fronts: Mapping[int, Arguments], index: np.ndarray, of: Sequences, cut: Cuts
) -> Tensor:
    """The same under masks by site (as from `stcg_nb.models.generic.cuts.masks`), with keys and values shared as far as no mask
    reaches."""
    at = _shared_length(of.places, of.length - of.keep, cut)
    _, row_of, rows = np.unique(index, return_inverse=True, return_counts=True)
    shared = (rows[row_of] > 1) & (at >= SHORTEST)
    out: list[Tensor] = [torch.empty(0)] * len(index)
    for run, chosen in ((_together, np.flatnonzero(shared)), (_apart, np.flatnonzero(~shared))):
        if len(chosen):
            part = {site: mask[chosen] for site, mask in cut.items()}
            for row, logits in zip(chosen, run(calls, fronts, index[chosen], of, part, at), strict=True):
                out[row] = logits
    return torch.stack(out)


def _apart(
    calls: Calls, fronts: Mapping[int, Arguments], index: np.ndarray, of: Sequences, cut: Cuts, at: int
) -> Tensor:
    """Rows from their first position on."""
    with probing(cuts=tensors(cut, of.ids.device)):
        return scored(calls, fronts, index, of)


def _together(
    calls: Calls, fronts: Mapping[int, Arguments], index: np.ndarray, of: Sequences, cut: Cuts, at: int
) -> Tensor:
    """Rows from the position `at` on, after the keys and values of their pictures."""
    pictures, row_of = np.unique(index, return_inverse=True)
    deep_first = bool(len(of.places.image)) and int(of.places.image[-1]) < at
    parts = {i: split(fronts[i], of.length, at, deep_first) for i in pictures}
    cache = DynamicCache()
    calls.back(join([parts[i][0] for i in pictures]), of.ids[:, :at].expand(len(pictures), -1), of.types, 1, cache)
    cache.batch_select_indices(torch.from_numpy(row_of).to(of.ids.device))
    with probing(cuts=tensors(cut, of.ids.device)):
        rest = join([parts[i][1] for i in index])
        return calls.back(rest, of.ids[:, at:].expand(len(index), -1), of.types, of.keep, cache)


def scored_masked(
    calls: Calls, fronts: Mapping[int, Arguments], index: np.ndarray, of: Sequences, keep_words: np.ndarray | None
) -> Tensor:
    """The same as `scored`, with absent words masked by the library's own mask of absent tokens; words are ``[row, word]``."""
    arguments = dict(join([fronts[i] for i in index]))
    if keep_words is not None:
        there = torch.ones(len(index), of.length, dtype=torch.long, device=of.ids.device)
        for word, tokens in enumerate(of.places.words):
            absent = torch.from_numpy(~np.asarray(keep_words, dtype=bool)[:, word]).to(there.device)
            there[:, of.places.text[list(tokens)]] *= (~absent).long()[:, None]
        arguments["attention_mask"] = there
    return calls.back(arguments, of.ids.expand(len(index), -1), of.types, of.keep)


def _shared_length(places: Places, most: int, cut: Cuts) -> int:
    """How many positions the rows share: whole pictures or none of their tokens."""
    at = min(first_reached(places, cut), most) if cut else most
    inside = len(places.image) and places.image[0] < at <= places.image[-1]
    return int(places.image[0]) if inside else at
