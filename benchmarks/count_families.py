"""Count what an explanation costs with checkpoints that many people use, at full size, for docs/cost.md.

    python benchmarks/count_families.py

The networks are built on torch's meta device, without weights. Operations of a part are counted from its matrices: each multiplies and
adds once for every position, and attention once for every pair of positions and channel, twice (scores and values). The numbers of
pictures and rows of an explanation are those that `benchmarks/count_operations.py` counts with the embedded model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from full_size import CONFIGS
from torch import nn

from stcg_nb.models.generic.calls import language_model
from stcg_nb.models.memory import Place, needed_bytes

PICTURES, ROWS = 154, 271  # of an explanation with 256 masks
TEXT = 45  # tokens of prompt and answer
SHARED = 15  # of them, those before the first word of the question
RATES = {"T4": 0.3 * 65e12, "A100": 0.4 * 312e12, "H100": 0.4 * 989e12}  # assumed, operations a second
MEMORY = {"T4": 16e9, "A100": 80e9, "H100": 80e9}

# A picture of 1,024 x 768 pixels: patches that the vision model reads in one sequence, number of such sequences, positions that a
# patch attends to on average, and image tokens, within the budget of 2,304.
PICTURE = {
    "Qwen2.5-VL-3B": (3996, 1, 64 * 28 / 32 + 3996 * 4 / 32, 999),  # 4 of 32 layers see the whole picture
    "Qwen2.5-VL-7B": (3996, 1, 64 * 28 / 32 + 3996 * 4 / 32, 999),
    "Qwen3-VL-4B": (3072, 1, 3072, 768),
    "InternVL3-8B": (1025, 7, 1025, 1792),  # three by two tiles and the whole picture
    "Gemma-3-4B": (4096, 1, 4096, 256),
    "LLaVA-OneVision-7B": (729, 3, 729, 1728),  # two tiles without their padding, and the whole picture
}


def weights(part: nn.Module) -> int:
    """Numbers in the matrices of a part, without embeddings."""
    tables = {id(m.weight) for m in part.modules() if isinstance(m, nn.Embedding)}
    return sum(p.numel() for p in part.parameters() if p.dim() > 1 and id(p) not in tables)


def pass_through(part: nn.Module, positions: float, keys: float, layers: int, width: int) -> float:
    """Operations of one sequence through a stack of layers."""
    return 2 * weights(part) * positions + 4 * layers * width * positions * keys


@dataclass(frozen=True)
class Cost:
    """Operations of one picture and of one row, with keys and values shared and without, and bytes of memory."""

    picture: float
    row: float
    prefix: float
    rest: float
    memory: Mapping[str, int]

    def explanation(self, shared: bool) -> float:
        """Operations of an explanation."""
        rows = PICTURES * self.prefix + ROWS * self.rest if shared else ROWS * self.row
        return PICTURES * self.picture + rows


def cost(name: str) -> Cost:
    config = CONFIGS[name]()
    with torch.device("meta"):
        network: Any = transformers.AutoModelForImageTextToText.from_config(config)
    language = language_model(network)
    assert language is not None
    seen, text = config.vision_config, config.get_text_config()
    whole = {id(p) for p in language.parameters()} | {id(network.lm_head.weight)}
    vision = nn.ParameterList([p for p in network.parameters() if id(p) not in whole and p.dim() > 1])
    patches, sequences, keys, tokens = PICTURE[name]
    layers = getattr(seen, "depth", None) or seen.num_hidden_layers
    heads = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    width = heads * text.num_attention_heads
    picture = sequences * pass_through(vision, patches, keys, layers, seen.hidden_size)
    length, shared = tokens + TEXT, tokens + SHARED

    def language_pass(positions: int, keys: int) -> float:
        return pass_through(language, positions, keys, text.num_hidden_layers, width)

    last = 2 * text.hidden_size * text.vocab_size * 3  # logits of an answer of two tokens and its end
    places = {f"{b} bit": Place("cuda", torch.bfloat16, q) for b, q in ((16, "none"), (8, "8bit"), (4, "4bit"))}
    return Cost(
        picture, language_pass(length, length) + last, language_pass(shared, shared),
        language_pass(length - shared, length) + last, {b: needed_bytes(network, p) for b, p in places.items()},
    )  # fmt: skip


def main() -> None:
    head = ["model", "image tokens", "10¹² operations a picture", "a row", "an explanation, shared (apart)"]
    head += ["GB in 16 / 8 / 4 bits", *(f"{card}, seconds; hours for 1,000" for card in RATES)]
    print("| " + " | ".join(head) + " |")
    for name in CONFIGS:
        c = cost(name)
        memory = " / ".join(f"{v / 1e9:.0f}" for v in c.memory.values())
        total = c.explanation(True)
        times = []
        for card, rate in RATES.items():
            fits = c.memory["16 bit"] < MEMORY[card]
            times.append(f"{total / rate:.0f}; {total / rate / 3.6:.1f}" + ("" if fits else " (8 bits)"))
        print(
            f"| {name} | {PICTURE[name][3]:,} | {c.picture / 1e12:.1f} | {c.row / 1e12:.1f} | {total / 1e12:,.0f} "
            f"({c.explanation(False) / 1e12:,.0f}) | {memory} | {' | '.join(times)} |"
        )


if __name__ == "__main__":
    main()
