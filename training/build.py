"""The embedded model before training: its tokenizer, its processor and its architecture.

The geometry is BLIP-2's own (16×16 patches and CLS, 32 query tokens, cross-attention in every second Q-Former layer, a T5
encoder-decoder with gated GELU as in flan-T5); the widths are small.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

import sentencepiece
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor, PreTrainedTokenizerFast
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

IMAGE_SIZE = 128
PATCH_SIZE = 8
GRID = IMAGE_SIZE // PATCH_SIZE
QUERIES = 32
WIDTH = 128
VOCABULARY = 800


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A lower-casing Unigram tokenizer, as T5 has, its pieces found by sentencepiece in `texts`.

    It is not a `T5Tokenizer`, since that class drops the normalizer, and with it the lower-casing, when it is loaded.
    """
    found = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(text.lower() for text in texts),
        model_writer=found,
        vocab_size=VOCABULARY,
        model_type="unigram",
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        # Letters, digits and marks of any question stay readable even where the corpus lacks them.
        required_chars="abcdefghijklmnopqrstuvwxyz0123456789.,?!'-:;()",
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=1,
    )  # fmt: skip
    pieces = sentencepiece.SentencePieceProcessor(model_proto=found.getvalue())
    vocabulary = {pieces.id_to_piece(i): pieces.get_score(i) for i in range(len(pieces))}
    # A count is one answer step, as yes is, and the prompt's own words are short.
    for word in (*"0123456789", "question", "answer", "yes", "no", "color", "tell"):
        vocabulary.setdefault(f"▁{word}", -6.0)
    tokenizer = Tokenizer(models.Unigram(list(vocabulary.items()), unk_id=2))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    spaces = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), spaces])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )


def build_processor(tokenizer: PreTrainedTokenizerFast) -> Blip2Processor:
    images = BlipImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
    return Blip2Processor(images, tokenizer, num_query_tokens=QUERIES)


def build_model(processor: Blip2Processor, seed: int) -> Blip2ForConditionalGeneration:
    """The architecture with random weights."""
    tokenizer = processor.tokenizer
    config = Blip2Config(
        vision_config={
            "hidden_size": WIDTH,
            "intermediate_size": 4 * WIDTH,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH_SIZE,
            # The library's default, 1e-10, is meant for loading a checkpoint.
            "initializer_range": 0.02,
        },
        qformer_config={
            "hidden_size": WIDTH,
            "intermediate_size": 4 * WIDTH,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "encoder_hidden_size": WIDTH,
            "cross_attention_frequency": 2,
            "vocab_size": 2,  # BLIP-2's Q-Former never sees text
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        text_config={
            "model_type": "t5",
            "vocab_size": len(tokenizer),
            "d_model": WIDTH,
            "d_kv": 32,
            "d_ff": 2 * WIDTH,
            "num_layers": 4,
            "num_decoder_layers": 3,
            "num_heads": 4,
            "feed_forward_proj": "gated-gelu",
            "dropout_rate": 0.0,
            "tie_word_embeddings": False,
            "decoder_start_token_id": tokenizer.pad_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        num_query_tokens=QUERIES,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    torch.manual_seed(seed)
    model = Blip2ForConditionalGeneration(config)
    with torch.no_grad():
        # Both start from the same map of positions, so that a query can find its place in the picture at once.
        positions = sinusoids(GRID, GRID, WIDTH)
        model.vision_model.embeddings.position_embedding[0, 1:] = 0.5 * positions
        model.vision_model.embeddings.class_embedding.normal_(0, 0.02)
        model.language_model.lm_head.weight.normal_(0, 0.02)  # the library's deviation of 1 is for tied embeddings
        model.language_model.shared.weight.normal_(0, 0.3)
        model.query_tokens[0] = sinusoids(4, 8, WIDTH)
    return model


def sinusoids(rows: int, columns: int, width: int) -> torch.Tensor:
    """Sine and cosine features of the cell centres of a grid over the unit square: ``[rows * columns, width]``."""
    y = (torch.arange(rows) + 0.5) / rows
    x = (torch.arange(columns) + 0.5) / columns
    frequency = torch.pi * 2 ** torch.linspace(0, 4, width // 4)
    phases = [axis[:, None] * frequency for axis in (y, x)]
    down, across = (torch.cat([p.sin(), p.cos()], 1) for p in phases)
    return torch.cat([down[:, None].expand(-1, columns, -1), across[None].expand(rows, -1, -1)], 2).reshape(
        rows * columns, width
    )
