"""Small random models of today's vision-language classes, with tokenizers and processors, in folders of hub format.

Each entry of `SMALL` says how its config, image processor, processor and prompt differ. Nothing is downloaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from small_families import WORDS, merges, vocabulary
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

MARKS = [
    "<unk>", "<s>", "</s>", "<pad>", "<image>", "<video>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|image_pad|>", "<|video_pad|>", "<IMG_CONTEXT>", "<img>", "</img>", "<fake_token_around_image>", "<end_of_utterance>",
    "<global-img>", *(f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7)), "<start_of_image>", "<end_of_image>",
    "<image_soft_token>", "<bos>", "<|image|>", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "<|START_OF_IMG|>", "<|END_OF_IMG|>",
    "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE_GLOBAL", *(f"TILE_{i}" for i in range(1, 13)), "<|begin_of_image|>",
    "<|end_of_image|>", "<image_placeholder>", "<begin_of_image>", "<IMG_ATOM>", "<IMG_START>", "<IMG_GRID>", "<IMG_COL>",
    "<IMG_ROW>", "<IMG_END>", "<start_of_turn>", "<end_of_turn>", "<audio>", "<start_of_audio>", "<end_of_audio>",
    "<|begin_of_video|>", "<|end_of_video|>",
]  # fmt: skip


def tokenizer(**named: str) -> transformers.PreTrainedTokenizerFast:
    """Bytes and merges, with the marks of every family."""
    joins = merges(["Ġ" + word for word in WORDS] + WORDS)
    raw = Tokenizer(models.BPE(vocabulary(MARKS, sorted(pre_tokenizers.ByteLevel.alphabet()), joins), joins))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    raw.add_special_tokens(MARKS)
    raw.post_processor = processors.ByteLevel(trim_offsets=False)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        extra_special_tokens=named,
    )  # fmt: skip


PLAIN = tokenizer()
SIZE = len(PLAIN) + 8
mark = PLAIN.convert_tokens_to_ids


def text(model_type: str = "llama", **changes: Any) -> dict[str, Any]:
    """The config of a language model."""
    return {
        "model_type": model_type, "vocab_size": SIZE, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 2048,
        "initializer_range": 0.3, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3, "attention_dropout": 0.0,
        "tie_word_embeddings": False, **changes,
    }  # fmt: skip


def vision(model_type: str = "siglip_vision_model", **changes: Any) -> dict[str, Any]:
    """The config of a vision model with square pictures."""
    return {
        "model_type": model_type, "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
        "image_size": 32, "patch_size": 8, "initializer_range": 0.3, **changes,
    }  # fmt: skip


def qwen_vision(model_type: str, **changes: Any) -> dict[str, Any]:
    """The config of a vision model of Qwen."""
    return {
        "model_type": model_type, "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 8,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 32, "initializer_range": 0.3, **changes,
    }  # fmt: skip


@dataclass
class Small:
    """One small model.

    Attributes:
        name: Of its classes: ``{name}Config``, ``{name}ForConditionalGeneration``.
        config: Arguments of the config.
        images: Name of the image processor's class without ``ImageProcessorPil``, and its arguments.
        template: The user's turn, with ``{}`` for the question; with the chat template's marks around it unless `bare`.
        processor: Name of the processor's class without ``Processor``; `name` if left out.
        settings: The processor's own arguments.
        named: Special tokens that the tokenizer knows by name.
        bare: The checkpoint has no chat template.
        level: What the model is to be offered.
        tokens: How many image tokens a picture of 64 x 96 pixels has.
    """

    name: str
    config: dict[str, Any]
    images: tuple[str, dict[str, Any]]
    template: str = "<image>\n{}"
    processor: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    bare: bool = False
    level: str = "cut"
    after: Callable[[Any], None] = lambda model: None


SQUARE = {"height": 32, "width": 32}
CLIP = vision("clip_vision_model", projection_dim=16)
CROP = ("CLIP", {"size": {"shortest_edge": 32}, "crop_size": SQUARE})
PIN = [[32, 64], [64, 32], [64, 64]]
MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
FIXED = {"patch_size": 8, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
SLIDING = {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"], "sliding_window": 64}
PIXTRAL = vision("pixtral", hidden_size=32, intermediate_size=48, image_size=128, head_dim=16)
PIXTRAL_MARKS = {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"}
TILES = ("GotOcr2", {"size": SQUARE, "crop_to_patches": True, "min_patches": 1, "max_patches": 4})
PAD = {"image_token_id": mark("<|image_pad|>"), "video_token_id": mark("<|video_pad|>")}
VISION_ENDS = {"vision_start_token_id": mark("<|vision_start|>"), "vision_end_token_id": mark("<|vision_end|>")}
QWEN = {
    "images": ("Qwen2VL", {"patch_size": 8, "temporal_patch_size": 2, "merge_size": 2, "min_pixels": 1024, "max_pixels": 8192}),
    "template": "<|vision_start|><|image_pad|><|vision_end|>{}",
}  # fmt: skip
GEMMA_IMAGE = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}


def gemma(model_type: str, **changes: Any) -> dict[str, Any]:
    return text(model_type, tie_word_embeddings=True, **{**SLIDING, "query_pre_attn_scalar": 8, **changes})


def paligemma(language: dict[str, Any]) -> Small:
    config = {
        "vision_config": vision(vision_use_head=False, projection_dim=32), "text_config": language,
        "image_token_index": mark("<image>"), "vocab_size": SIZE, "projection_dim": 32, "hidden_size": 32,
    }  # fmt: skip
    return Small(
        "PaliGemma", config, ("Siglip", {"size": SQUARE, "image_seq_length": 16}), "<image>answer en {}",
        named={"image_token": "<image>"}, bare=True,
    )  # fmt: skip


def open_gates(model: Any) -> None:
    """Mllama's cross-attention begins closed."""
    for name, weight in model.named_parameters():
        if "gate" in name:
            weight.data.fill_(0.7)


