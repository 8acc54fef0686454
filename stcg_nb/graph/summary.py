"""A summary of a graph in words."""

from __future__ import annotations

import numpy as np

from stcg_nb.graph.groups import groups_said
from stcg_nb.graph.stcg import STCG


def summary(stcg: STCG) -> str:
    """Sum up a graph in a few sentences.

    They name the word and the region whose removal costs a token most, in nats, the regions that belong together, and the
    perturbation with the largest |Δp|. How far a graph can be trusted is said by `stcg_nb.graph.trust.trust_said`.
    """
    data = stcg.data
    words, regions = data["word_effect"].values, data["region_effect"].values
    t, w = np.unravel_index(int(words.argmax()), words.shape)
    s, r = np.unravel_index(int(regions.argmax()), regions.shape)
    text = (
        f"Without the word “{stcg.words[w]}” the token “{stcg.steps[t]}” loses {words[t, w]:.1f} nats"
        if words[t, w] > 0
        else "No word alone costs a token anything"
    )
    text += (
        f"; without region {stcg.regions[r]} the token “{stcg.steps[s]}” loses {regions[s, r]:.1f} nats. "
        if regions[s, r] > 0
        else "; no region alone costs a token anything. "
    )
    if together := groups_said(stcg):
        text += together[0] + " "
    if data.sizes["perturbation"]:
        k = int(np.abs(data["delta_p"].values).argmax())
        flips = int(data["flipped"].values.sum())
        text += (
            f"Of {data.sizes['perturbation']} perturbations {flips} change the answer; the largest change in its probability, "
            f"{data['delta_p'].values[k]:+.2f}, is by {data['perturbation'].values[k]}."
        )
    return text
