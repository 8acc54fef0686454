"""Mean attention over heads and layers.

E is the encoder's attention, X the Q-Former's cross-attention and C the decoder's cross-attention:
S = E[text, query] X, A = C[:, query] X + C[:, text] S, B = C[:, text]. In a decoder-only language model E and C are rows of one
map: the rows of the text tokens, and the rows of the positions that predict steps. Where the language model reads patches
instead of query tokens, X is the identity. Where it attends to patches in layers of its own, E and C are rows of these layers for
patches, and of its self-attention for text.
"""

from __future__ import annotations

import torch

from stcg_nb.attention.token_links import (
    ESTIMATORS,
    Estimator,
    ImageLinks,
    LanguageLinks,
    Maps,
    TokenLinks,
    crossed_rows,
    patch_links,
    text_rows,
)
from stcg_nb.models.layout import Layout


def _attention(maps: Maps, layout: Layout) -> TokenLinks:
    n = layout.n_image_tokens
    mean = {site: m.mean(-3, dtype=torch.double) for site, m in maps.items()}
    if "qformer_cross" in mean:
        cross, own = mean["qformer_cross"][..., 1:], mean["qformer_self"]  # 1: drops CLS, no patch
        image = ImageLinks(cross, own[..., n:, :n] @ cross, own[..., :n, n:])
    else:
        image = patch_links(torch.eye(n, dtype=torch.double)[:, n - layout.n_patches :])
    causal = mean.get("reading", mean.get("language"))
    if causal is None:
        encoder, steps = mean["encoder"], mean["cross"]
        language = LanguageLinks(encoder[..., n:, :n], steps[..., :n], steps[..., n:])
    elif "cross" in mean:
        language = crossed_rows(causal, mean["cross"], layout)
    else:
        language = text_rows(causal, layout)
    text_patch = language.text_image @ image.patch
    step_patch = language.step_image @ image.patch + language.step_text @ text_patch
    return TokenLinks(text_patch, step_patch, language.step_text, image.text_patch, language.step_image @ image.text)


ESTIMATORS.add("attention", Estimator(_attention, reads_vision=False), _attention)