def draw_projection(model: Any) -> None:
    """Gemma 3's projection begins at zero."""
    for name, weight in model.named_parameters():
        if "mm_input_projection_weight" in name:
            weight.data.normal_(0, 0.3)


SMALL: dict[str, Small] = {
    "qwen2_vl": Small(
        "Qwen2VL", {
            "vision_config": qwen_vision("qwen2_vl_vision", embed_dim=32, mlp_ratio=2),
            "text_config": text("qwen2_vl_text", rope_parameters=MROPE), **PAD, **VISION_ENDS,
        }, **QWEN,
    ),
    "qwen2_5_vl": Small(
        "Qwen2_5_VL", {
            "vision_config": qwen_vision("qwen2_5_vl_vision", depth=3, window_size=32, fullatt_block_indexes=[1]),
            "text_config": text("qwen2_5_vl_text", rope_parameters=MROPE), **PAD, **VISION_ENDS,
        }, **QWEN,
    ),
    "qwen3_vl": Small(
        "Qwen3VL", {
            "vision_config": qwen_vision("qwen3_vl_vision", depth=3, num_position_embeddings=16, deepstack_visual_indexes=[0, 1]),
            "text_config": text("qwen3_vl_text", rope_parameters={**MROPE, "mrope_interleaved": True}), **PAD, **VISION_ENDS,
        }, **QWEN,
    ),
    "internvl": Small(
        "InternVL", {
            "vision_config": vision("internvl_vision", hidden_size=32, image_size=[32, 32], patch_size=[8, 8]),
            "text_config": text("qwen2"), "image_token_id": mark("<IMG_CONTEXT>"), "image_seq_length": 4,
            "downsample_ratio": 0.5,
        }, TILES, "<IMG_CONTEXT>\n{}", settings={"image_seq_length": 4},
        named={
            "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
    ),
    "smolvlm": Small(
        "SmolVLM", {
            "vision_config": vision("smolvlm_vision"), "text_config": text(), "image_token_id": mark("<image>"),
            "scale_factor": 2, "pad_token_id": 3,
        }, ("SmolVLM", {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}}), "<image>{}",
        settings={"image_seq_len": 4},
    ),
    "idefics3": Small(
        "Idefics3", {
            "vision_config": vision("idefics3_vision"), "text_config": text(), "image_token_id": mark("<image>"),
            "scale_factor": 2, "pad_token_id": 3,
        }, ("Idefics3", {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}}), "<image>{}",
        settings={"image_seq_len": 4},
    ),
    "llava_next": Small(
        "LlavaNext", {
            "vision_config": CLIP, "text_config": text("mistral"), "image_token_index": mark("<image>"),
            "image_grid_pinpoints": PIN, "image_seq_length": 16,
        }, ("LlavaNext", {**CROP[1], "image_grid_pinpoints": PIN}), settings=FIXED,
    ),
    "llava_onevision": Small(
        "LlavaOnevision", {
            "vision_config": vision(vision_use_head=False), "text_config": text("qwen2"),
            "image_token_index": mark("<image>"), "video_token_index": mark("<video>"), "image_grid_pinpoints": PIN,
        }, ("LlavaOnevision", {"size": SQUARE, "image_grid_pinpoints": PIN}),
        settings={"num_image_tokens": 16, "vision_feature_select_strategy": "full"},
    ),
    "gemma3": Small(
        "Gemma3", {
            "vision_config": vision(), "text_config": gemma("gemma3_text"), "mm_tokens_per_image": 4,
            "boi_token_index": mark("<start_of_image>"), "eoi_token_index": mark("<end_of_image>"),
            "image_token_index": mark("<image_soft_token>"), "tie_word_embeddings": True,
        }, ("Gemma3", {"size": SQUARE, "image_seq_length": 4}), "<start_of_image>{}", settings={"image_seq_length": 4},
        named=GEMMA_IMAGE, after=draw_projection,
    ),
    "mistral3": Small(
        "Mistral3", {
            "vision_config": PIXTRAL, "text_config": text("mistral"), "image_token_index": mark("[IMG]"),
            "tie_word_embeddings": False,
            "spatial_merge_size": 2,
        }, ("Pixtral", {"size": {"longest_edge": 64}, "patch_size": 8}), "[IMG]{}", processor="Pixtral",
        settings={"patch_size": 8, "spatial_merge_size": 2, **PIXTRAL_MARKS},
    ),
    "pixtral": Small(
        "Llava", {
            "vision_config": PIXTRAL, "text_config": text("mistral"), "image_token_index": mark("[IMG]"),
            "tie_word_embeddings": False,
            "vision_feature_layer": -1, "vision_feature_select_strategy": "full",
        }, ("Pixtral", {"size": {"longest_edge": 64}, "patch_size": 8}), "[IMG]{}", processor="Pixtral",
        settings={"patch_size": 8, **PIXTRAL_MARKS},
    ),
    "paligemma": paligemma(text("gemma", tie_word_embeddings=True)),
    "paligemma2": paligemma(gemma("gemma2", attn_logit_softcapping=5.0, final_logit_softcapping=30.0)),
    "gemma4": Small(
        "Gemma4", {
            "vision_config": {
                **vision("gemma4_vision"), "num_key_value_heads": 2, "head_dim": 12, "pooling_kernel_size": 2,
                "position_embedding_size": 64, "num_hidden_layers": 2,
            },
            "text_config": text(
                "gemma4_text", tie_word_embeddings=True, **SLIDING, hidden_size_per_layer_input=8,
                vocab_size_per_layer_input=SIZE, global_head_dim=8,
            ),
            "audio_config": None, "boi_token_id": mark("<start_of_image>"), "eoi_token_id": mark("<end_of_image>"),
            "image_token_id": mark("<image_soft_token>"), "video_token_id": mark("<video>"),
            "audio_token_id": mark("<audio>"), "tie_word_embeddings": True,
        }, ("Gemma4", {"patch_size": 8, "max_soft_tokens": 70, "pooling_kernel_size": 2}), "<image_soft_token>{}",
        settings={"image_seq_length": 70},
        named={**GEMMA_IMAGE, "audio_token": "<audio>", "boa_token": "<start_of_audio>", "eoa_token": "<end_of_audio>"},
    ),
    "mllama": Small(
        "Mllama", {
            "vision_config": {
                **vision("mllama_vision_model"), "num_global_layers": 1, "attention_heads": 2, "vision_output_dim": 24 * 3,
                "max_num_tiles": 4, "intermediate_layers_indices": [0, 1],
                "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
            },
            "text_config": text("mllama_text_model", num_hidden_layers=4, cross_attention_layers=[1, 3], head_dim=None),
            "image_token_index": mark("<|image|>"),
        }, ("Mllama", {"size": SQUARE, "max_image_tiles": 4}), "<|image|>{}", named={"image_token": "<|image|>"},
        after=open_gates,
    ),
    "glm4v": Small(
        "Glm4v", {
            "vision_config": qwen_vision("glm4v_vision", image_size=64),
            "text_config": text("glm4v_text", rope_parameters={**MROPE, "partial_rotary_factor": 1.0}),
            "image_token_id": mark("<|image|>"), "video_token_id": mark("<|video_pad|>"),
            "image_start_token_id": mark("<|begin_of_image|>"), "image_end_token_id": mark("<|end_of_image|>"),
            "video_start_token_id": mark("<|begin_of_video|>"), "video_end_token_id": mark("<|end_of_video|>"),
        }, ("Glm4v", {"patch_size": 8, "size": {"shortest_edge": 1024, "longest_edge": 8192}}),
        "<|begin_of_image|><|image|><|end_of_image|>{}", named={"image_token": "<|image|>", "video_token": "<|video_pad|>"},
    ),
    "aya_vision": Small(
        "AyaVision", {
            "vision_config": vision(vision_use_head=False), "text_config": text("cohere2", **SLIDING, logit_scale=1.0),
            "image_token_index": mark("<|IMG_PATCH|>"), "downsample_factor": 2,
        }, TILES, "<image>{}", settings={"patch_size": 8, "img_size": 32, "downsample_factor": 2},
    ),
    "ovis2": Small(
        "Ovis2", {
            "vision_config": vision("ovis2_vision", vocab_size=40, hidden_stride=2, num_visual_indicator_tokens=5),
            "text_config": text("qwen2"), "image_token_id": mark("<IMG_ATOM>"), "vocab_size": SIZE, "hidden_size": 32,
            "visual_indicator_token_ids": [mark(f"<IMG_{k}>") for k in ("START", "GRID", "COL", "ROW", "END")],
        }, ("Ovis2", {"size": SQUARE, "crop_to_patches": True, "max_patches": 4}), settings={"image_seq_length": 4},
    ),
    "deepseek_vl": Small(
        "DeepseekVL",
        {"vision_config": vision(), "text_config": text(), "image_token_id": mark("<image_placeholder>")},
        ("DeepseekVL", {"size": SQUARE}), "<image_placeholder>{}", settings={"num_image_tokens": 16},
        named={"image_token": "<image_placeholder>"},
    ),
    "janus": Small(
        "Janus", {
            "vision_config": vision(
                "janus_vision_model", mlp_ratio=2, projection_dim=32, num_image_tokens=16, depth=2, intermediate_size=None
            ),
            "text_config": text(), "image_token_id": mark("<image_placeholder>"),
            "vq_config": {
                "model_type": "janus_vqgan", "embed_dim": 8, "num_embeddings": 16, "latent_channels": 32, "base_channels": 32,
                "channel_multiplier": [1, 1], "num_res_blocks": 1, "num_patches": 4, "projection_dim": 32,
                "image_token_embed_dim": 32,
            },
        }, ("Janus", {"size": SQUARE}), "<image_placeholder>\n{}", settings={"num_image_tokens": 16},
        named={"image_token": "<image_placeholder>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>"},
    ),
    "vipllava": Small(
        "VipLlava", {
            "vision_config": CLIP, "text_config": text(), "image_token_index": mark("<image>"),
            "vision_feature_layers": [-2, -3], "image_seq_length": 16,
        }, CROP, processor="Llava", settings=FIXED,
    ),
    "qwen3_vl_moe": Small(
        "Qwen3VLMoe", {
            "vision_config": qwen_vision(
                "qwen3_vl_moe_vision", depth=3, num_position_embeddings=16, deepstack_visual_indexes=[0, 1]
            ),
            "text_config": text(
                "qwen3_vl_moe_text", rope_parameters={**MROPE, "mrope_interleaved": True}, num_experts=4,
                num_experts_per_tok=2, moe_intermediate_size=16, decoder_sparse_step=1,
            ), **PAD, **VISION_ENDS,
        }, processor="Qwen3VL", **QWEN,
    ),
    "video_llama_3": Small(
        "VideoLlama3", {
            "vision_config": vision("video_llama_3_vision", hidden_size=32, intermediate_size=48, num_hidden_layers=2),
            "text_config": text("qwen2"), **PAD,
        }, ("VideoLlama3", {"patch_size": 8, "min_pixels": 1024, "max_pixels": 4096}), "<|image_pad|>{}",
        named={"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"},
    ),
    "paddleocr_vl": Small(
        "PaddleOCRVL", {
            "vision_config": vision(
                "paddleocr_vl_vision", hidden_size=32, intermediate_size=48, num_hidden_layers=2, image_size=64,
                spatial_merge_size=2,
            ),
            "text_config": text("paddleocr_vl_text", rope_parameters=MROPE), **PAD, **VISION_ENDS,
        }, ("PaddleOCRVL", {"patch_size": 8, "merge_size": 2, "size": {"shortest_edge": 1024, "longest_edge": 4096}}),
        QWEN["template"], named={"image_token": "<|image_pad|>"},
    ),
    "lighton_ocr": Small(
        "LightOnOcr", {
            "vision_config": PIXTRAL, "text_config": text("qwen3"), "image_token_id": mark("<|image_pad|>"),
            "spatial_merge_size": 2,
        }, ("Pixtral", {"size": {"longest_edge": 64}, "patch_size": 16}), "<|image_pad|>{}",
        settings={"patch_size": 8, "spatial_merge_size": 2},
        named={
            "image_token": "<|image_pad|>", "image_break_token": "<|vision_start|>", "image_end_token": "<|vision_end|>",
        },
    ),
    "idefics2": Small(
        "Idefics2", {
            "vision_config": vision("idefics2_vision", image_size=64),
            "perceiver_config": {
                "model_type": "idefics2_perceiver", "hidden_size": 32, "resampler_n_latents": 4, "resampler_depth": 2,
                "resampler_n_heads": 2, "resampler_head_dim": 8, "num_key_value_heads": 1,
            },
            "text_config": text("mistral"), "image_token_id": mark("<image>"),
        }, ("Idefics2", {"size": {"longest_edge": 64, "shortest_edge": 32}, "do_image_splitting": False}), "<image>{}",
        settings={"image_seq_len": 4}, level="filled",
    ),
    "qwen3_5": Small(
        "Qwen3_5", {
            "vision_config": qwen_vision("qwen3_5_vision", num_position_embeddings=16),
            "text_config": text(
                "qwen3_5_text", num_hidden_layers=4, head_dim=16, linear_key_head_dim=8, linear_value_head_dim=8,
                linear_num_key_heads=2, linear_num_value_heads=4,
                rope_parameters={**MROPE, "partial_rotary_factor": 0.5, "mrope_interleaved": True},
            ), **PAD, **VISION_ENDS,
        }, processor="Qwen3VL", level="masked", **QWEN,
    ),
}  # fmt: skip


