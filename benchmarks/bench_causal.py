"""The causal graph against its peers: how fast a masked forward pass is, and how well what is learnt from them predicts.

    pip install --constraint constraints/pinned.txt --editable ".[bench]"
    python benchmarks/bench_causal.py [--n 10] [--seed 1] [--quick] [--parts speed cuts captum lds memory] [--json OUT]

Five parts, all on the CPU threads that torch is given, all in one run:

``speed``
    Masked forward passes a second through `Game` / the library's own forward (sdpa) of the same shapes: as many rows at once, every
    row with a picture of its own, the same words absent. The library's pixels and token ids are ready beforehand; the game also
    fills, scales and normalises its pictures. The target is 0.90. A second ratio lets the library scale and normalise too; a third
    is of the masks that `find_causes` draws, which share pictures (the library has one a row). The log-odds are compared.
``cuts``
    Time of masks that fill pixels / time of the same masks that cut attention. The target is 3.5.
``captum``
    Seconds a forward pass, ours / Captum's `FeatureAblation` of the library's forward. The target is 0.40. Three sets of masks.
    *Word by region*: every word absent alone under each of some pictures (the whole one, and with one region absent), as all exact
    2 x 2 factorials of words and regions take; Captum gets the pictures as its batch, filled beforehand. *One by one*: every word
    and region absent alone. *find_causes*: the 256 masks that it drew, against Captum's time in *one by one*.
``lds``
    LDS on held-out masks for numbers of forward passes, ours and every estimator of `estimators.py`, on fresh scenes that `tiny`
    answers correctly. Means over questions with 95 % intervals clustered by image, and the paired difference to the best peer.
``memory``
    Peak resident memory of fresh processes that try 64 masks and 4,096, by the game alone and by `find_causes`.

Times are of a random BLIP-2 of about 250 million parameters (`bench_engine.save_large`), `speed` also of `tiny`. Each round times
every contender once, in turn; a ratio is the median over rounds, with the interval of that median by bootstrap.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_engine import peak_of_this_process, ratio, save_large
from captum.attr import FeatureAblation
from estimators import BATCH, ESTIMATORS, OURS, CountedGame, TooFew
from torch import Tensor
from tqdm import tqdm
from transformers import Blip2ForConditionalGeneration
from transformers.utils import logging

from stcg_nb.case import Case
from stcg_nb.faithfulness.measures import held_out_masks, lds
from stcg_nb.inputs.fills import Filler
from stcg_nb.interventions.causal_graph import find_causes
from stcg_nb.interventions.masking import Game
from stcg_nb.models import Model, load_model
from stcg_nb.progress import watching
from stcg_nb.scenes.pictures import Scene, make_scene
from stcg_nb.scenes.questions import EVALUATION_SEEDS, Question, make_questions, sample
from stcg_nb.stats.bootstrap import cluster_bootstrap

PARTS = ("speed", "cuts", "captum", "lds", "memory")
BUDGETS = (28, 64, 128, 256, 1024)
HELD_OUT = 150
TIME_LIMIT = 1200  # seconds for a process whose memory is measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--n", type=int, default=10, help="questions for the LDS (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="of their scenes (default 1)")
    parser.add_argument("--budgets", nargs="+", type=int, default=BUDGETS, metavar="FORWARDS")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of timing (default 5)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="keeps the LDS of every question; goes on from it")
    parser.add_argument("--quick", action="store_true", help="two questions, few forward passes, two rounds: a trial")
    parser.add_argument("--peak", nargs=2, metavar=("WHAT", "MASKS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        print(peak_after(args.peak[0], int(args.peak[1])))
        return
    if args.quick:
        args.n, args.budgets, args.repeats = 2, args.budgets[:2], 2
    rows = 8 if args.quick else 64
    print(f"{torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as folder, watching(lambda *_: None):
        if {"speed", "cuts", "captum"} & set(args.parts):
            save_large(Path(folder))
        if "speed" in args.parts:
            report("speed, tiny", speed("tiny", rows, args.repeats))
            report("speed, 250M", speed(folder, rows // 2, args.repeats))
        if "cuts" in args.parts:
            report("cuts, 250M", cuts(folder, rows, args.repeats))
        if "captum" in args.parts:
            report("captum, 250M", against_captum(folder, 4 if args.quick else 8, args.repeats))
        if "lds" in args.parts:
            print_lds(measure_lds(args.n, args.seed, args.budgets, args.json), args.budgets, args.seed)
        if "memory" in args.parts:
            report("memory, tiny", memory((64, 128) if args.quick else (64, 1024, 4096)))


def report(title: str, lines: dict[str, str]) -> None:
    print(f"\n{title}")
    for name, value in lines.items():
        print(f"  {name:<34} {value}", flush=True)


# Times


def example(source: str, removal: str = "median") -> Game:
    """A question about a scene, to be timed."""
    model, scene = load_model(source), make_scene(EVALUATION_SEEDS)
    return Game(Case.read(scene.image, make_questions(scene, 0)[0].text, model, answer="red car"), removal)


class Bare:
    """The library's own forward pass of the same checkpoint: pixels and which words are there, to the log-odds of the answer."""

    def __init__(self, source: str, game: Game) -> None:
        folder = str(files("stcg_nb") / "data" / "tiny") if source == "tiny" else source
        self.network = Blip2ForConditionalGeneration.from_pretrained(folder, attn_implementation="sdpa").eval()
        config, prompt = self.network.config, game.case.prompt
        self._game, queries = game, config.num_query_tokens
        self._ids = torch.tensor([[config.image_token_index] * queries + list(prompt.token_ids)])
        self._targets = torch.tensor(game.case.answer.token_ids)
        self._decoder = torch.cat([torch.tensor([config.text_config.decoder_start_token_id]), self._targets[:-1]])[None]
        self._places = [[queries + place for place in places] for places in prompt.word_tokens]

    def fill(self, regions: np.ndarray) -> list[np.ndarray]:
        """Filled pictures for masks of regions."""
        filler = Filler(self._game.case.image, self._game.case.regions, self._game.removal)
        return [filler(present) for present in regions]

    def read(self, pictures: list[np.ndarray]) -> Tensor:
        """Pictures by the checkpoint's image processor, ready for the vision model."""
        return self._game.model._pixels(pictures)  # type: ignore[attr-defined]

    @torch.inference_mode()
    def __call__(self, pixels: Tensor, words: Tensor) -> Tensor:
        """``[row, step]`` for pixels and ``[row, word]``, 1 where a word is there."""
        attention = torch.ones(len(pixels), self._ids.shape[1], dtype=torch.long)
        for word, places in enumerate(self._places):
            attention[:, places] = (words[:, word : word + 1] > 0.5).long()
        logits = self.network(
            pixel_values=pixels, input_ids=self._ids.expand(len(pixels), -1), attention_mask=attention,
            decoder_input_ids=self._decoder.expand(len(pixels), -1),
        ).logits  # fmt: skip
        log_p = logits.log_softmax(-1)[:, torch.arange(len(self._targets)), self._targets]
        return log_p - torch.log1p(-log_p.exp())


