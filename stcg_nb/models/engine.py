"""The engine: any family of models through counterfactuals, batched.

1. What the image half makes of an image is kept and serves every mask of words (and, where its image tokens do not depend
   on the question, every question): a cache, least recently used first out.
2. The answer is generated greedily once. Every counterfactual run is then teacher-forced on it: one forward pass over
   many rows, no generation.
3. Attention is captured and cut in one place (`stcg_nb.models.attention`).
4. The number of rows in a pass starts from what fits into free memory and halves when memory runs out
   (`stcg_nb.models.batches`).

What differs from family to family is in the two halves (`stcg_nb.models.halves`).
"""

from __future__ import annotations

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stcg_nb.errors import ModelError
from stcg_nb.models.attention import IMPLEMENTATION, install, probing
from stcg_nb.models.base import MAX_NEW_TOKENS, VISION_SITES, Answer, Prompt, Trace, check_cuts, check_trace
from stcg_nb.models.batches import Batches
from stcg_nb.models.families import Family, Readers
from stcg_nb.models.halves import Cuts

CACHE_BYTES = 1 << 30


@dataclass
class Encoded:
    """What the image half makes of one image, with the attention captured on the way.

    ``vision`` is ``[position, width]``, ``queries`` ``[token, width]``; ``maps`` has ``[layer, query, key]`` per site.
    """

    vision: Tensor
    queries: Tensor
    maps: dict[str, Tensor] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (self.vision, self.queries, *self.maps.values()))


