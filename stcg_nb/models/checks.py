"""Checks of the arguments of `stcg_nb.models.protocol.Model.trace` and `answer`, shared by the engine and the mock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stcg_nb.errors import InputError
from stcg_nb.models.protocol import CUTS, ENDS, SITES


def check_trace(
    n_images: int,
    sizes: Mapping[str, int],
    image_index: np.ndarray | None,
    keep_words: np.ndarray | None,
    keep_patches: np.ndarray | None,
    cuts: Mapping[str, np.ndarray] | None,
    capture: Sequence[str],
    sites: Sequence[str] = SITES,
    edges: Sequence[str] = tuple(CUTS),
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Check that the arguments of `Model.trace` fit together.

    Args:
        n_images: Number of distinct images.
        sizes: How many there are of ``word``, ``query``, ``patch`` and ``step``.
        image_index, keep_words, keep_patches, cuts, capture: As in `Model.trace`.
        sites: The model's sites.
        edges: The kinds of edges that can be cut in the model.

    Returns:
        The image index of each row, int ``[row]``, and for each kind of edge the cuts of each row, bool ``[row, from, to]``.

    Raises:
        InputError: For an unknown site or kind of edge, or an index or mask that does not fit.
    """
    unknown = set(capture) - set(sites)
    if unknown:
        raise InputError(f"{sorted(unknown)[0]!r} is no attention site of this model; valid are {', '.join(sites)}.")
    rows = np.arange(n_images) if image_index is None else np.asarray(image_index)
    if image_index is None and n_images == 1:
        masks = [m for m in (keep_words, keep_patches) if m is not None] or list((cuts or {}).values())
        rows = np.zeros(max((len(m) for m in masks if np.ndim(m)), default=1), dtype=int)
    if rows.ndim != 1 or (rows.size and not (rows.min() >= 0 and rows.max() < n_images)):
        raise InputError(f"image_index must be one number from 0 to {n_images - 1} for each row.")
    for label, mask, width in (
        ("keep_words", keep_words, sizes["word"]),
        ("keep_patches", keep_patches, sizes["patch"]),
    ):
        if mask is not None and np.shape(mask) != (len(rows), width):
            raise InputError(f"{label} has shape {np.shape(mask)}; it must be [row, ...] = {(len(rows), width)}.")
    return rows, check_cuts(len(rows), sizes, cuts, edges)


def check_cuts(
    n_rows: int,
    sizes: Mapping[str, int],
    cuts: Mapping[str, np.ndarray] | None,
    edges: Sequence[str] = tuple(CUTS),
) -> dict[str, np.ndarray]:
    """Check the cuts and repeat them for every row.

    Args:
        n_rows: Number of rows.
        sizes: As in `check_trace`. A dimension that is left out may have any length.
        cuts: For a kind of edge, bool ``[row or 1, from, to]``, True where the edge is cut.
        edges: The kinds of edges that can be cut in the model.

    Returns:
        For each kind of edge, bool ``[row, from, to]``.

    Raises:
        InputError: For an unknown kind of edge, or a mask of another type or shape.
    """
    checked = {}
    for kind, cut in (cuts or {}).items():
        if kind not in edges:
            raise InputError(f"{kind!r} is no kind of edge that can be cut; valid are {', '.join(edges)}.")
        cut = np.asarray(cut)
        fits = cut.ndim == 3 and all(sizes.get(d, n) == n for d, n in zip(ENDS[kind], cut.shape[1:], strict=True))
        if cut.dtype != bool or not fits or len(cut) not in (1, n_rows):
            wanted = ", ".join(str(sizes.get(d, "any")) for d in ENDS[kind])
            rows = "1" if n_rows == 1 else f"1 or {n_rows}"
            raise InputError(
                f"The cut of {kind!r} is {cut.dtype} of shape {cut.shape}; it must be bool [row, {', '.join(ENDS[kind])}] "
                f"= ({rows}, {wanted})."
            )
        checked[kind] = np.broadcast_to(cut, (n_rows, *cut.shape[1:]))
    return checked