OFFERED = {
    "cut": "words and regions cut",
    "filled": "words cut, regions filled",
    "masked": "words masked, regions filled",
}


def table_row(kind: str, model: Any) -> str:
    """The row of docs/families.md that loading a small model gives."""
    config = model.network.config
    name = config.model_type if config.model_type == kind else f"{config.model_type} ({kind})"
    places = (
        "cross-attention" if "cross" in model.sites else "its processor" if model.pictures.stated else "an experiment"
    )
    where = places if model.offer.level == "cut" else "–"
    return (
        f"| `{name}` | {type(model.network).__name__} | {OFFERED[model.offer.level]} | "
        f"{'yes' if model.offer.shares else 'no'} | {where} |"
    )


def is_there(kind: str) -> bool:
    """Whether this version of transformers has the parts of a small model without torchvision."""
    small = SMALL[kind]
    try:
        images = getattr(transformers, f"{small.images[0]}ImageProcessorPil")
        return not getattr(images, "is_dummy", False) and hasattr(
            transformers, f"{small.processor or small.name}Processor"
        )
    except ImportError:
        return False


def skip_unless_there(kind: str) -> None:
    """Skip the test where this version of transformers cannot read the small model's pictures without torchvision."""
    if not is_there(kind):
        pytest.skip(f"transformers {transformers.__version__} needs torchvision for {kind}")


