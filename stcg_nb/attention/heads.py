"""Alignment by attention of one head of one layer at a time.

The estimator `attention` (`stcg_nb.attention.alignment`) averages heads and layers at every site. Here one site keeps them
apart, and the
others stay averaged. Links are linear in each site's map, so the mean over layers and heads is the estimator's alignment again.
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
    """What each head at a site links.

    Args:
        case: Whose words and steps are linked with its regions.
        site: Where heads and layers are kept apart, one of `sites_of`.

    Returns:
        ``word_region`` ``[layer, head, word, region]``, ``step_region`` ``[layer, head, step, region]`` and ``step_word``
        ``[layer, head, step, word]``, all at least 0.

    Raises:
        InputError: For another site.

    >>> case = Case.read(np.zeros((32, 32, 3), np.uint8), "what is this?", "mock", regions="grid:2x2")
    >>> dict(head_alignment(case, "cross").sizes)
    {'layer': 2, 'head': 2, 'word': 3, 'region': 4, 'step': 3}
    """
    model = case.model
    if site not in sites_of(model):
        raise InputError(f"{site!r} has no heads that links go through; valid are {', '.join(sites_of(model))}.")
    maps = dict(model.heads(case.image, case.prompt, case.answer))
    # At the other sites heads are averaged here, and layers by `align`; at this one `align` has but one layer to average.
    apart = {s: m[:, :, None] if s == site else m.mean(1) for s, m in maps.items()}
    found = align("attention", apart, model, case.prompt).by_region(case)
    layers, heads = maps[site].shape[:2]

    def whole(links: np.ndarray) -> np.ndarray:
        """With layers and heads, also where a link does not go through the site."""
        return np.broadcast_to(links, (layers, heads, *links.shape[-2:]))

    return xr.Dataset(
        {
            "word_region": (("layer", "head", "word", "region"), whole(found.word_patch)),
            "step_region": (("layer", "head", "step", "region"), whole(found.step_patch)),
            "step_word": (("layer", "head", "step", "word"), whole(found.step_word)),
        },
        attrs={"site": site},
    )


def sites_of(model: Model) -> tuple[str, ...]:
    """The sites of a model that the links of the estimator `attention` go through."""
    return tuple(s for s in needed_sites("attention", model.sites) if s not in ("qformer_self", "decoder"))


def of_head(stcg: STCG, links: xr.Dataset, layer: int | None, head: int | None) -> STCG:
    """The same graph with a head's links in place of its own alignment.

    Args:
        stcg: Of the same image, question and answer.
        links: From `head_alignment`.
        layer, head: Which; the mean over all where left out.

    Raises:
        InputError: For a layer or head that does not exist.
    """
    for name, i in (("layer", layer), ("head", head)):
        if i is not None and not 0 <= i < links.sizes[name]:
            raise InputError(f"There is no {name} {i}; valid are 0 to {links.sizes[name] - 1}.")
        links = links.mean(name) if i is None else links.isel({name: i})
    return STCG(stcg.data.assign({name: (stcg.data[name].dims, links[name].values) for name in links.data_vars}))
