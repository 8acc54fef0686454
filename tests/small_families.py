"""Small models of every family with random weights, of the real classes, in folders of hub format with sharded weights."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

QUERIES = 4
SIDE, PATCH = 32, 8

WORDS = [
    "what", "color", "is", "the", "car", "a", "red", "blue", "star", "tree", "there", "in", "to", "left", "of", "are", "answer", "two",
]  # fmt: skip

VISION = {
    "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": SIDE,
    "patch_size": PATCH, "initializer_range": 0.3,
}  # fmt: skip
QFORMER = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 5, "num_attention_heads": 2, "encoder_hidden_size": 24,
    "cross_attention_frequency": 3, "initializer_range": 0.3, "hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5,
}  # fmt: skip


def merges(words: list[str]) -> list[tuple[str, str]]:
    """What joins each word from the left, character by character. Nothing is trained: ties would fall anyhow."""
    steps = [(word[:i], word[i]) for word in words for i in range(1, len(word))]
    return list(dict.fromkeys(steps))


def vocabulary(special: list[str], characters: list[str], joins: list[tuple[str, str]]) -> dict[str, int]:
    return {piece: i for i, piece in enumerate(dict.fromkeys([*special, *characters, *(a + b for a, b in joins)]))}


def byte_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Bytes and merges as in OPT: a word knows the space before it, and ``</s>`` begins a text."""
    joins = merges(["Ġ" + word for word in WORDS])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocabulary(["</s>", "<pad>", "<image>"], alphabet, joins), joins))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    raw.add_special_tokens(["</s>", "<pad>", "<image>"])
    raw.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(single="</s> $A", special_tokens=[("</s>", 0)])]
    )  # fmt: skip
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="</s>", eos_token="</s>", pad_token="<pad>"
    )


def llama_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Pieces with ``▁`` for a space, bytes for what is unknown, and ``<s>`` at the beginning, as in LLaMA."""
    joins = merges(["▁" + word for word in WORDS])
    special = ["<unk>", "<s>", "</s>", "<pad>", "<image>", *(f"<0x{i:02X}>" for i in range(256))]
    characters = sorted({c for a, b in joins for c in a + b} | set("abcdefghijklmnopqrstuvwxyzQASURN:?"))
    raw = Tokenizer(models.BPE(vocabulary(special, characters, joins), joins, byte_fallback=True, unk_token="<unk>"))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    raw.add_special_tokens(["<unk>", "<s>", "</s>", "<pad>", "<image>"])
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )


def bert_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Lower-case word pieces between ``[CLS]`` and ``[SEP]``, as the Q-Former of InstructBLIP reads them."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters, *(f"##{c}" for c in letters), ":", "?"]
    raw = Tokenizer(models.WordPiece(vocabulary([], pieces, []), unk_token="[UNK]"))
    raw.normalizer, raw.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )


def _language(kind: str) -> tuple[transformers.PreTrainedTokenizerFast, dict]:
    """A tokenizer, and the configuration of a language model that goes with it."""
    if kind == "t5":
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(files("stcg_nb") / "data" / "tiny"))
        return tokenizer, {
            "model_type": "t5", "vocab_size": len(tokenizer), "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2,
            "num_decoder_layers": 2, "num_heads": 2, "feed_forward_proj": "gated-gelu", "dropout_rate": 0.5,
            "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1, "tie_word_embeddings": False,
        }  # fmt: skip
    if kind == "opt":
        tokenizer = byte_tokenizer()
        return tokenizer, {
            "model_type": "opt", "vocab_size": len(tokenizer), "hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 48,
            "num_hidden_layers": 3, "num_attention_heads": 2, "max_position_embeddings": 256, "init_std": 0.3,
            "dropout": 0.5, "attention_dropout": 0.5, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 0,
        }  # fmt: skip
    tokenizer = llama_tokenizer()
    return tokenizer, {
        "model_type": "llama", "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
        "initializer_range": 0.3, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3, "attention_dropout": 0.5,
    }  # fmt: skip


def save_family(folder: Path, family: str, language: str, *, strategy: str = "default", layer: int = -2) -> Path:
    """Write a model of a family with a language model; `strategy` and `layer` are LLaVA's."""
    tokenizer, text = _language(language)
    image_token = tokenizer.convert_tokens_to_ids("<image>")
    torch.manual_seed(0)
    square = {"height": SIDE, "width": SIDE}
    if family == "llava":
        config = transformers.LlavaConfig(
            vision_config={"model_type": "clip_vision_model", "projection_dim": 16, **VISION},
            text_config=text, image_token_index=image_token, vision_feature_layer=layer,
            vision_feature_select_strategy=strategy,
        )  # fmt: skip
        model = transformers.LlavaForConditionalGeneration(config)
        processor = transformers.LlavaProcessor(
            transformers.CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=square), tokenizer,
            patch_size=PATCH, vision_feature_select_strategy=strategy, num_additional_image_tokens=1,
        )  # fmt: skip
    else:
        name = {"blip-2": "Blip2", "instructblip": "InstructBlip"}[family]
        reader = bert_tokenizer()
        qformer = {**QFORMER, "vocab_size": 2 if family == "blip-2" else len(reader)}
        config = getattr(transformers, f"{name}Config")(
            vision_config=VISION, qformer_config=qformer, text_config=text, num_query_tokens=QUERIES,
            image_token_index=image_token,
        )  # fmt: skip
        model = getattr(transformers, f"{name}ForConditionalGeneration")(config)
        tokenizers = [tokenizer] if family == "blip-2" else [tokenizer, reader]
        processor = getattr(transformers, f"{name}Processor")(
            transformers.BlipImageProcessorPil(size=square), *tokenizers, num_query_tokens=QUERIES
        )
        with torch.no_grad():
            model.query_tokens.normal_()
            model.language_projection.weight.normal_()
    with torch.no_grad():
        model.get_output_embeddings().weight.normal_(0, 0.5)
    # Checkpoints bring penalties for their own way of answering, which is not greedy.
    model.generation_config.update(repetition_penalty=1.5, no_repeat_ngram_size=2, num_beams=5)
    model.save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    processor.save_pretrained(folder)
    return folder