def save_small_vlm(folder: Path, kind: str) -> Path:
    """Write a small model as on the hub."""
    small = SMALL[kind]
    torch.manual_seed(0)
    config = getattr(transformers, f"{small.name}Config")(**_without_none(small.config))
    model = getattr(transformers, f"{small.name}ForConditionalGeneration")(config).eval()
    small.after(model)
    if not getattr(config, "tie_word_embeddings", False):
        weight = torch.nn.init.normal_(model.get_output_embeddings().weight, 0, 0.5)
        with torch.no_grad():
            weight[: len(MARKS)] = 0  # no answer says a mark
    model.generation_config.update(repetition_penalty=1.5)  # checkpoints bring their own way of answering
    model.save_pretrained(folder)
    tokenizer(**small.named).save_pretrained(folder)
    name, options = small.images
    getattr(transformers, f"{name}ImageProcessorPil")(**options).save_pretrained(folder)
    processor = {"processor_class": f"{small.processor or small.name}Processor", **small.settings}
    (folder / "processor_config.json").write_text(json.dumps(processor))
    if not small.bare:
        before, after = small.template.split("{}")
        turn = "{%- if part.type == 'image' %}" + before + "{%- else %}{{ part.text }}" + after + "{%- endif %}"
        loop = "{%- for part in messages[0].content %}" + turn + "{%- endfor %}"
        (folder / "chat_template.jinja").write_text(f"<|im_start|>user\n{loop}<|im_end|>\n<|im_start|>assistant\n")
    return folder


def _without_none(config: dict[str, Any]) -> dict[str, Any]:
    """The config without entries of sub-configs that are None, which stand for: not this one."""
    return {
        k: {a: b for a, b in v.items() if b is not None or a == "per_layer_config"} if isinstance(v, dict) else v
        for k, v in config.items()
    }
