"""The `Model` protocol over any decoder-only vision-language model: see a picture once, then score rows by the second half alone.

1. *See*: the vision model runs once for a picture, and its features serve every question about it.
2. *Front*: the network's own forward on prompt and answer, up to its language model, whose arguments are kept
   (`stcg_nb.models.generic.calls`).
3. *Back*: the network's own forward from there, one row a mask; absent words and image tokens are cut in attention
   (`stcg_nb.models.generic.rows`).

The site ``language`` is self-attention over the whole sequence. A class without image tokens in its sequence (Mllama) attends to the
picture in layers of its own, the site ``cross``. Attention inside the vision model is not captured: an image token is taken to show
what it covers. What a model is offered is decided by checks on loading (`stcg_nb.models.generic.checks`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig

from stcg_nb.errors import InputError
from stcg_nb.models.adapters import Cuts, differs, log_odds, shuffled
from stcg_nb.models.attention import probing
from stcg_nb.models.batching import Batches
from stcg_nb.models.checks import check_cuts, check_trace
from stcg_nb.models.generic.calls import Arguments, Calls, join
from stcg_nb.models.generic.captures import arranged, layers_of, stored_queries
from stcg_nb.models.generic.cuts import masks
from stcg_nb.models.generic.offer import Offer
from stcg_nb.models.generic.pictures import Pictures
from stcg_nb.models.generic.reading import Reading
from stcg_nb.models.generic.rows import Sequences, scored, scored_masked, scored_sharing
from stcg_nb.models.image_cache import tensors
from stcg_nb.models.layout import Layout
from stcg_nb.models.protocol import MAX_NEW_TOKENS, Answer, Prompt, Trace


class Generic:
    """A loaded network behind the `Model` protocol.

    Args:
        network: The loaded model, its attention rerouted and its sites marked (`stcg_nb.models.generic.checks.load_generic`).
        calls: Runs it in two halves.
        reading: Its prompts and pictures.
        name: Its name on figures.
        revision: Which weights it has.
        offer: What it is offered.
    """

    synthetic = False

    def __init__(
        self, network: Any, calls: Calls, reading: Reading, name: str, revision: str = "", offer: Offer | None = None
    ) -> None:
        self.network, self.calls, self.reading = network, calls, reading
        self.name, self.revision = name, revision
        self.dtypes = tuple(sorted({str(w.dtype).removeprefix("torch.") for w in network.parameters()}))
        modules = list(calls.language.modules())
        layers = [m.stcg_site for m in modules if getattr(m, "stcg_site", "") in ("language", "cross")]
        self._cross_layers = tuple(i for i, site in enumerate(layers) if site == "cross")
        self.accept(offer or Offer("cut"))
        self.pictures = Pictures(calls, reading, bool(self._cross_layers))
        self._batches: dict[int, Batches] = {}
        configured = [
            holder.eos_token_id
            for holder in (
                network.generation_config,
                network.config.get_text_config(),
                network.config,
                reading.tokenizer,
            )
            if getattr(holder, "eos_token_id", None) is not None
        ]
        ends = [e for end in configured for e in (end if isinstance(end, list) else [end])]
        self.ends = tuple(dict.fromkeys(ends))
        # Replaces the checkpoint's own, which may add penalties to greedy decoding.
        network.generation_config = GenerationConfig(eos_token_id=list(self.ends))

    def accept(self, offer: Offer) -> None:
        """Take what the checks have found."""
        self.offer, self.offers, self.edges = offer, offer.sentence, offer.edges
        crossed = bool(self._cross_layers)
        sites = ("language", "reading", "cross") if crossed else ("language", "reading")
        self.sites: tuple[str, ...] = () if offer.level == "masked" else sites
        many = "in cross-attention" if crossed else f"as up to {offer.tokens[1]:,} image tokens"
        self.sees = f"parts of a picture, {many}"

    @property
    def tokenizer(self) -> Any:
        return self.reading.tokenizer

    def randomised(self, seed: int) -> Generic:
        """A copy of the model in which the entries of every weight are shuffled by `seed`: same scale, nothing learnt."""
        network = shuffled(self.network, seed)
        place = dict(zip(self.network.modules(), network.modules(), strict=True))
        calls = Calls(network, place[self.calls.language])
        name, revision = f"{self.name} with shuffled weights", f"{self.revision}, shuffled by {seed}"
        return Generic(network, calls, self.reading, name, revision, self.offer)

    def with_prompt(self, template: str) -> Generic:
        other = copy.copy(self)
        other.reading = self.reading.with_wording(template)
        other.pictures = replace(self.pictures, reading=other.reading)
        return other

    # Questions and answers

    def prompt(self, question: str) -> Prompt:
        return self.reading.prompt(question)

    def target(self, text: str) -> Answer:
        return self.reading.answer([*self.reading.continuation(text), self.ends[0]], self.ends)

    def layout(self, prompt: Prompt, height: int, width: int) -> Layout:
        places = self.pictures.places(prompt, height, width)
        cover = self.pictures.cover(prompt, height, width)
        return Layout(cover, len(cover), len(places.text), places.words, (), self._cross_layers)

    @torch.no_grad()
    def answer(
        self, images: Sequence[np.ndarray], prompt: Prompt, *, cuts: Mapping[str, np.ndarray] | None = None
    ) -> list[Answer]:
        answers = []
        for i, image in enumerate(images):
            if cuts is None:
                ids = self.generate(image, prompt, MAX_NEW_TOKENS)
            else:
                checked = check_cuts(len(images), self._sizes(prompt, image), cuts, self.edges)
                ids = self._decode(image, prompt, {kind: cut[i : i + 1] for kind, cut in checked.items()})
            answers.append(self.reading.answer(ids, self.ends))
        return answers

    def generate(self, image: np.ndarray, prompt: Prompt, limit: int) -> list[int]:
        """Token ids of the library's greedy answer, at most `limit`, the end token included."""
        greedy = GenerationConfig(
            max_new_tokens=limit, do_sample=False, num_beams=1, eos_token_id=list(self.ends), pad_token_id=self.ends[0]
        )
        return self.calls.generate(self.pictures.batch(prompt, image), self.pictures.seen(image), greedy)

    def _decode(self, image: np.ndarray, prompt: Prompt, cuts: Cuts) -> list[int]:
        """Token ids of the greedy answer of one row under cuts. Each token takes a whole forward pass: simple, not fast."""
        ids: list[int] = []
        while len(ids) < MAX_NEW_TOKENS and not set(ids) & set(self.ends):
            targets = [*ids, self.ends[0]]  # the last only adds a position to predict
            of = self._sequences(prompt, image, targets)
            front = self.pictures.front(image, prompt, targets, reuse=False)
            cut = masks(of.places, of.length, None, None, cuts, bool(self._cross_layers))
            with probing(cuts=tensors(cut, of.ids.device)):
                ids.append(int(scored(self.calls, {0: front}, np.zeros(1, int), of)[0, -1].argmax()))
        return ids

    # Scores of counterfactual rows

    @torch.no_grad()
    def trace(
        self,
        images: Sequence[np.ndarray],
        prompt: Prompt,
        answer: Answer,
        *,
        image_index: np.ndarray | None = None,
        keep_words: np.ndarray | None = None,
        keep_patches: np.ndarray | None = None,
        cuts: Mapping[str, np.ndarray] | None = None,
        capture: Sequence[str] = (),
        reuse: bool = True,
    ) -> Trace:
        steps, masked = len(answer.token_ids), self.offer.level == "masked"
        if masked and keep_patches is not None:
            raise InputError(
                f"Regions cannot be cut from the attention of {self.name}, since not all its layers are attention; take another "
                "way to remove regions, such as 'median'."
            )
        if len({image.shape for image in images}) > 1:
            raise InputError(
                "The images have several sizes, and so several layouts; score images of one size at a time."
            )
        sizes = {**self._sizes(prompt, images[0]), "step": steps}
        index, all_cuts = check_trace(
            len(images), sizes, image_index, keep_words, keep_patches, cuts, capture, self.sites, self.edges
        )
        targets = [*answer.token_ids, *([self.ends[0]] if answer.ended else [])]
        of = self._sequences(prompt, images[0], targets)
        goal = torch.tensor(targets, device=of.ids.device)

        def run(rows: slice) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            words, patches = (None if keep is None else np.asarray(keep)[rows] for keep in (keep_words, keep_patches))
            row_cuts = {kind: cut[rows] for kind, cut in all_cuts.items()}
            fronts = {i: self.pictures.front(images[i], prompt, targets, reuse) for i in np.unique(index[rows])}
            found: dict[str, list[Tensor]] = {}
            if masked:
                logits = scored_masked(self.calls, fronts, index[rows], of, words)
            else:
                cut = masks(of.places, of.length, words, patches, row_cuts, bool(self._cross_layers))
                logits, found = self._cut(fronts, index[rows], of, cut, capture)
            v, likeliest = log_odds(logits, goal)
            maps = {s: torch.stack(m, 1).float().cpu() for s, m in found.items()}
            return v[:, :steps], differs(likeliest, goal, self.ends).any(1), maps

        parts = self._batch(of)("trace", len(index), run)
        v = torch.cat([p[0] for p in parts]).double().cpu()
        maps = {s: torch.cat([p[2][s] for p in parts]) for s in layers_of(capture)}
        flipped = torch.cat([p[1] for p in parts]).cpu().numpy()
        return Trace(torch.sigmoid(v).numpy(), v.numpy(), flipped, arranged(maps, capture, of, steps))

    def _cut(
        self, fronts: Mapping[int, Arguments], index: np.ndarray, of: Sequences, cut: Cuts, capture: Sequence[str]
    ) -> tuple[Tensor, dict[str, list[Tensor]]]:
        """Logits of the positions that predict targets, under masks by site, and the maps of captured layers."""
        if self.offer.shares and not capture:
            return scored_sharing(self.calls, fronts, index, of, cut), {}
        with probing(layers_of(capture), tensors(cut, of.ids.device), queries=stored_queries(capture, of)) as probe:
            return scored(self.calls, fronts, index, of), probe.maps

    def relevance(self, image: np.ndarray, prompt: Prompt, answer: Answer) -> Mapping[str, Tensor]:
        sites = [s for s in self.sites if s != "reading"]
        goal = torch.tensor(answer.token_ids)
        of, front = self._one(image, prompt, answer)

        def run(rows: slice) -> dict[str, Tensor]:
            wanted = torch.arange(rows.start, rows.stop)
            # One row per step: rows do not interact, so one backward pass of the sum gives each step its own gradient.
            with torch.enable_grad(), probing(sites, with_gradient=True) as probe:
                arguments = {k: _leaf(v) for k, v in join([front] * len(wanted)).items()}
                logits = self.calls.back(arguments, of.ids.expand(len(wanted), -1), of.types, of.keep)
                v = log_odds(logits, goal)[0]
                weights = [(s, w) for s, layers in probe.maps.items() for w in layers]
                gradients = torch.autograd.grad(v[torch.arange(len(wanted)), wanted].sum(), [w for _, w in weights])
            maps: dict[str, list[Tensor]] = {}
            for (site, w), g in zip(weights, gradients, strict=True):
                maps.setdefault(site, []).append((w.detach() * g).clamp(min=0).float().mean(1).cpu())
            return {s: torch.stack(layers, 1) for s, layers in maps.items()}

        parts = self._batch(of)("relevance", len(goal), run)
        return arranged({s: torch.cat([p[s] for p in parts]) for s in sites}, sites, of, len(goal))

    @torch.no_grad()
    def heads(self, image: np.ndarray, prompt: Prompt, answer: Answer) -> Mapping[str, Tensor]:
        """As in the protocol, of all sites but ``language``, of which ``reading`` is the part that links go through."""
        sites = [s for s in self.sites if s != "language"]
        of, front = self._one(image, prompt, answer)
        with probing(layers_of(sites), with_gradient=True, queries=stored_queries(sites, of)) as probe:
            scored(self.calls, {0: front}, np.zeros(1, int), of)
        maps = {s: torch.stack([m[0] for m in layers]).float().cpu() for s, layers in probe.maps.items()}
        return arranged(maps, sites, of, len(answer.token_ids))

    def _one(self, image: np.ndarray, prompt: Prompt, answer: Answer) -> tuple[Sequences, Arguments]:
        """The sequence of a picture, a prompt and an answer, and what the language model is called with for it."""
        of = self._sequences(prompt, image, answer.token_ids)
        with torch.no_grad():
            return of, self.pictures.front(image, prompt, answer.token_ids)

    def _sequences(self, prompt: Prompt, image: np.ndarray, targets: Sequence[int]) -> Sequences:
        places = self.pictures.places(prompt, *image.shape[:2])
        ids = torch.tensor([[*places.ids.tolist(), *targets[:-1]]], device=self.network.device)
        return Sequences(places, ids, self.pictures.types, len(targets))

    def _sizes(self, prompt: Prompt, image: np.ndarray) -> dict[str, int]:
        size = image.shape[:2]
        patches = len(
            self.pictures.cover(prompt, *size) if self._cross_layers else self.pictures.places(prompt, *size).image
        )
        return {"word": len(prompt.words), "query": patches, "patch": patches}

    def _batch(self, of: Sequences) -> Batches:
        """Batches of rows of a length."""
        config = self.network.config.get_text_config()
        width, heads = config.hidden_size, config.num_attention_heads
        numbers = of.length * (16 * width + 3 * heads * of.length) + 3 * MAX_NEW_TOKENS * config.vocab_size
        return self._batches.setdefault(of.length, Batches(numbers, self.network.device))


def _leaf(value: Any) -> Any:
    """Embeddings as the start of a gradient; anything else as it is."""
    is_start = isinstance(value, Tensor) and value.is_floating_point() and value.dim() == 3
    return value.clone().requires_grad_() if is_start else value
