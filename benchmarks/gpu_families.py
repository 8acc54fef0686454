"""Measure explanations by full-size models on a graphics card: seconds, memory, and what docs/cost.md estimated.

    python benchmarks/gpu_families.py            # a BLIP-2 flan-t5-xl and a Qwen2.5-VL-3B; some minutes
    python benchmarks/gpu_families.py --small    # the same with small configs, on the CPU too

Nothing is downloaded: the models have random weights, and go through `load_model` from a folder, with all its checks. A run prints one
line of JSON: the card, the number format, seconds to load and check, seconds and rows of a causal graph with 256 masks, seconds that
as many rows would take if each had a picture of its own (every row a whole forward pass), and the most memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from count_families import RATES, cost
from full_size import CONFIGS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # the small models of the tests

from small_blip2 import save_small
from small_vlms import PLAIN, tokenizer

from stcg_nb.case import Case
from stcg_nb.interventions import Game, find_causes
from stcg_nb.models import load_model

SIDE = 896  # pixels: 32 x 32 image tokens of Qwen2.5-VL


def save_blip2(folder: Path, small: bool) -> None:
    """A BLIP-2 flan-t5-xl as on the hub, with the tokenizer of the embedded model."""
    save_small(folder, side=224 if not small else 32, patch=14 if not small else 8)
    if small:
        return
    text = {
        "model_type": "t5", "vocab_size": 32128, "d_model": 2048, "d_kv": 64, "d_ff": 5120, "num_layers": 24,
        "num_decoder_layers": 24, "num_heads": 32, "feed_forward_proj": "gated-gelu", "decoder_start_token_id": 0,
        "pad_token_id": 0, "eos_token_id": 1, "tie_word_embeddings": False,
    }  # fmt: skip
    _write(folder, transformers.Blip2Config(text_config=text, num_query_tokens=32))


def save_qwen(folder: Path, small: bool) -> None:
    """A Qwen2.5-VL-3B as on the hub, with the tokenizer of the tests."""
    config = CONFIGS["Qwen2.5-VL-3B"]()
    if small:
        config.vision_config.depth, config.text_config.num_hidden_layers = 2, 2
        config.vision_config.fullatt_block_indexes, config.text_config.layer_types = [1], ["full_attention"] * 2
    for name in ("image", "video"):
        setattr(config, f"{name}_token_id", PLAIN.convert_tokens_to_ids(f"<|{name}_pad|>"))
    config.vision_start_token_id = PLAIN.convert_tokens_to_ids("<|vision_start|>")
    config.text_config.eos_token_id = config.eos_token_id = PLAIN.eos_token_id
    _write(folder, config)
    tokenizer().save_pretrained(folder)
    transformers.Qwen2VLImageProcessorPil().save_pretrained(folder)
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": "Qwen2_5_VLProcessor"}))
    turn = "{%- if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{%- else %}{{ part.text }}{%- endif %}"
    loop = "{%- for part in messages[0].content %}" + turn + "{%- endfor %}"
    (folder / "chat_template.jinja").write_text(f"<|im_start|>user\n{loop}<|im_end|>\n<|im_start|>assistant\n")


def _write(folder: Path, config: Any) -> None:
    """Random weights in 16 bits, made on the card if there is one."""
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = transformers.AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1 and not weight.any():
                weight.normal_(0, 0.02)
    model.save_pretrained(folder)


@contextmanager
def timed(seconds: dict[str, float], label: str) -> Iterator[None]:
    """Add the time of the block, when the card has finished."""
    start = time.perf_counter()
    yield
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    seconds[label] = round(time.perf_counter() - start, 2)


def measure(name: str, folder: Path, dtype: str, quantisation: str, masks: int, side: int) -> dict[str, Any]:
    """One run."""
    seconds: dict[str, float] = {}
    on_card = torch.cuda.is_available()
    if on_card:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with timed(seconds, "load and check"):
        model: Any = load_model(str(folder), device="auto", dtype=dtype, quantisation=quantisation)
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    case = Case.read(picture, "what color is the car?", model, regions="grid:4x4", answer="a red car")
    game = Game(case)
    rows, counted = [], model.trace

    def counting(images: Any, *args: Any, **options: Any) -> Any:
        out = counted(images, *args, **options)
        rows.append((len(images), len(out.v)))
        return out

    model.trace = counting
    with timed(seconds, "causal graph"):
        found = find_causes(game, n_masks=masks).node
    model.trace = counted
    pictures, n = (sum(part) for part in zip(*rows, strict=True))
    others = list(np.random.default_rng(1).integers(0, 256, (10, *picture.shape), dtype=np.uint8))
    with timed(seconds, "ten rows, a picture each"):
        model.trace(others, case.prompt, case.answer, reuse=False)
    result = {
        "model": name, "card": torch.cuda.get_device_name() if on_card else "CPU", "dtype": dtype,
        "quantisation": quantisation, "offers": model.offers, "sees": model.sees, "pictures": pictures, "rows": n,
        "seconds": seconds, "whole forwards of as many rows, seconds": round(seconds["ten rows, a picture each"] / 10 * n, 1),
        "finite": bool(np.isfinite(found).all()),
    }  # fmt: skip
    if on_card:
        result["most GB"] = round(torch.cuda.max_memory_allocated() / 1e9, 1)
    if name in CONFIGS:
        total = cost(name).explanation(True)
        result["docs/cost.md, seconds"] = {card: round(total / rate, 1) for card, rate in RATES.items()}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="small configs, to try the script")
    parser.add_argument("--masks", type=int, default=256)
    args = parser.parse_args()
    formats = [("bfloat16", "none"), ("float16", "none")]
    if torch.cuda.is_available() and find_spec("bitsandbytes") and find_spec("accelerate"):
        formats += [("bfloat16", "8bit"), ("bfloat16", "4bit")]
    for name, save in (("BLIP-2 flan-t5-xl", save_blip2), ("Qwen2.5-VL-3B", save_qwen)):
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder), args.small)
            for dtype, quantisation in formats:
                side = 64 if args.small else SIDE
                print(json.dumps(measure(name, Path(folder), dtype, quantisation, args.masks, side)), flush=True)


if __name__ == "__main__":
    main()
