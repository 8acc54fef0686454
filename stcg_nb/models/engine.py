"""The engine: runs a model of any family on counterfactual rows, in batches.

1. An image is encoded once, and its encoding serves every mask of words (`stcg_nb.models.image_cache`).
2. The answer is generated once, by greedy decoding. Counterfactual rows are scored by teacher forcing: one forward pass over
   many rows, without generation.
3. Attention is captured and cut in one place (`stcg_nb.models.attention`).
4. The batch size starts from what fits into free memory and halves when memory runs out (`stcg_nb.models.batching`).

Families differ only in their two adapters, the image half and the language half (`stcg_nb.models.adapters`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stcg_nb.errors import InputError, ModelError
from stcg_nb.models.adapters import Cuts, differs, shuffled
from stcg_nb.models.attention import IMPLEMENTATION, install, probing
from stcg_nb.models.batching import Batches
from stcg_nb.models.checks import check_cuts, check_trace
from stcg_nb.models.families import Family, Processor
from stcg_nb.models.image_cache import Encoded, Encoder, tensors
from stcg_nb.models.layout import Layout, grid_cover, of_prompt
from stcg_nb.models.protocol import MAX_NEW_TOKENS, VISION_SITES, Answer, Prompt, Trace


class Engine:
    """A loaded network behind the `Model` protocol.

    Args:
        network: The loaded model. It is put into eval mode, and its attention is rerouted through `stcg_nb.models.attention`.
        family: The family of the checkpoint.
        processor: Its tokenizers and image processor.
        name: Its name on figures.
        revision: Which weights it has.
        checked: Skip the self-check, because this network has passed it before.

    Raises:
        ModelError: If the model fails the self-check.
    """

    synthetic = False
    offers = "Words and regions can be cut from its attention, regions can be filled, and all attention is captured."

    def __init__(
        self,
        network: Any,
        family: Family,
        processor: Processor,
        name: str,
        revision: str = "",
        *,
        checked: bool = False,
    ) -> None:
        self.name, self.revision = name, revision
        self.network, self._family, self._processor = network.eval(), family, processor
        self.images = family.images(network)
        self.language = family.languages[network.config.text_config.model_type](network, self.images.n_tokens)
        self.reader = family.reader(processor)
        self.grid, self.edges = self.images.grid, self.images.edges
        (rows, cols), kind = self.grid, "query" if self.images.cross_layers else "image"
        self.sees = f"{rows} x {cols} patches through {self.images.n_tokens} {kind} tokens"
        self.sites = (*self.images.places, *self.language.places)
        vision, positions = network.config.vision_config, self.grid[0] * self.grid[1] + 1
        seen = positions * (vision.intermediate_size * 4 + vision.num_attention_heads * positions * 3)
        self._batches = Batches(seen + self.language.row_cost(), self._device)
        self._encoder = Encoder(self.images, lambda images: self._pixels(images), self._batches)
        self.dtypes = tuple(sorted({str(w.dtype).removeprefix("torch.") for w in network.parameters()}))
        install(network, {**self.images.places, **self.language.places})
        if not checked:
            self._check()

    @property
    def tokenizer(self) -> Any:
        return self.reader.tokenizer

    def randomised(self, seed: int) -> Engine:
        """A copy of the model in which the entries of every weight are shuffled: same scale, nothing learnt.

        Args:
            seed: Seed of the shuffling.
        """
        network = shuffled(self.network, seed)
        name, revision = f"{self.name} with shuffled weights", f"{self.revision}, shuffled by {seed}"
        # The original has passed the self-check. Shuffled weights of few bits amplify rounding beyond the check's tolerance.
        return Engine(network, self._family, self._processor, name, revision, checked=True)

    def with_prompt(self, template: str) -> Engine:
        if self.reader.image_mark is not None:
            raise InputError(f"{self.name} has a prompt of its own around its picture; leave the prompt out.")
        other = copy.copy(self)
        other.reader = replace(self.reader, template=template)
        return other

    # Questions and answers

    def prompt(self, question: str) -> Prompt:
        return self.reader.prompt(question, self.language.limit)

    def target(self, text: str) -> Answer:
        ids = self.language.continuation(self.tokenizer, text)
        return self.reader.answer([*ids, self._end], self.language.ends)

    def layout(self, prompt: Prompt, height: int, width: int) -> Layout:
        cover = grid_cover(*self.grid, self._processor.view(height, width))
        return of_prompt(prompt, cover, self.images.n_tokens, self.images.cross_layers)

    @torch.inference_mode()
    def answer(
        self, images: Sequence[np.ndarray], prompt: Prompt, *, cuts: Mapping[str, np.ndarray] | None = None
    ) -> list[Answer]:
        later = [site for site in self.images.places if site not in VISION_SITES]
        encoded = self._encoder.encode(
            images, prompt, (), besides=later
        )  # the next call, a trace, captures these sites
        if cuts is not None:
            checked = check_cuts(len(images), self._sizes(prompt), cuts, self.edges)
            rows = [{kind: cut[i : i + 1] for kind, cut in checked.items()} for i in range(len(images))]
            return [self._read(self._decode(e, prompt, row)) for e, row in zip(encoded, rows, strict=True)]

        def run(rows: slice) -> list[list[int]]:
            embeds = self._embed(torch.stack([e.queries for e in encoded[rows]]), prompt)
            return self.language.generate(embeds, MAX_NEW_TOKENS)

        return [self._read(ids) for chunk in self._batches("answer", len(images), run) for ids in chunk]

    def _decode(self, encoded: Encoded, prompt: Prompt, cuts: Cuts) -> list[int]:
        """Token ids of the greedy answer of one row under cuts. Each token takes a whole forward pass: simple, not fast."""
        queries = encoded.queries[None]
        if inner := self.images.cuts(prompt, None, None, cuts):
            queries, _ = self._encoder.look(encoded.vision[None], prompt, (), inner)
        keep_tokens, edges = self.images.split_cuts(None, cuts)
        embeds = self._embed(queries, prompt)
        ids: list[int] = []
        while len(ids) < MAX_NEW_TOKENS and not set(ids) & set(self.language.ends):
            # The last target only adds a position to predict: no position attends to it.
            targets = torch.tensor([*ids, self._end], device=self._device)
            with probing(cuts=tensors(self.language.cuts(prompt, None, keep_tokens, edges, len(targets)))):
                ids.append(int(self.language.score(embeds, targets)[1][0, -1]))
        return ids

    def _read(self, ids: list[int]) -> Answer:
        return self.reader.answer(ids, self.language.ends)

    # Scores of counterfactual rows

    @torch.inference_mode()
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
        steps = len(answer.token_ids)
        sizes = {**self._sizes(prompt), "step": steps}
        index, all_cuts = check_trace(
            len(images), sizes, image_index, keep_words, keep_patches, cuts, capture, self.sites, self.edges
        )
        rerun = bool(self.images.cuts(prompt, keep_words, keep_patches, all_cuts))
        early = tuple(s for s in capture if s in self.images.places)
        late = tuple(s for s in capture if s in self.language.places)
        encoded = self._encoder.encode(images, prompt, tuple(s for s in early if s in VISION_SITES or not rerun), reuse)
        ended = (self._end,) if answer.ended else ()
        targets = torch.tensor([*answer.token_ids, *ended], device=self._device)

        def run(rows: slice) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            use = [encoded[i] for i in index[rows]]
            maps = {s: torch.stack([e.maps[s] for e in use]) for s in early if s in use[0].maps}
            row_cuts = {kind: cut[rows] for kind, cut in all_cuts.items()}
            words, patches = (None if keep is None else keep[rows] for keep in (keep_words, keep_patches))
            if rerun:
                inner = self.images.cuts(prompt, words, patches, row_cuts)
                queries, cut_maps = self._encoder.look(torch.stack([e.vision for e in use]), prompt, early, inner)
                maps |= cut_maps
            else:
                queries = torch.stack([e.queries for e in use])
            keep_tokens, edges = self.images.split_cuts(patches, row_cuts)
            cut = tensors(self.language.cuts(prompt, words, keep_tokens, edges, len(targets)))
            with probing(late, cut) as probe:
                v, likeliest = self.language.score(self._embed(queries, prompt), targets)
            maps |= {s: torch.stack(m, 1) for s, m in probe.maps.items()}
            flipped = differs(likeliest, targets, self.language.ends).any(1)
            return v[:, :steps], flipped, {s: m.float().cpu() for s, m in maps.items()}

        parts = self._batches("trace", len(index), run)
        v = torch.cat([p[0] for p in parts]).double().cpu()
        attention = {s: torch.cat([p[2][s] for p in parts]) for s in capture}
        attention |= {s: self.language.arrange(s, attention[s], prompt, steps) for s in late}
        return Trace(torch.sigmoid(v).numpy(), v.numpy(), torch.cat([p[1] for p in parts]).cpu().numpy(), attention)

    def relevance(self, image: np.ndarray, prompt: Prompt, answer: Answer) -> Mapping[str, Tensor]:
        steps = len(answer.token_ids)
        targets = torch.tensor(answer.token_ids, device=self._device)
        pixels = self._pixels([image])

        def run(rows: slice) -> dict[str, Tensor]:
            wanted = torch.arange(rows.start, rows.stop, device=self._device)
            # One row per step: rows do not interact, so one backward pass of the sum gives each step its own gradient.
            with torch.enable_grad(), probing(self.sites, with_gradient=True) as probe:
                inputs = pixels.expand(len(wanted), -1, -1, -1).clone().requires_grad_()
                v = self._forward(inputs, prompt, targets)
                weights = [(s, w) for s, layers in probe.maps.items() for w in layers]
                target = v[torch.arange(len(wanted)), wanted.to(v.device)].sum()
                gradients = torch.autograd.grad(target, [w for _, w in weights])
            maps: dict[str, list[Tensor]] = {}
            for (site, w), g in zip(weights, gradients, strict=True):
                maps.setdefault(site, []).append((w.detach() * g).clamp(min=0).float().mean(1).cpu())
            return {s: torch.stack(layers, 1) for s, layers in maps.items()}

        parts = self._batches("relevance", steps, run)
        maps = {s: torch.cat([p[s] for p in parts]) for s in self.sites}
        return maps | {s: self.language.arrange(s, maps[s], prompt, steps) for s in self.language.places}

    @torch.inference_mode()
    def heads(self, image: np.ndarray, prompt: Prompt, answer: Answer) -> Mapping[str, Tensor]:
        targets = torch.tensor(answer.token_ids, device=self._device)
        with probing(self.sites, with_gradient=True) as probe:  # this keeps every head; no gradient is computed here
            self._forward(self._pixels([image]), prompt, targets)
        maps = {s: torch.stack([m[0] for m in layers]).float().cpu() for s, layers in probe.maps.items()}
        steps = len(answer.token_ids)
        return maps | {s: self.language.arrange(s, maps[s], prompt, steps) for s in self.language.places}

    # The parts of a forward pass

    @property
    def _device(self) -> torch.device:
        return self.network.device

    @property
    def _end(self) -> int:
        return self.language.ends[0]

    def _sizes(self, prompt: Prompt) -> dict[str, int]:
        return {"word": len(prompt.words), "query": self.images.n_tokens, "patch": self.grid[0] * self.grid[1]}

    def _pixels(self, images: Sequence[np.ndarray]) -> Tensor:
        return self._processor.pixels(images).to(self._device, self.images.pixel_dtype)

    def _embed(self, queries: Tensor, prompt: Prompt) -> Tensor:
        """The language model's input embeddings, ``[row, position, width]``."""
        return self.language.embed(self.images.project(queries), prompt)

    def _forward(self, pixels: Tensor, prompt: Prompt, targets: Tensor) -> Tensor:
        """Log-odds of the targets in nats, ``[row, step]``, by one uncached forward pass of the whole model."""
        queries = self.images.read(self.images.see(pixels), prompt)
        return self.language.score(self._embed(queries, prompt), targets)[0]

    # The self-check

    def _check(self) -> None:
        """Compare with the library's own sdpa on noise: log-odds agree, every site is captured, captured rows sum to one."""
        rng = np.random.default_rng(0)
        prompt = self.prompt("what is this?")
        pixels = self._pixels([rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)])
        targets = torch.tensor(prompt.token_ids[:3], device=self._device)
        with torch.inference_mode():
            plain = self._forward(pixels, prompt, targets)
            with probing(self.sites) as probe:
                captured = self._forward(pixels, prompt, targets)
            self.network.set_attn_implementation("sdpa")
            reference = self._forward(pixels, prompt, targets)
            self.network.set_attn_implementation(IMPLEMENTATION)
        # In half precision, or with weights of 8 or 4 bits, another order of operations rounds differently.
        coarse = any(w.dtype not in (torch.float32, torch.float64) for w in self.network.parameters())
        allowed = 0.3 if coarse else 1e-3
        for label, v in (("rerouted", plain), ("captured", captured)):
            difference = (v - reference).abs().max().item()
            if not difference <= allowed:
                raise ModelError(
                    f"With {label} attention, {self.name} differs from its own sdpa by {difference:.2g} nats; this version of "
                    "transformers does not fit: install one from 5.15 on."
                )
        if set(probe.maps) != set(self.sites):
            missing = ", ".join(sorted(set(self.sites) - set(probe.maps)))
            raise ModelError(f"{self.name} sends no attention through the interception point at: {missing}.")
        for site, layers in probe.maps.items():
            if any((w.float().sum(-1) - 1).abs().max() > 1e-2 for w in layers):
                raise ModelError(f"Attention rows of {self.name} at {site!r} do not sum to one.")
