"""How many operations an explanation takes with BLIP-2 flan-t5-xl, counted: nothing is timed and nothing is downloaded.

1. The full-size model is built on the meta device, which has shapes and no numbers, and torch counts the floating-point operations
   of each of its parts for one row (`torch.utils.flop_counter`).
2. Explanations of three photographs by the embedded model say how many rows go through each part: the engine, the geometry
   (16 x 16 patches, 32 query tokens) and the way to find regions are the same.
3. The product, for several options, is what docs/cost.md multiplies by the questions of VQA-v2.

    python benchmarks/count_operations.py [--n 1]
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Blip2Config, Blip2ForConditionalGeneration, T5Config

from stcg_nb import explain, load_model
from stcg_nb.inputs.open_image import PHOTO_QUESTIONS, open_image
from stcg_nb.progress import watching

QUESTIONS, PICTURES = 214_354, 40_504  # of VQA-v2's validation split
PROMPT, STEPS = 15, 2  # tokens of a question in its template, and of an answer with its end mark
OPTIONS = {
    "masks=0": {"masks": 0},
    "estimator=gradient, masks=0": {"estimator": "gradient", "masks": 0},
    "256 masks": {},
}
PARTS = ("vision", "qformer", "encoder", "decoder")
BACKWARD = 2  # operations of a backward pass, in forward passes
# Peak of 16-bit matrix products by the makers' data sheets, in operations a second, and the share of it that is assumed.
MACHINES = {"one T4": (65e12, 0.30), "one A100": (312e12, 0.40), "eight A100": (8 * 312e12, 0.40 * 0.95)}


def full_size() -> Any:
    """BLIP-2 flan-t5-xl without its numbers; vision model and Q-Former are the library's defaults."""
    text = T5Config(
        vocab_size=32128, d_model=2048, d_kv=64, d_ff=5120, num_layers=24, num_decoder_layers=24, num_heads=32,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0,
    )  # fmt: skip
    config = Blip2Config(text_config={**text.to_dict(), "model_type": "t5"}, num_query_tokens=32)
    with torch.device("meta"):
        return Blip2ForConditionalGeneration(config).eval().requires_grad_(False)


def operations(model: Any) -> dict[str, float]:
    """Floating-point operations of one row in each part; one of the decoder is a whole answer."""

    def count(run: Any) -> float:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            run()
        return float(counter.get_total_flops())

    text = model.language_model
    pixels = torch.empty(1, 3, 224, 224, device="meta")
    patches = torch.empty(1, 257, 1408, device="meta")
    queries = torch.empty(1, 32, 768, device="meta")
    prompt = torch.empty(1, 32 + PROMPT, 2048, device="meta")
    answer = torch.empty(1, STEPS, 2048, device="meta")
    return {
        "vision": count(lambda: model.vision_model(pixel_values=pixels)),
        "qformer": count(lambda: model.qformer(query_embeds=queries, encoder_hidden_states=patches)),
        "encoder": count(lambda: text.encoder(inputs_embeds=prompt)),
        "decoder": count(
            lambda: text.lm_head(text.decoder(inputs_embeds=answer, encoder_hidden_states=prompt).last_hidden_state)
        ),
    }


@contextmanager
def counted(network: Any) -> Iterator[tuple[Counter[str], Counter[str]]]:
    """Rows that pass through each part, without and with a gradient; a step of the decoder counts as a share of an answer."""
    plain: Counter[str] = Counter()
    with_gradient: Counter[str] = Counter()
    modules = (network.vision_model, network.qformer, network.language_model.encoder, network.language_model.decoder)

    def watch(part: str) -> Any:
        def hook(_: Any, args: Any, kwargs: Any, out: Any) -> None:
            rows, length = out.last_hidden_state.shape[:2]
            share = length / STEPS if part == "decoder" else 1
            (with_gradient if torch.is_grad_enabled() else plain)[part] += rows * share

        return hook

    hooks = [m.register_forward_hook(watch(p), with_kwargs=True) for p, m in zip(PARTS, modules, strict=True)]
    try:
        yield plain, with_gradient
    finally:
        for hook in hooks:
            hook.remove()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=1, choices=(1, 2, 3), help="questions about each of three photographs")
    args = parser.parse_args()
    each = operations(full_size())
    print("BLIP-2 flan-t5-xl, 10^9 operations a row: " + ", ".join(f"{k} {v / 1e9:,.0f}" for k, v in each.items()))
    asked = [(name, question) for name, questions in PHOTO_QUESTIONS.items() for question in questions[: args.n]]
    for label, options in OPTIONS.items():
        rows, totals = [], []
        for name, question in asked:
            model = load_model("tiny")  # nothing of an earlier question is kept
            with counted(model.network) as (plain, gradient), watching(lambda *_: None):
                explain(open_image(f"photo:{name}"), question, model, **options)
            rows.append([plain[p] + gradient[p] for p in PARTS])
            totals.append(sum(each[p] * (plain[p] + (1 + BACKWARD) * gradient[p]) for p in PARTS))
        mean = np.mean(totals)
        print(f"\n{label} (n = {len(asked)}): rows " + ", ".join(
            f"{p} {r:,.0f}" for p, r in zip(PARTS, np.mean(rows, 0), strict=True)
        ))  # fmt: skip
        print(
            f"  {mean / 1e12:,.0f} x 10^12 operations a question ({min(totals) / 1e12:,.0f} to {max(totals) / 1e12:,.0f})"
        )
        for machine, (peak, share) in MACHINES.items():
            seconds = mean / (peak * share)
            print(
                f"  {machine:<11} {seconds:8,.2f} s a question, {seconds * QUESTIONS / 86_400:8,.1f} days for {QUESTIONS:,}"
            )


if __name__ == "__main__":
    main()
