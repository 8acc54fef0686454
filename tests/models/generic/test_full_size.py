"""Checkpoints at full size, on torch's meta device: each layer of the language model is heard, memory and operations are counted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import transformers
from small_vlms import text
from torch.utils.flop_counter import FlopCounterMode

from stcg_nb.models.attention import install, probing
from stcg_nb.models.generic.calls import language_model
from stcg_nb.models.memory import Place, needed_bytes, weight_bytes

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
PARAMETERS = {  # 10^9, as published
    "Qwen2.5-VL-3B": 3.75, "Qwen2.5-VL-7B": 8.29, "Qwen3-VL-4B": 4.44, "InternVL3-8B": 7.94, "Gemma-3-4B": 4.30,
    "LLaVA-OneVision-7B": 8.03,
}  # fmt: skip


@pytest.fixture(scope="module")
def configs():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from full_size import CONFIGS
    finally:
        sys.path.remove(str(BENCHMARKS))
    return CONFIGS


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_layer_is_heard_and_memory_is_estimated(name, configs):
    config = configs[name]()
    with torch.device("meta"):
        network = transformers.AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16).eval()
    count = sum(p.numel() for p in network.parameters())
    assert count / 1e9 == pytest.approx(PARAMETERS[name], rel=0.01)
    place = Place("cuda", torch.bfloat16)
    assert weight_bytes(network, place) == 2 * count and needed_bytes(network, place) > 2 * count
    assert weight_bytes(network, Place("cuda", torch.bfloat16, "4bit")) < 0.9 * count
    install(network, {})
    language = language_model(network)
    words = torch.empty(1, 8, config.get_text_config().hidden_size, device="meta", dtype=torch.bfloat16)
    with torch.no_grad(), probing() as probe:
        language(inputs_embeds=words, attention_mask=torch.ones(1, 8, dtype=torch.long, device="meta"))
    assert len({module for module, _ in probe.heard}) == config.get_text_config().num_hidden_layers


def test_operations_are_those_that_torch_counts():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from count_families import pass_through
    finally:
        sys.path.remove(str(BENCHMARKS))
    config = transformers.Qwen2Config(**text("qwen2", num_hidden_layers=5), attn_implementation="eager")
    model = transformers.Qwen2Model(config).eval()
    n = 40
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(inputs_embeds=torch.zeros(1, n, config.hidden_size), use_cache=False)
    width = config.num_attention_heads * 8
    assert pass_through(model, n, n, 5, width) == pytest.approx(counter.get_total_flops(), rel=0.02)