def rounds(repeats: int, **ways: Callable[[], object]) -> dict[str, np.ndarray]:
    """Seconds of each way, ``[round]``, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: np.array(s) for name, s in seconds.items()}


def speed(source: str, n: int, repeats: int) -> dict[str, str]:
    game = example(source)
    bare = Bare(source, game)
    masks = held_out_masks(game.n_players, 8 * n, seed=0)[0]
    _, first = np.unique(masks[:, game.n_words :], axis=0, return_index=True)
    masks = masks[np.sort(first)[:n]]  # no two share a picture
    words, pictures = torch.from_numpy(masks[:, : game.n_words]), bare.fill(masks[:, game.n_words :])
    pixels = bare.read(pictures)
    ours = game(masks)
    rows = min(game.case.model._batches._rows.values())  # type: ignore[attr-defined]

    def plain(pixels: Tensor) -> Tensor:
        return torch.cat([bare(*part) for part in zip(pixels.split(rows), words.split(rows), strict=True)])

    off = np.abs(plain(pixels).double().numpy() - ours).max()
    drawn = find_causes(game).masks
    at = rounds(
        repeats, ours=lambda: game(masks), bare=lambda: plain(pixels), reading=lambda: plain(bare.read(pictures)),
        drawn=lambda: game(drawn),
    )  # fmt: skip
    return {
        "ours (forwards/s, median)": f"{len(masks) / np.median(at['ours']):.1f}",
        "bare (forwards/s, median)": f"{len(masks) / np.median(at['bare']):.1f}",
        "ours / bare": f"{ratio(at['bare'] / at['ours'])}  ({len(masks)} masks, {rows} rows at once)",
        "ours / bare that reads pictures": ratio(at["reading"] / at["ours"]),
        "ours, as drawn / bare": f"{ratio(at['bare'] / len(masks) / (at['drawn'] / len(drawn)))}  ({len(drawn)} masks, "
        f"{len(np.unique(drawn[:, game.n_words :], axis=0))} pictures)",
        "largest difference (nats)": f"{off:.1e}",
    }


def cuts(source: str, n: int, repeats: int) -> dict[str, str]:
    fill, cut = (example(source, removal) for removal in ("median", "cut"))
    masks = held_out_masks(fill.n_players, n, seed=0)[0]

    def cutting() -> np.ndarray:
        cut.model._encoder.cache.clear()  # type: ignore[attr-defined]
        return cut(masks)

    at = rounds(repeats, fill=lambda: fill(masks), cut=cutting)
    return {
        "fill (s/forward, median)": f"{np.median(at['fill']) / n:.4f}",
        "cut (s/forward, median)": f"{np.median(at['cut']) / n:.4f}",
        "fill / cut": f"{ratio(at['fill'] / at['cut'])}  ({n} masks)",
    }


def against_captum(source: str, n_pictures: int, repeats: int) -> dict[str, str]:
    game = example(source)
    bare, n_words, n_regions = Bare(source, game), game.n_words, game.case.regions.n
    pictures = np.concatenate([np.ones((1, n_regions), bool), ~np.eye(n_regions, dtype=bool)])[:n_pictures]
    texts = np.concatenate([np.ones((1, n_words), bool), ~np.eye(n_words, dtype=bool)])
    by_region = np.concatenate([np.tile(texts, (n_pictures, 1)), np.repeat(pictures, len(texts), 0)], 1)
    one_by_one = np.concatenate([np.ones((1, game.n_players), bool), ~np.eye(game.n_players, dtype=bool)])
    drawn = find_causes(game).masks
    ready = bare.read(bare.fill(pictures))
    whole, empty = bare.read(bare.fill(np.array([[True] * n_regions, [False] * n_regions]))).split(1)
    owner = torch.from_numpy(game.case.regions.labels)[None, None].float()
    owner = torch.nn.functional.interpolate(owner, whole.shape[-2:]).long().expand(1, 3, -1, -1).contiguous()
    word_mask = n_regions + torch.arange(n_words)[None]

    def first_step(pixels: Tensor, words: Tensor) -> Tensor:
        return bare(pixels, words)[:, 0]

    def captum_by_region() -> Tensor:
        return FeatureAblation(lambda words, pixels: first_step(pixels, words)).attribute(
            torch.ones(n_pictures, n_words), additional_forward_args=(ready,),
            perturbations_per_eval=max(1, BATCH // n_pictures),
        )  # fmt: skip

    def captum_one_by_one() -> tuple[Tensor, ...]:
        return FeatureAblation(first_step).attribute(
            (whole, torch.ones(1, n_words)), baselines=(empty, 0), feature_mask=(owner, word_mask),
            perturbations_per_eval=BATCH,
        )  # fmt: skip

    values = game(by_region)[:, 0].reshape(n_pictures, -1)
    off = np.abs(values[:, :1] - values[:, 1:] - captum_by_region().double().numpy()).max()
    at = rounds(
        repeats, by_region=lambda: game(by_region), captum_by_region=captum_by_region,
        one_by_one=lambda: game(one_by_one), captum_one_by_one=captum_one_by_one, drawn=lambda: game(drawn),
    )  # fmt: skip
    each = {
        "by_region": len(by_region), "captum_by_region": len(by_region),
        "one_by_one": len(one_by_one), "captum_one_by_one": len(one_by_one), "drawn": len(drawn),
    }  # fmt: skip
    per = {name: seconds / each[name] for name, seconds in at.items()}
    return {
        "word by region": f"{ratio(per['by_region'] / per['captum_by_region'])}  ({len(by_region)} masks, {n_pictures} pictures)",
        "one by one": f"{ratio(per['one_by_one'] / per['captum_one_by_one'])}  ({len(one_by_one)} masks)",
        "find_causes": f"{ratio(per['drawn'] / per['captum_one_by_one'])}  ({len(drawn)} masks, "
        f"{len(np.unique(drawn[:, n_words:], axis=0))} pictures)",
        "largest difference (nats)": f"{off:.1e}, of effects of words in word by region",
    } | {f"{name} (s/forward, median)": f"{np.median(seconds):.4f}" for name, seconds in per.items()}


# LDS


def questions(model: Model, seed: int) -> Iterator[tuple[Scene, Question]]:
    """Fresh scenes with a question that the model answers correctly."""
    for scene, question in sample(10**6, seed):
        if model.answer([scene.image], model.prompt(question.text))[0].text == question.answer:
            yield scene, question


def measure_lds(n: int, seed: int, budgets: list[int], kept: Path | None) -> list[dict[str, Any]]:
    """For each question its scene, its players, and for each estimator and budget the LDS and the forwards asked for."""
    model, scores = load_model("tiny"), []
    head = {"model": model.revision, "seed": seed, "budgets": list(budgets), "estimators": list(ESTIMATORS)}
    if kept is not None and kept.exists():
        before = json.loads(kept.read_text(encoding="utf-8"))
        if before["head"] != head:
            raise SystemExit(f"{kept} is of another run ({before['head']}); delete it, or name another file.")
        scores = before["questions"]
    fresh = islice(questions(model, seed), len(scores), n)
    for scene, question in tqdm(fresh, desc="LDS", unit="question", total=n, initial=len(scores)):
        scores.append(measure_question(model, scene, question, budgets))
        if kept is not None:
            kept.write_text(json.dumps({"head": head, "questions": scores}), encoding="utf-8")
    return scores[:n]


def measure_question(model: Model, scene: Scene, question: Question, budgets: list[int]) -> dict[str, Any]:
    game = CountedGame(Case.read(scene.image, question.text, model, answer=question.answer))
    masks, rate = held_out_masks(game.n_players, HELD_OUT, seed=scene.seed)
    real = game(masks)
    found: dict[str, dict[str, tuple[float, int] | None]] = {}
    for name, estimator in ESTIMATORS.items():
        found[name] = {}
        for budget in budgets:
            game.asked[0] = 0
            try:
                predicted = estimator(game, budget, 0)(masks)
                found[name][str(budget)] = lds(predicted, real, rate), game.asked[0]
            except TooFew:
                found[name][str(budget)] = None
    return {"scene": scene.seed, "players": game.n_players, "lds": found}


def print_lds(scores: list[dict[str, Any]], budgets: list[int], seed: int) -> None:
    images, players = np.array([s["scene"] for s in scores]), np.array([s["players"] for s in scores])
    print(f"\nLDS, tiny: {len(scores)} questions of seed {seed}, {players.min()} to {players.max()} players")
    print("  mean [95 % interval]; n where it is less; (forwards asked for, mean, where more than 5 % off)")
    print(f"  {'':<33}" + "".join(f"{budget:<27}" for budget in budgets))

    def column(name: str, budget: int) -> tuple[np.ndarray, np.ndarray]:
        cells = [s["lds"][name][str(budget)] or (np.nan, np.nan) for s in scores]
        value, asked = np.array(cells, dtype=float).T
        return value, asked

    for name in ESTIMATORS:
        line = f"  {name:<33}"
        for budget in budgets:
            value, asked = column(name, budget)
            line += f"{_cell(value, asked, images, budget):<27}"
        print(line.rstrip())
    for mine in OURS:
        line = f"  {mine + ' - best peer':<33}"
        for budget in budgets:
            value = column(mine, budget)[0]
            # A peer counts where it ran on every question.
            peers = {name: column(name, budget)[0] for name in ESTIMATORS if name not in OURS}
            best = max((p for p in peers if np.isfinite(peers[p]).all()), key=lambda p: peers[p].mean())
            e = cluster_bootstrap(value - peers[best], images)
            line += f"{f'{e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]' if e.n else 'too few':<27}"
            if mine == "ours":
                print(f"  best peer at {budget} forwards: {best}")
        print(line.rstrip())


def _cell(value: np.ndarray, asked: np.ndarray, images: np.ndarray, budget: int) -> str:
    e = cluster_bootstrap(value, images)
    if not e.n:
        return "too few"
    text = f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"
    text += f" n={e.n}" if e.n < len(images) else ""
    used = np.nanmean(asked)
    return text + (f" ({used:.0f})" if abs(used - budget) > 0.05 * budget else "")


# Memory


def memory(sizes: tuple[int, ...]) -> dict[str, str]:
    lines = {}
    for what in ("game", "find_causes"):
        peaks = [peak(what, n) for n in sizes]
        parts = [
            f"{n} masks: {f'{p:.0f} MB' if p else f'not within {TIME_LIMIT} s'}"
            for n, p in zip(sizes, peaks, strict=True)
        ]
        whole = [p for p in peaks if p]
        lines[what] = f"{whole[-1] / whole[0]:.3f} times as much  ({'; '.join(parts)})"
    return lines


def peak(what: str, n: int) -> float | None:
    """Peak resident memory in MB of a fresh process; None if it takes too long."""
    command = [sys.executable, __file__, "--peak", what, str(n)]
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIME_LIMIT).stdout
    except subprocess.TimeoutExpired:
        return None
    return float(out.strip().splitlines()[-1])


def peak_after(what: str, n: int) -> float:
    game = example("tiny")
    if what == "game":
        game(held_out_masks(game.n_players, n, seed=0)[0])
    else:
        find_causes(game, n)
    return peak_of_this_process()


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable_progress_bar()
    main()
