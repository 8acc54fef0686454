"""Time of an explanation by a LLaVA-like model of about 250 million parameters, with and without shared keys and values.

    python benchmarks/bench_sharing.py

The model has random weights and the real classes: a CLIP of 24 x 24 patches, each an image token, and a decoder-only language model.
Two things are timed: rows of masks of which three share a picture, and all rows of `stcg_nb.interventions.find_causes`. Both runs
score the same rows; the largest difference of their scores is printed too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # the small models of the tests

from small_vlms import PLAIN, tokenizer

from stcg_nb.case import Case
from stcg_nb.interventions import Game, find_causes
from stcg_nb.models import load_model
from stcg_nb.models.generic.engine import Generic

SIDE, PATCH = 336, 14


def save(folder: Path, width: int, layers: int) -> Path:
    """Write the model as on the hub."""
    size = len(PLAIN) + 8
    config = transformers.LlavaConfig(
        vision_config={
            "model_type": "clip_vision_model", "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6,
            "num_attention_heads": 8, "image_size": SIDE, "patch_size": PATCH, "projection_dim": 512,
        },
        text_config={
            "model_type": "mistral", "vocab_size": size, "hidden_size": width, "intermediate_size": 3 * width,
            "num_hidden_layers": layers, "num_attention_heads": width // 64, "num_key_value_heads": width // 64,
            "max_position_embeddings": 4096, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3,
        },
        image_token_index=PLAIN.convert_tokens_to_ids("<image>"), image_seq_length=(SIDE // PATCH) ** 2,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlavaForConditionalGeneration(config)
    model.save_pretrained(folder)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:,.0f} million parameters")
    transformers.CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    ).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    settings = {"processor_class": "LlavaProcessor", "patch_size": PATCH, "num_additional_image_tokens": 1}
    (folder / "processor_config.json").write_text(json.dumps({**settings, "vision_feature_select_strategy": "default"}))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=8, help="with three rows each")
    parser.add_argument("--masks", type=int, default=0, help="of a causal graph; 0: none is fitted")
    parser.add_argument("--width", type=int, default=1024, help="of the language model")
    parser.add_argument("--layers", type=int, default=18, help="of the language model")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = load_model(str(save(Path(folder), args.width, args.layers)))
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    case = Case.read(picture, "what color is the car?", model, regions="grid:2x4", answer="a red car")
    game = Game(case)
    rng = np.random.default_rng(1)
    regions = np.repeat(rng.random((args.pictures, case.regions.n)) < 0.7, 3, 0)
    words = rng.random((len(regions), game.n_words)) < 0.7
    compare(case, f"{len(regions)} rows of {args.pictures} pictures", lambda: game(np.concatenate([words, regions], 1)))
    if args.masks:
        compare(case, f"causal graph of {args.masks} masks", lambda: find_causes(game, n_masks=args.masks).node)


def compare(case: Case, label: str, run: Callable[[], np.ndarray]) -> None:
    """Print the time of a run with and without sharing."""
    seconds, found = {}, {}
    model = case.model
    assert isinstance(model, Generic)
    for shares in (True, False):
        model.accept(replace(model.offer, shares=shares))
        start = time.perf_counter()
        found[shares] = run()
        seconds[shares] = time.perf_counter() - start
    print(
        f"{label}: {seconds[True]:.1f} s shared, {seconds[False]:.1f} s apart, ratio {seconds[True] / seconds[False]:.2f}, "
        f"largest difference {np.abs(found[True] - found[False]).max():.1e} nats"
    )


if __name__ == "__main__":
    main()
