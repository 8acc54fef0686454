"""What capture costs, and what batching saves: ratios of times measured side by side in one run.

    python benchmarks/bench_engine.py [--repeats 9]

On a BLIP-2 of about 250 million parameters with random weights (ViT-B/14, a Q-Former of BERT's size, flan-T5-small's shape) and on
the embedded model, with one image and its six perturbations. The large model's answer has four tokens, as random weights never stop;
the embedded one is asked a question of every kind, and its answers have their own lengths (capture: the first question's):

- ``capture text``: the engine's batched pass with all Q-Former and T5 attention captured / the library's own forward of
  the same batch (sdpa, nothing captured);
- ``capture all``: the same with the ViT's attention too;
- ``explain``: the base answer and all seven passes with capture / a loop of ``generate(output_attentions=True)``, eager; over
  all questions, and apart for answers of one token and of several;
- ``memory``: peak resident memory of a process that runs ``capture text`` / one that runs the library's forward.

Each round times every contender once, in turn; a ratio is the median over rounds, with the interval of that median by bootstrap.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib.resources import files
from itertools import count
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessorPil,
)

from stcg_nb.inputs.perturbations import DEFAULT, perturb
from stcg_nb.models import SITES, Prompt, engine, load_model
from stcg_nb.scenes.pictures import make_scene
from stcg_nb.scenes.questions import EVALUATION_SEEDS, KINDS, make_questions

LARGE_TOKENS = 4
TEXT = tuple(s for s in SITES if s != "vit")
# The first scene about which a question of every kind can be asked.
SCENE = next(scene for scene in map(make_scene, count(EVALUATION_SEEDS)) if len(make_questions(scene, 0)) == len(KINDS))
QUESTIONS = make_questions(SCENE, 0)


def save_large(folder: Path) -> None:
    """About 250 million random parameters in hub format."""
    tokenizer = AutoTokenizer.from_pretrained(str(files("stcg_nb") / "data" / "tiny"))
    config = Blip2Config(
        vision_config={
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
            "image_size": 224, "patch_size": 14, "initializer_range": 0.02,
        },
        qformer_config={"encoder_hidden_size": 768, "vocab_size": 2},
        text_config={
            "model_type": "t5", "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8,
            "num_decoder_layers": 8, "num_heads": 6, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
            "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1,
        },
        num_query_tokens=32,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    torch.manual_seed(0)
    model = Blip2ForConditionalGeneration(config)
    with torch.no_grad():
        model.query_tokens.normal_(0, 0.02)
    model.save_pretrained(folder)
    Blip2Processor(
        BlipImageProcessorPil(size={"height": 224, "width": 224}), tokenizer, num_query_tokens=32
    ).save_pretrained(folder)


class Contenders:
    """The same work done in several ways, on one checkpoint."""

    def __init__(self, source: str) -> None:
        if source != "tiny":
            engine.MAX_NEW_TOKENS = LARGE_TOKENS
        folder = str(files("stcg_nb") / "data" / "tiny") if source == "tiny" else source
        picture = SCENE.image
        self.images = [picture, *(perturb(picture, name).image for name in DEFAULT)]
        self.ours = load_model(source)
        self.plain = Blip2ForConditionalGeneration.from_pretrained(folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        queries = self.plain.config.num_query_tokens
        self.processor = Blip2Processor(
            BlipImageProcessorPil.from_pretrained(folder), tokenizer, num_query_tokens=queries
        )
        self.prompts = [self.ours.prompt(q.text) for q in (QUESTIONS if source == "tiny" else QUESTIONS[:1])]
        self.prompt = self.prompts[0]
        self.answer = self.ours.answer(self.images[:1], self.prompt)[0]
        self.labels = torch.tensor([self.answer.token_ids]).repeat(len(self.images), 1)

    def bare(self) -> None:
        self.plain.set_attn_implementation("sdpa")
        batch = self.processor(images=self.images, text=[self.prompt.text] * len(self.images), return_tensors="pt")
        with torch.inference_mode():
            self.plain(**batch, labels=self.labels)

    def capture(self, sites: tuple[str, ...]) -> None:
        self.ours._encoder.cache.clear()
        self.ours.trace(self.images, self.prompt, self.answer, capture=sites)

    def explain(self, prompt: Prompt) -> None:
        self.ours._encoder.cache.clear()
        answer = self.ours.answer(self.images[:1], prompt)[0]
        self.ours.trace(self.images, prompt, answer, capture=TEXT)

    def naive(self, prompt: Prompt) -> None:
        self.plain.set_attn_implementation("eager")
        for image in self.images:
            batch = self.processor(images=image, text=prompt.text, return_tensors="pt")
            with torch.inference_mode():
                self.plain.generate(
                    **batch, max_new_tokens=engine.MAX_NEW_TOKENS, do_sample=False, num_beams=1,
                    output_attentions=True, return_dict_in_generate=True,
                )  # fmt: skip


def times(source: str, repeats: int) -> dict[str, str]:
    run = Contenders(source)
    ways = {
        "bare": run.bare,
        "text": lambda: run.capture(TEXT),
        "all": lambda: run.capture(SITES),
    }
    for k, prompt in enumerate(run.prompts):
        ways[f"explain {k}"] = partial(run.explain, prompt)
        ways[f"naive {k}"] = partial(run.naive, prompt)
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    at = {name: np.array(s) for name, s in seconds.items()}
    lengths = np.array([len(run.ours.answer(run.images[:1], prompt)[0].text.split()) for prompt in run.prompts])
    groups = {"": lengths >= 0, ", one word": lengths == 1, ", several words": lengths > 1}
    for label, members in groups.items():
        for way in ("explain", "naive"):
            at[way + label] = sum((at[f"{way} {k}"] for k in np.flatnonzero(members)), np.zeros(repeats))
    report = {
        f"{name} (s, median)": f"{np.median(at[name]):.3f}" for name in ("bare", "text", "all", "explain", "naive")
    }
    report["capture text"], report["capture all"] = ratio(at["text"] / at["bare"]), ratio(at["all"] / at["bare"])
    for label, members in groups.items():
        if members.any():
            report["explain" + label] = (
                f"{ratio(at['explain' + label] / at['naive' + label])}, {members.sum()} questions"
            )
    return report


def ratio(samples: np.ndarray) -> str:
    """Median with its 95 % bootstrap interval and n."""
    drawn = np.random.default_rng(0).choice(samples, (2000, len(samples)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return f"{np.median(samples):.3f} [{low:.3f}, {high:.3f}], n={len(samples)}"


def peak(source: str, way: str) -> float:
    """Peak resident memory in MB of a fresh process that runs one contender three times."""
    out = subprocess.run(
        [sys.executable, __file__, "--peak", source, way], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip
    return float(json.loads(out.strip().splitlines()[-1]))


def peak_of_this_process() -> float:
    """In MB. Linux hands its ru_maxrss on from the process that started this one, so the kernel's own count is read."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--peak", nargs=2, metavar=("SOURCE", "WAY"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        run = Contenders(args.peak[0])
        for _ in range(3):
            run.bare() if args.peak[1] == "bare" else run.capture(TEXT)
        print(peak_of_this_process())
        return
    with tempfile.TemporaryDirectory() as folder:
        save_large(Path(folder))
        for label, source in (("tiny", "tiny"), ("250M", folder)):
            report = times(source, args.repeats)
            bare, ours = peak(source, "bare"), peak(source, "text")
            report["memory"] = f"{ours / bare:.3f} ({ours:.0f} MB against {bare:.0f} MB)"
            print(f"\n{label} ({torch.get_num_threads()} threads)")
            for name, value in report.items():
                print(f"  {name:<20} {value}")


if __name__ == "__main__":
    main()
