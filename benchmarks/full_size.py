"""Configs of checkpoints that many people use, at full size. They were written by hand from what their makers published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import transformers


def _qwen2_5_vl(width: int, inner: int, layers: int, heads: int, groups: int, tied: bool) -> Any:
    return transformers.Qwen2_5_VLConfig(
        vision_config={
            "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "patch_size": 14,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112, "out_hidden_size": width,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        text_config={
            "model_type": "qwen2_5_vl_text", "vocab_size": 151936 if tied else 152064, "hidden_size": width,
            "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": groups, "tie_word_embeddings": tied,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        },
        tie_word_embeddings=tied,
    )  # fmt: skip


def _qwen3_vl_4b() -> Any:
    return transformers.Qwen3VLConfig(
        vision_config={
            "depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "patch_size": 16,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 2560, "num_position_embeddings": 2304,
            "deepstack_visual_indexes": [5, 11, 17],
        },
        text_config={
            "model_type": "qwen3_vl_text", "vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728,
            "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20], "mrope_interleaved": True,
            },
        },
        tie_word_embeddings=True,
    )  # fmt: skip


def _internvl3_8b() -> Any:
    return transformers.InternVLConfig(
        vision_config={
            "model_type": "internvl_vision", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
            "num_attention_heads": 16, "image_size": [448, 448], "patch_size": [14, 14],
        },
        text_config={
            "model_type": "qwen2", "vocab_size": 151674, "hidden_size": 3584, "intermediate_size": 18944,
            "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": False,
        },
        image_seq_length=256, downsample_ratio=0.5, tie_word_embeddings=False,
    )  # fmt: skip


def _siglip(**changes: Any) -> dict[str, Any]:
    return {
        "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
        "num_attention_heads": 16, "patch_size": 14, "vision_use_head": False, **changes,
    }  # fmt: skip


def _gemma3_4b() -> Any:
    return transformers.Gemma3Config(
        vision_config=_siglip(image_size=896), mm_tokens_per_image=256,
        text_config={
            "model_type": "gemma3_text", "vocab_size": 262208, "hidden_size": 2560, "intermediate_size": 10240,
            "num_hidden_layers": 34, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
            "sliding_window": 1024, "tie_word_embeddings": True,
        },
        tie_word_embeddings=True,
    )  # fmt: skip


def _llava_onevision_7b() -> Any:
    return transformers.LlavaOnevisionConfig(
        vision_config=_siglip(image_size=384, num_hidden_layers=26),
        text_config={
            "model_type": "qwen2", "vocab_size": 152000, "hidden_size": 3584, "intermediate_size": 18944,
            "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4, "tie_word_embeddings": False,
        },
        tie_word_embeddings=False,
    )  # fmt: skip


CONFIGS: Mapping[str, Callable[[], Any]] = {
    "Qwen2.5-VL-3B": lambda: _qwen2_5_vl(2048, 11008, 36, 16, 2, True),
    "Qwen2.5-VL-7B": lambda: _qwen2_5_vl(3584, 18944, 28, 28, 4, False),
    "Qwen3-VL-4B": _qwen3_vl_4b,
    "InternVL3-8B": _internvl3_8b,
    "Gemma-3-4B": _gemma3_4b,
    "LLaVA-OneVision-7B": _llava_onevision_7b,
}
