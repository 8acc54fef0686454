"""Alignment by attention, separately for each head of each layer at one site.

The estimator `attention` (`stcg_nb.attention.alignment`) averages heads and layers at every site. Here one site keeps them
apart and the others stay averaged. Links are linear in each site's map, so the mean over the site's layers and heads is the
estimator's alignment.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from stcg_nb.attention.alignment import align, needed_sites
from stcg_nb.case import Case
from stcg_nb.errors import InputError
from stcg_nb.graph.stcg import STCG
from stcg_nb.models import Model


def head_alignment(case: Case, site: str) -> xr.Dataset:
    """The alignment by attention for each head at a site.

    Args:
        case: The case whose words, steps and regions are linked.
        site: The site whose heads and layers are kept apart, one of `sites_of`.

    Returns:
        ``word_region`` ``[layer, head, word, region]``, ``step_region`` ``[layer, head, step, region]`` and ``step_word``
        ``[layer, head, step, word]``; dimensionless, at least 0.

    Raises:
        InputError: If `site` is not one of `sites_of`.

    >>> case = Case.read(np.zeros((32, 32, 3), np.uint8), "what is this?", "mock", regions="grid:2x2")
    >>> dict(head_alignment(case, "cross").sizes)
    {'layer': 2, 'head': 2, 'word': 3, 'region': 4, 'step': 3}
    """
    model = case.model
    if site not in sites_of(model):
        raise InputError(f"{site!r} has no heads that links go through; valid are {', '.join(sites_of(model))}.")
    maps = dict(model.heads(case.image, case.prompt, case.answer))
    # `align` averages layers. At this site it gets one layer at a time; at the other sites heads are averaged here.
    by_head = {s: m[:, :, None] if s == site else m.mean(1) for s, m in maps.items()}
    alignment = align("attention", by_head, case.layout).by_region(case)
    layers, heads = maps[site].shape[:2]

    def expanded(links: np.ndarray) -> np.ndarray:
        """``[layer, head, ...]``, also for links that do not pass through the site and so have no such dimensions."""
        return np.broadcast_to(links, (layers, heads, *links.shape[-2:]))

    return xr.Dataset(
        {
            "word_region": (("layer", "head", "word", "region"), expanded(alignment.word_patch)),
            "step_region": (("layer", "head", "step", "region"), expanded(alignment.step_patch)),
            "step_word": (("layer", "head", "step", "word"), expanded(alignment.step_word)),
        },
        attrs={"site": site},
    )


def sites_of(model: Model) -> tuple[str, ...]:
    """The sites of a model that the links of the estimator `attention` go through."""
    return tuple(s for s in needed_sites("attention", model.sites) if s not in ("qformer_self", "decoder"))


def of_head(stcg: STCG, links: xr.Dataset, layer: int | None, head: int | None) -> STCG:
    """The same graph with the alignment of one head in place of its own.

    Args:
        stcg: A graph of the same image, question and answer.
        links: The result of `head_alignment`.
        layer, head: Index of the layer and of the head; None takes the mean over all.

    Raises:
        InputError: For a layer or head that does not exist.
    """
    for name, i in (("layer", layer), ("head", head)):
        if i is not None and not 0 <= i < links.sizes[name]:
            raise InputError(f"There is no {name} {i}; valid are 0 to {links.sizes[name] - 1}.")
        links = links.mean(name) if i is None else links.isel({name: i})
    return STCG(stcg.data.assign({name: (stcg.data[name].dims, links[name].values) for name in links.data_vars}))
