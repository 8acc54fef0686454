"""The attention function against softmax written out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from stcg_nb.models.attention import attend, probing

ROWS, HEADS, QUERIES, KEYS, WIDTH = 2, 4, 3, 5, 8


@pytest.fixture
def qkv():
    torch.manual_seed(0)
    return (
        torch.randn(ROWS, HEADS, QUERIES, WIDTH), torch.randn(ROWS, 2, KEYS, WIDTH), torch.randn(ROWS, 2, KEYS, WIDTH),
    )  # fmt: skip


def plain(query, key, value, mask=None, cap=None, sinks=None):
    """Attention in loops: two heads of queries read one head of keys. Returns output ``[row, query, head, width]`` and weights."""
    out, weights = torch.zeros(ROWS, QUERIES, HEADS, WIDTH), torch.zeros(ROWS, HEADS, QUERIES, KEYS)
    for r in range(ROWS):
        for h in range(HEADS):
            for q in range(QUERIES):
                scores = [float(query[r, h, q] @ key[r, h // 2, k]) / WIDTH**0.5 for k in range(KEYS)]
                if cap is not None:
                    scores = [cap * float(torch.tanh(torch.tensor(s / cap))) for s in scores]
                if mask is not None:
                    scores = [s + float(mask[r, 0, q, k]) for k, s in enumerate(scores)]
                top = scores + ([float(sinks[h])] if sinks is not None else [])
                share = torch.tensor(top).softmax(0)[:KEYS]
                weights[r, h, q] = share
                out[r, q, h] = sum(share[k] * value[r, h // 2, k] for k in range(KEYS))
    return out, weights


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("options", [{}, {"softcap": 0.5}, {"s_aux": [0.3, -1.0, 2.0, 0.0]}, {"mask": True}])
def test_attend_is_softmax_written_out(qkv, captured, options):
    layer = SimpleNamespace(stcg_site="here", is_causal=True, num_key_value_groups=2, training=False)
    mask = torch.randn(ROWS, 1, QUERIES, KEYS) if "mask" in options else None
    sinks = torch.tensor(options["s_aux"]) if "s_aux" in options else None
    with probing(["here"] if captured else []) as probe:
        out, _ = attend(layer, *qkv, mask, softcap=options.get("softcap"), s_aux=sinks)
    expected, weights = plain(*qkv, mask, options.get("softcap"), sinks)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)
    if captured:
        torch.testing.assert_close(probe.maps["here"][0], weights.mean(1), atol=1e-6, rtol=1e-5)


def test_without_a_mask_nothing_is_masked_whatever_a_layer_says(qkv):
    outs = [
        attend(SimpleNamespace(is_causal=causal, num_key_value_groups=2, training=False), *qkv, None)[0]
        for causal in (True, False)
    ]
    assert torch.equal(*outs)


def test_a_cut_of_all_positions_serves_calls_that_hold_only_the_last(qkv):
    """With the first positions cached, a call has fewer queries than the cut."""
    layer = SimpleNamespace(stcg_site="here", num_key_value_groups=2, training=False)
    cut = torch.rand(ROWS, KEYS, KEYS) < 0.4
    cut[..., 0] = False
    mask = torch.zeros(ROWS, 1, QUERIES, KEYS).masked_fill(cut[:, None, -QUERIES:], -torch.inf)
    with probing(cuts={"here": cut}):
        out, _ = attend(layer, *qkv, None)
    torch.testing.assert_close(out, plain(*qkv, mask)[0], atol=1e-6, rtol=1e-5)


def test_only_chosen_queries_are_stored_and_local_positions_attend_to_themselves(qkv):
    layer = SimpleNamespace(stcg_site="here", num_key_value_groups=2, training=False)
    with probing(["here"], queries=torch.tensor([2, 0])) as probe:
        attend(layer, *qkv, None)
    torch.testing.assert_close(probe.maps["here"][0], plain(*qkv)[1].mean(1)[:, [2, 0]], atol=1e-6, rtol=1e-5)
    query, key, value = qkv[0], qkv[1][:, :, :QUERIES], qkv[2][:, :, :QUERIES]
    with probing(local=["here"]):
        out, _ = attend(layer, query, key, value, None)
    for head in range(HEADS):
        assert torch.equal(out[:, :, head], value[:, head // 2])
