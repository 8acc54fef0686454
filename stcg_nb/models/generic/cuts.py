"""Masks of attention in a causal sequence, from absent words, absent image tokens and cut edges."""

from __future__ import annotations

import numpy as np

from stcg_nb.models.adapters import Cuts
from stcg_nb.models.generic.reading import Places


def masks(
    places: Places,
    length: int,
    keep_words: np.ndarray | None,
    keep_patches: np.ndarray | None,
    cuts: Cuts,
    crossed: bool,
) -> Cuts:
    """For each site, True where a query must not attend to a key, bool ``[row, query or 1, key]``; empty if nothing is cut.

    Args:
        places: Of the prompt's tokens.
        length: Number of positions, those of the answer included.
        keep_words, keep_patches, cuts: As in `stcg_nb.models.protocol.Model.trace`, checked.
        crossed: Whether patches are keys of the site ``cross`` and not positions of the sequence.
    """
    given = [m for m in (keep_words, keep_patches, *cuts.values()) if m is not None]
    if not given:
        return {}
    rows, queries = len(given[0]), length if cuts else 1
    words = [places.text[list(tokens)] for tokens in places.words]
    language = np.zeros((rows, queries, length), dtype=bool)
    if keep_words is not None:
        for word, at in enumerate(words):
            language[:, :, at] |= ~np.asarray(keep_words, dtype=bool)[:, word, None, None]
    patches = None if keep_patches is None else np.logical_not(np.asarray(keep_patches, dtype=bool))
    seen = [m.shape[2] for kind, m in cuts.items() if kind.endswith("patch")] + (
        [] if patches is None else [patches.shape[1]]
    )
    to_patches = np.zeros((rows, queries, seen[0] if seen else 0), dtype=bool)
    if patches is not None:
        to_patches |= patches[:, None]
    first_step = len(places.ids) - 1  # the position that predicts the first step
    for kind, cut in cuts.items():
        source, target = kind.split("_")
        for i in range(cut.shape[1]):
            queries_of = words[i] if source == "word" else [first_step + i] if first_step + i < length else []
            for q in queries_of:
                if target == "patch":
                    to_patches[:, q] |= cut[:, i]
                else:
                    for word, at in enumerate(words):
                        language[:, q, at] |= cut[:, i, word, None]
    if seen and not crossed:
        language[:, :, places.image] |= to_patches
    found = {"language": language}
    return found | {"cross": to_patches} if seen and crossed else found


def first_reached(places: Places, cut: Cuts) -> int:
    """The first position whose state a mask changes; the length of the sequence if none does.

    Image tokens may attend to each other in both directions, so a cut image token reaches the first of them.
    """
    mask = cut["language"]
    keys, queries = np.asarray(mask.any((0, 1))), np.asarray(mask.any((0, 2)))
    by_key = int(keys.argmax()) if keys.any() else mask.shape[2]
    reached = by_key if mask.shape[1] == 1 else max(by_key, int(queries.argmax()))
    if "cross" in cut and cut["cross"].any():
        return 0
    return min(reached, int(places.image[0])) if len(places.image) and keys[places.image].any() else reached