class Engine:
    """A loaded network behind the `Model` protocol.

    Args:
        network: The loaded model; it is put into eval mode, and its attention is rerouted.
        family: Of which it is.
        readers: Its tokenizers and image processor.
        name: As it is shown on figures.
        revision: Which weights.

    Raises:
        ModelError: If the model fails the engine's checks of itself.
    """

    synthetic = False

    def __init__(self, network: Any, family: Family, readers: Readers, name: str, revision: str = "") -> None:
        self.name, self.revision = name, revision
        self.network, self._family, self._readers = network.eval(), family, readers
        self.images = family.images(network)
        self.language = family.languages[network.config.text_config.model_type](network, self.images.n_tokens)
        self.reader = family.reader(readers)
        self.grid, self.n_queries, self.edges = self.images.grid, self.images.n_tokens, self.images.edges
        self.sites = (*self.images.places, *self.language.places)
        self._cache: OrderedDict[tuple[str, str], Encoded] = OrderedDict()
        self._batches = Batches(network.config.vision_config, self.grid, self.language.row_cost(), self._device)
        install(network, {**self.images.places, **self.language.places})
        self._check()

    @property
    def tokenizer(self) -> Any:
        return self.reader.tokenizer

    def randomised(self, seed: int) -> Engine:
        """The same architecture with the entries of every weight shuffled: it keeps their scale and knows nothing.

        Args:
            seed: Of the shuffling.
        """
        network = copy.deepcopy(self.network)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in network.parameters():
                order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
                weight.copy_(weight.flatten()[order].view_as(weight))
        name, revision = f"{self.name} with shuffled weights", f"{self.revision}, shuffled by {seed}"
        return Engine(network, self._family, self._readers, name, revision)

    # Reading and answering

    def prompt(self, question: str) -> Prompt:
        return self.reader.prompt(question, self.language.limit)

    def target(self, text: str) -> Answer:
        ids = self.language.continuation(self.tokenizer, text)
        return self.reader.answer([*ids, self._end], self.language.ends)

    def view(self, height: int, width: int) -> tuple[int, int, int, int]:
        return self._readers.view(height, width)

    @torch.inference_mode()
    def answer(
        self, images: Sequence[np.ndarray], prompt: Prompt, *, cuts: Mapping[str, np.ndarray] | None = None
    ) -> list[Answer]:
        later = [site for site in self.images.places if site not in VISION_SITES]
        encoded = self._encode(images, prompt, (), besides=later)  # as an explanation wants them next
        if cuts is not None:
            checked = check_cuts(len(images), self._sizes(prompt), cuts, self.edges)
            rows = [{kind: cut[i : i + 1] for kind, cut in checked.items()} for i in range(len(images))]
            return [self._read(self._decode(e, prompt, row)) for e, row in zip(encoded, rows, strict=True)]

        def run(rows: slice) -> list[list[int]]:
            embeds = self._embed(torch.stack([e.queries for e in encoded[rows]]), prompt)
            return self.language.generate(embeds, MAX_NEW_TOKENS)

        return [self._read(ids) for chunk in self._batches("answer", len(images), run) for ids in chunk]

    def _decode(self, encoded: Encoded, prompt: Prompt, cuts: Cuts) -> list[int]:
        """The likeliest token after each one before, without the cut edges of one row; cheap to read, not fast."""
        queries = encoded.queries[None]
        if inner := self.images.cuts(prompt, None, None, cuts):
            queries, _ = self._look(encoded.vision[None], prompt, (), inner)
        keep_tokens, edges = self.images.tokenwise(None, cuts)
        embeds = self._embed(queries, prompt)
        ids: list[int] = []
        while len(ids) < MAX_NEW_TOKENS and not set(ids) & set(self.language.ends):
            # The last target asks for one more position and is not seen by any.
            targets = torch.tensor([*ids, self._end], device=self._device)
            with probing(cuts=_tensors(self.language.cuts(prompt, None, keep_tokens, edges, len(targets)))):
                ids.append(int(self.language.score(embeds, targets)[1][0, -1]))
        return ids

    def _read(self, ids: list[int]) -> Answer:
        return self.reader.answer(ids, self.language.ends)

    # Counterfactual rows

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
        anew = bool(self.images.cuts(prompt, keep_words, keep_patches, all_cuts))
        early = tuple(s for s in capture if s in self.images.places)
        late = tuple(s for s in capture if s in self.language.places)
        encoded = self._encode(images, prompt, tuple(s for s in early if s in VISION_SITES or not anew), reuse)
        ended = (self._end,) if answer.ended else ()
        targets = torch.tensor([*answer.token_ids, *ended], device=self._device)

        def run(rows: slice) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            use = [encoded[i] for i in index[rows]]
            maps = {s: torch.stack([e.maps[s] for e in use]) for s in early if s in use[0].maps}
            row_cuts = {kind: cut[rows] for kind, cut in all_cuts.items()}
            words, patches = (None if keep is None else keep[rows] for keep in (keep_words, keep_patches))
            if anew:
                inner = self.images.cuts(prompt, words, patches, row_cuts)
                queries, cut_maps = self._look(torch.stack([e.vision for e in use]), prompt, early, inner)
                maps |= cut_maps
            else:
                queries = torch.stack([e.queries for e in use])
            keep_tokens, edges = self.images.tokenwise(patches, row_cuts)
            cut = _tensors(self.language.cuts(prompt, words, keep_tokens, edges, len(targets)))
            with probing(late, cut) as probe:
                v, likeliest = self.language.score(self._embed(queries, prompt), targets)
            maps |= {s: torch.stack(m, 1) for s, m in probe.maps.items()}
            flipped = self._differs(likeliest, targets).any(1)
            return v[:, :steps], flipped, {s: m.float().cpu() for s, m in maps.items()}

        parts = self._batches("trace", len(index), run)
        v = torch.cat([p[0] for p in parts]).double().cpu()
        attention = {s: torch.cat([p[2][s] for p in parts]) for s in capture}
        attention |= {s: self.language.arrange(s, attention[s], prompt, steps) for s in late}
        return Trace(torch.sigmoid(v).numpy(), v.numpy(), torch.cat([p[1] for p in parts]).cpu().numpy(), attention)

    def _differs(self, likeliest: Tensor, targets: Tensor) -> Tensor:
        """Where another token is likelier, ``[row, step]``; one end mark is as good as another."""
        targets = targets.to(likeliest.device)
        ends = torch.tensor(self.language.ends, device=likeliest.device)
        return (likeliest != targets) & ~(torch.isin(likeliest, ends) & torch.isin(targets, ends))

    def relevance(self, image: np.ndarray, prompt: Prompt, answer: Answer) -> Mapping[str, Tensor]:
        steps = len(answer.token_ids)
        targets = torch.tensor(answer.token_ids, device=self._device)
        pixels = self._pixels([image])

        def run(rows: slice) -> dict[str, Tensor]:
            wanted = torch.arange(rows.start, rows.stop, device=self._device)
            # One row a step: a row's gradient is that of its own step, so one backward pass serves them all.
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
        with probing(self.sites, with_gradient=True) as probe:  # which keeps every head, here without a gradient
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
        return {"word": len(prompt.words), "query": self.n_queries, "patch": self.grid[0] * self.grid[1]}

    def _pixels(self, images: Sequence[np.ndarray]) -> Tensor:
        return self._readers.pixels(images).to(self._device, self.images.pixel_dtype)

    def _embed(self, queries: Tensor, prompt: Prompt) -> Tensor:
        """The language model's input, ``[row, position, width]``."""
        return self.language.embed(self.images.project(queries), prompt)

    def _forward(self, pixels: Tensor, prompt: Prompt, targets: Tensor) -> Tensor:
        """Log-odds ``[row, step]`` in one go."""
        queries = self.images.read(self.images.see(pixels), prompt)
        return self.language.score(self._embed(queries, prompt), targets)[0]

    def _encode(
        self,
        images: Sequence[np.ndarray],
        prompt: Prompt,
        capture: Sequence[str],
        reuse: bool = True,
        besides: Sequence[str] = (),
    ) -> list[Encoded]:
        """Every image's encoding, from the cache where it holds all that `capture` wants; `besides` is kept only on the way."""
        question = prompt.text if self.images.reads_question else ""
        keys = [(hashlib.sha256(str(i.shape).encode() + i.tobytes()).hexdigest(), question) for i in images]
        found = {k: self._cache[k] for k in keys if k in self._cache and set(capture) <= set(self._cache[k].maps)}
        missing = [k for k in dict.fromkeys(keys) if k not in found]
        # Seen already, when another question was asked.
        known = {k: e for k in missing if question and (e := self._seen(k[0], capture))}
        unseen = [k for k in missing if k not in known]
        asked = list(known)

        def see(rows: slice) -> list[Encoded]:
            with probing((*capture, *besides)) as probe:
                vision = self.images.see(self._pixels([images[keys.index(k)] for k in unseen[rows]]))
                queries = self.images.read(vision, prompt)
            maps = {s: torch.stack(m, 1) for s, m in probe.maps.items()}
            return [Encoded(vision[i], queries[i], {s: m[i] for s, m in maps.items()}) for i in range(len(vision))]

        def ask(rows: slice) -> list[Encoded]:
            use = [known[k] for k in asked[rows]]
            queries, maps = self._look(torch.stack([e.vision for e in use]), prompt, (*capture, *besides), {})
            return [
                Encoded(e.vision, queries[i], {s: e.maps[s] for s in VISION_SITES if s in e.maps} | {s: m[i] for s, m in maps.items()})
                for i, e in enumerate(use)
            ]  # fmt: skip

        for names, run in ((unseen, see), (asked, ask)):
            if names:
                fresh = [e for chunk in self._batches("encode", len(names), run) for e in chunk]
                found |= dict(zip(names, fresh, strict=True))
        for key in keys if reuse else ():
            self._cache[key] = found[key]
            self._cache.move_to_end(key)
        size = sum(e.bytes for e in self._cache.values())
        while size > CACHE_BYTES and len(self._cache) > 1:
            size -= self._cache.popitem(last=False)[1].bytes
        return [found[k] for k in keys]

    def _seen(self, image: str, capture: Sequence[str]) -> Encoded | None:
        """An encoding of the image that holds what is wanted of the vision model, whatever the question."""
        wanted = set(capture) & set(VISION_SITES)
        return next((e for (i, _), e in self._cache.items() if i == image and wanted <= set(e.maps)), None)

    def _look(
        self, vision: Tensor, prompt: Prompt, capture: Sequence[str], cuts: Cuts
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The image tokens anew from what was seen, under cuts."""
        with probing([s for s in capture if s not in VISION_SITES], _tensors(cuts)) as probe:
            queries = self.images.read(vision, prompt)
        return queries, {s: torch.stack(m, 1) for s, m in probe.maps.items()}

    # The engine's checks of itself

    def _check(self) -> None:
        """Compare with the library's own sdpa on noise: same logits, and captured rows sum to one."""
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
        # Half-precision weights round differently along another path.
        half = any(w.dtype in (torch.float16, torch.bfloat16) for w in self.network.parameters())
        allowed = 0.3 if half else 1e-3
        for label, v in (("rerouted", plain), ("captured", captured)):
            off = (v - reference).abs().max().item()
            if not off <= allowed:
                raise ModelError(
                    f"With {label} attention, {self.name} differs from its own sdpa by {off:.2g} nats; this version of "
                    "transformers does not fit: install one from 5.15 on."
                )
        if set(probe.maps) != set(self.sites):
            missing = ", ".join(sorted(set(self.sites) - set(probe.maps)))
            raise ModelError(f"{self.name} sends no attention through the interception point at: {missing}.")
        for site, layers in probe.maps.items():
            if any((w.float().sum(-1) - 1).abs().max() > 1e-2 for w in layers):
                raise ModelError(f"Attention rows of {self.name} at {site!r} do not sum to one.")


def _tensors(cuts: Cuts) -> dict[str, Tensor]:
    return {site: torch.from_numpy(cut) for site, cut in cuts.items()}
