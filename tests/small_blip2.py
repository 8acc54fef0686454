"""A BLIP-2 with random weights, small enough to compare with slow plain implementations, in a folder of hub format."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import torch
from transformers import (
    AutoTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessorPil,
)

QUERIES = 5


def save_small(folder: Path, *, seed: int = 0, side: int = 32, patch: int = 8) -> Path:
    """Write config, weights, tokenizer and processor, as on the hub."""
    tokenizer = AutoTokenizer.from_pretrained(str(files("stcg_nb") / "data" / "tiny"))
    config = Blip2Config(
        vision_config={
            "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
            "image_size": side, "patch_size": patch, "initializer_range": 0.3,
        },
        qformer_config={
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2,
            "encoder_hidden_size": 24, "cross_attention_frequency": 2, "initializer_range": 0.3, "vocab_size": 2,
            "hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5,
        },
        text_config={
            "model_type": "t5", "vocab_size": len(tokenizer), "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2,
            "num_decoder_layers": 2, "num_heads": 2, "feed_forward_proj": "gated-gelu", "dropout_rate": 0.5,
            "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1, "tie_word_embeddings": False,
        },
        num_query_tokens=QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    torch.manual_seed(seed)
    model = Blip2ForConditionalGeneration(config)
    with torch.no_grad():
        model.query_tokens.normal_()
        model.language_projection.weight.normal_()
        model.language_model.lm_head.weight.normal_(0, 0.5)
    model.save_pretrained(folder)
    Blip2Processor(
        BlipImageProcessorPil(size={"height": side, "width": side}), tokenizer, num_query_tokens=QUERIES
    ).save_pretrained(folder)
    return folder
