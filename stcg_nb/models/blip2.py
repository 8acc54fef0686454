"""The engine: BLIP-2 through counterfactuals, batched.

1. The vision model and the Q-Former never see the question, so an image is encoded once, masked or not, and the result
   serves every question and every mask of words (a cache, least recently used first out).
2. The answer is generated greedily once. Every counterfactual run is then teacher-forced on it: one forward pass over
   many rows, no generation.
3. Attention is captured and cut in one place (`stcg_nb.models.attention`).
4. The number of rows in a pass starts from what fits into free memory and halves when memory runs out.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig

from stcg_nb.errors import InputError, ModelError
from stcg_nb.models.attention import IMPLEMENTATION, install, probing
from stcg_nb.models.base import (
    QUERY_SITES,
    SITES,
    TEXT_SITES,
    VISION_SITES,
    Answer,
    Prompt,
    Trace,
    check_cuts,
    check_question,
    check_trace,
    find_words,
)
from stcg_nb.progress import progress

TEMPLATE = "Question: {} Answer:"
MAX_NEW_TOKENS = 40
CACHE_BYTES = 1 << 30


@dataclass
class Encoded:
    """What the vision model and the Q-Former make of one image, with the attention captured on the way.

    ``vision`` is ``[patch + 1, width]``, ``queries`` ``[query, width]``; ``maps`` has ``[layer, query, key]`` per site.
    """

    vision: Tensor
    queries: Tensor
    maps: dict[str, Tensor] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (self.vision, self.queries, *self.maps.values()))


class Blip2:
    """A `Blip2ForConditionalGeneration` with a T5 language model, behind the `Model` protocol.

    Args:
        model: The loaded model; it is put into eval mode, and its attention is rerouted.
        processor: Its `Blip2Processor`.
        name: As it is shown on figures.
        revision: Which weights.

    Raises:
        ModelError: If the model fails the engine's checks of itself.
    """

    synthetic = False

    def __init__(self, model: Any, processor: Any, name: str, revision: str = "") -> None:
        self.name, self.revision = name, revision
        self.network = model.eval()
        self.tokenizer, self.image_processor = processor.tokenizer, processor.image_processor
        vision = model.config.vision_config
        side = vision.image_size // vision.patch_size
        self.grid = (side, side)
        self.n_queries = int(model.config.num_query_tokens)
        self._cache: OrderedDict[str, Encoded] = OrderedDict()
        self._rows: dict[str, int] = {}
        install(model)
        self._check()

    def randomised(self, seed: int) -> Blip2:
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
        parts = SimpleNamespace(tokenizer=self.tokenizer, image_processor=self.image_processor)
        return Blip2(network, parts, f"{self.name} with shuffled weights", f"{self.revision}, shuffled by {seed}")

    # Reading and answering

    def prompt(self, question: str) -> Prompt:
        question = check_question(question)
        text = TEMPLATE.format(question)
        read = self.tokenizer(text, return_offsets_mapping=True, add_special_tokens=True)
        ids, offsets = read["input_ids"], read["offset_mapping"]
        limit = min(self.tokenizer.model_max_length, 512)
        if len(ids) > limit:
            raise InputError(f"The question has {len(ids)} tokens; this model takes at most {limit}: shorten it.")
        start = text.index(question)
        words, places = [], []
        for a, b in find_words(question):
            hit = tuple(i for i, (c, d) in enumerate(offsets) if c < d and c < start + b and d > start + a)
            if hit:  # a tokenizer may drop a character altogether: then there is nothing to cut
                words.append(question[a:b])
                places.append(hit)
        if not words:
            raise InputError(f"The model's tokenizer finds no word in the question {question!r}; ask in words.")
        return Prompt(question, text, tuple(ids), tuple(words), tuple(places))

    @torch.inference_mode()
    def answer(
        self, images: Sequence[np.ndarray], prompt: Prompt, *, cuts: Mapping[str, np.ndarray] | None = None
    ) -> list[Answer]:
        encoded = self._encode(images, (), besides=QUERY_SITES)  # as an explanation wants them next
        if cuts is not None:
            checked = check_cuts(len(images), self._sizes(prompt), cuts)
            rows = [{kind: cut[i : i + 1] for kind, cut in checked.items()} for i in range(len(images))]
            return [self._read(self._decode(e, prompt, row)) for e, row in zip(encoded, rows, strict=True)]
        config = self.network.config.text_config
        generation = GenerationConfig(
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=False,
            num_beams=1,
            decoder_start_token_id=config.decoder_start_token_id,
            eos_token_id=config.eos_token_id,
            pad_token_id=config.pad_token_id,
        )

        def run(rows: slice) -> list[list[int]]:
            embeds = self._embed(torch.stack([e.queries for e in encoded[rows]]), prompt)
            mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
            out = self.network.language_model.generate(
                inputs_embeds=embeds, attention_mask=mask, generation_config=generation
            )
            return out[:, 1:].tolist()

        return [self._read(ids) for chunk in self._chunks("answer", len(images), run) for ids in chunk]

    def _decode(self, encoded: Encoded, prompt: Prompt, cuts: Mapping[str, np.ndarray]) -> list[int]:
        """The likeliest token after each one before, without the cut edges of one row; cheap to read, not fast."""
        queries = encoded.queries[None]
        if "query_patch" in cuts:
            queries, _ = self._query(encoded.vision[None], (), self._patch_cuts(None, cuts))
        embeds = self._embed(queries, prompt)
        ids: list[int] = []
        while len(ids) < MAX_NEW_TOKENS and self._end not in ids:
            # The last target asks for one more position and is not seen by any.
            targets = torch.tensor([*ids, self._end], device=self._device)
            with probing(cuts=self._text_cuts(prompt, None, cuts, len(targets))):
                ids.append(int(self._score(embeds, targets)[1][0, -1]))
        return ids

    def target(self, text: str) -> Answer:
        return self._read([*self.tokenizer(text, add_special_tokens=False)["input_ids"], self._end])

    def _read(self, ids: list[int]) -> Answer:
        end = self.network.config.text_config.eos_token_id
        ended = end in ids
        kept = ids[: ids.index(end)] if ended else ids
        text = self.tokenizer.decode(kept, skip_special_tokens=True).strip()
        if not kept:
            kept, ended = [end], False
        tokens = [self.tokenizer.decode([i]).strip() or str(self.tokenizer.convert_ids_to_tokens(i)) for i in kept]
        return Answer(text, tuple(kept), tuple(tokens), ended)

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
        sizes = {**self._sizes(prompt), "step": len(answer.token_ids)}
        index, all_cuts = check_trace(len(images), sizes, image_index, keep_words, keep_patches, cuts, capture)
        fresh_queries = keep_patches is not None or "query_patch" in all_cuts
        early = tuple(s for s in capture if s in VISION_SITES + QUERY_SITES)
        late = tuple(s for s in capture if s in TEXT_SITES)
        encoded = self._encode(images, tuple(s for s in early if s == "vit" or not fresh_queries), reuse)
        targets = torch.tensor(
            [*answer.token_ids, self._end] if answer.ended else answer.token_ids, device=self._device
        )

        def run(rows: slice) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            use = [encoded[i] for i in index[rows]]
            maps = {s: torch.stack([e.maps[s] for e in use]) for s in early if s in use[0].maps}
            row_cuts = {kind: cut[rows] for kind, cut in all_cuts.items()}
            if fresh_queries:
                patch_cuts = self._patch_cuts(None if keep_patches is None else keep_patches[rows], row_cuts)
                queries, cut_maps = self._query(torch.stack([e.vision for e in use]), early, patch_cuts)
                maps |= cut_maps
            else:
                queries = torch.stack([e.queries for e in use])
            words = None if keep_words is None else keep_words[rows]
            with probing(late, self._text_cuts(prompt, words, row_cuts, len(targets))) as probe:
                v, likeliest = self._score(self._embed(queries, prompt), targets)
            maps |= {s: torch.stack(m, 1) for s, m in probe.maps.items()}
            flipped = (likeliest != targets).any(1)
            return v[:, : len(answer.token_ids)], flipped, {s: m.float().cpu() for s, m in maps.items()}

        parts = self._chunks("trace", len(index), run)
        v = torch.cat([p[0] for p in parts]).double().cpu()
        attention = {s: torch.cat([p[2][s] for p in parts]) for s in capture}
        if "decoder" in attention:
            attention["decoder"] = attention["decoder"][:, :, : len(answer.token_ids), : len(answer.token_ids)]
        if "cross" in attention:
            attention["cross"] = attention["cross"][:, :, : len(answer.token_ids)]
        return Trace(torch.sigmoid(v).numpy(), v.numpy(), torch.cat([p[1] for p in parts]).cpu().numpy(), attention)

    def relevance(self, image: np.ndarray, prompt: Prompt, answer: Answer) -> Mapping[str, Tensor]:
        steps = len(answer.token_ids)
        targets = torch.tensor(answer.token_ids, device=self._device)
        pixels = self._pixels([image])

        def run(rows: slice) -> dict[str, Tensor]:
            wanted = torch.arange(rows.start, rows.stop, device=self._device)
            # One row a step: a row's gradient is that of its own step, so one backward pass serves them all.
            with torch.enable_grad(), probing(SITES, with_gradient=True) as probe:
                inputs = pixels.expand(len(wanted), -1, -1, -1).clone().requires_grad_()
                vision = self.network.vision_model(pixel_values=inputs).last_hidden_state
                v, _ = self._score(self._embed(self._query_forward(vision), prompt), targets)
                weights = [(s, w) for s, layers in probe.maps.items() for w in layers]
                target = v[torch.arange(len(wanted)), wanted].sum()
                gradients = torch.autograd.grad(target, [w for _, w in weights])
            maps: dict[str, list[Tensor]] = {}
            for (site, w), g in zip(weights, gradients, strict=True):
                maps.setdefault(site, []).append((w.detach() * g).clamp(min=0).float().mean(1).cpu())
            return {s: torch.stack(layers, 1) for s, layers in maps.items()}

        parts = self._chunks("relevance", steps, run)
        return {s: torch.cat([p[s] for p in parts]) for s in SITES}

    # The parts of a forward pass

    @property
    def _device(self) -> torch.device:
        return self.network.language_projection.weight.device

    def _sizes(self, prompt: Prompt) -> dict[str, int]:
        return {"word": len(prompt.words), "query": self.n_queries, "patch": self.grid[0] * self.grid[1]}

    @property
    def _end(self) -> int:
        return int(self.network.config.text_config.eos_token_id)

    def _pixels(self, images: Sequence[np.ndarray]) -> Tensor:
        pixels = self.image_processor(images=list(images), return_tensors="pt", input_data_format="channels_last")
        return pixels["pixel_values"].to(
            self._device, self.network.vision_model.embeddings.patch_embedding.weight.dtype
        )

    def _encode(
        self, images: Sequence[np.ndarray], capture: Sequence[str], reuse: bool = True, besides: Sequence[str] = ()
    ) -> list[Encoded]:
        """Every image's encoding, from the cache where it holds all that `capture` wants; `besides` is kept only on the way."""
        keys = [hashlib.sha256(str(i.shape).encode() + i.tobytes()).hexdigest() for i in images]
        found = {k: self._cache[k] for k in keys if k in self._cache and set(capture) <= set(self._cache[k].maps)}
        missing = [k for k in dict.fromkeys(keys) if k not in found]

        def run(rows: slice) -> list[Encoded]:
            with probing((*capture, *besides)) as probe:
                vision = self.network.vision_model(
                    pixel_values=self._pixels([images[keys.index(k)] for k in missing[rows]])
                ).last_hidden_state
                queries = self._query_forward(vision)
            maps = {s: torch.stack(m, 1) for s, m in probe.maps.items()}
            return [Encoded(vision[i], queries[i], {s: m[i] for s, m in maps.items()}) for i in range(len(vision))]

        if missing:
            fresh = [e for chunk in self._chunks("encode", len(missing), run) for e in chunk]
            found |= dict(zip(missing, fresh, strict=True))
        for key in keys if reuse else ():
            self._cache[key] = found[key]
            self._cache.move_to_end(key)
        size = sum(e.bytes for e in self._cache.values())
        while size > CACHE_BYTES and len(self._cache) > 1:
            size -= self._cache.popitem(last=False)[1].bytes
        return [found[k] for k in keys]

    def _query_forward(self, vision: Tensor) -> Tensor:
        tokens = self.network.query_tokens.expand(len(vision), -1, -1)
        return self.network.qformer(query_embeds=tokens, encoder_hidden_states=vision).last_hidden_state

    def _query(
        self, vision: Tensor, capture: Sequence[str], cuts: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The Q-Former anew, under cuts."""
        with probing([s for s in capture if s in QUERY_SITES], cuts) as probe:
            queries = self._query_forward(vision)
        return queries, {s: torch.stack(m, 1) for s, m in probe.maps.items()}

    def _embed(self, queries: Tensor, prompt: Prompt) -> Tensor:
        """The language model's input: query tokens, then the prompt's, ``[row, position, width]``."""
        projection = self.network.language_projection
        prefix = projection(queries.to(projection.weight.dtype))
        ids = torch.tensor(prompt.token_ids, device=prefix.device)
        text = self.network.get_input_embeddings()(ids).to(prefix.dtype)
        return torch.cat([prefix, text.expand(len(prefix), -1, -1)], 1)

    def _patch_cuts(self, keep_patches: np.ndarray | None, cuts: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """What no query token, and what a certain one, cannot see of the patches; CLS stays."""
        gone = np.zeros((1, 1, 1), dtype=bool)
        if keep_patches is not None:
            gone = gone | ~np.asarray(keep_patches, dtype=bool)[:, None]
        if "query_patch" in cuts:
            gone = gone | cuts["query_patch"]
        return {"qformer_cross": torch.from_numpy(np.pad(gone, ((0, 0), (0, 0), (1, 0)))).to(self._device)}

    def _text_cuts(
        self, prompt: Prompt, keep_words: np.ndarray | None, cuts: Mapping[str, np.ndarray], n_positions: int
    ) -> dict[str, Tensor]:
        """What the encoder's positions and the decoder's ``n_positions`` cannot see: absent words and cut edges."""
        masks = [cut for kind, cut in cuts.items() if kind != "query_patch"]
        masks += [] if keep_words is None else [keep_words]
        if not masks:
            return {}
        by_step = "step_word" in cuts or "step_query" in cuts
        width = self.n_queries + len(prompt.token_ids)
        encoder = np.zeros((len(masks[0]), width if "word_query" in cuts else 1, width), dtype=bool)
        cross = np.zeros((len(masks[0]), n_positions if by_step else 1, width), dtype=bool)
        for word, tokens in enumerate(prompt.word_tokens):
            at = [self.n_queries + t for t in tokens]
            if keep_words is not None:
                absent = ~np.asarray(keep_words[:, word, None, None], dtype=bool)
                encoder[:, :, at] |= absent
                cross[:, :, at] |= absent
            if "word_query" in cuts:
                encoder[:, at, : self.n_queries] |= cuts["word_query"][:, word, None]
            if "step_word" in cuts:
                cut = cuts["step_word"][:, :n_positions, word, None]
                cross[:, : cut.shape[1], at] |= cut
        if "step_query" in cuts:
            cut = cuts["step_query"][:, :n_positions]
            cross[:, : cut.shape[1], : self.n_queries] |= cut
        return {site: torch.from_numpy(cut).to(self._device) for site, cut in (("encoder", encoder), ("cross", cross))}

    def _score(self, embeds: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds of each target given the ones before, and the likeliest token instead, both ``[row, step]``."""
        start = torch.tensor([self.network.config.text_config.decoder_start_token_id], device=targets.device)
        decoder_input = torch.cat([start, targets[:-1]]).expand(len(embeds), -1)
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
        logits = self.network.language_model(
            inputs_embeds=embeds, attention_mask=mask, decoder_input_ids=decoder_input, use_cache=False
        ).logits.float()
        at = targets.expand(len(embeds), -1)[..., None]
        others = logits.scatter(-1, at, -torch.inf).logsumexp(-1)
        return logits.gather(-1, at)[..., 0] - others, logits.argmax(-1)

    # Memory

    def _chunks(self, task: str, n: int, run: Callable[[slice], Any]) -> list[Any]:
        """`run` over slices of `n` rows, as many at a time as memory allows."""
        size = self._rows.setdefault(task, self._fitting_rows(8 if task == "relevance" else 1))
        results = []
        done = 0
        with progress(task, n, "row") as advance:
            while done < n:
                rows = slice(done, min(done + size, n))
                try:
                    results.append(run(rows))
                except RuntimeError as error:  # torch.OutOfMemoryError is one
                    full = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
                    if not full or size == 1:
                        raise
                    size = self._rows[task] = max(1, size // 2)
                else:
                    advance(rows.stop - done)
                    done = rows.stop
        return results

    def _fitting_rows(self, cost: int) -> int:
        """Rows whose activations take a third of the free memory, at most 64; `cost` is in units of a plain forward pass."""
        if self._device.type == "cuda":
            free = torch.cuda.mem_get_info(self._device)[0]
        else:
            free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        vision, text = self.network.config.vision_config, self.network.config.text_config
        positions = self.grid[0] * self.grid[1] + 1
        row = positions * (vision.intermediate_size * 4 + vision.num_attention_heads * positions * 3)
        row += 100 * text.vocab_size
        return int(np.clip(free / 3 / (row * 4 * cost), 1, 64))

    # The engine's checks of itself

    def _check(self) -> None:
        """Compare with the library's own sdpa on noise: same logits, and captured rows sum to one."""
        rng = np.random.default_rng(0)
        prompt = self.prompt("what is this?")
        pixels = self._pixels([rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)])
        targets = torch.tensor(prompt.token_ids[:3], device=self._device)

        def forward() -> Tensor:
            vision = self.network.vision_model(pixel_values=pixels).last_hidden_state
            return self._score(self._embed(self._query_forward(vision), prompt), targets)[0]

        with torch.inference_mode():
            plain = forward()
            with probing(SITES) as probe:
                captured = forward()
            self.network.set_attn_implementation("sdpa")
            reference = forward()
            self.network.set_attn_implementation(IMPLEMENTATION)
        # Half-precision weights round differently along another path.
        allowed = 1e-3 if self.network.dtype == torch.float32 else 0.3
        for label, v in (("rerouted", plain), ("captured", captured)):
            off = (v - reference).abs().max().item()
            if not off <= allowed:
                raise ModelError(
                    f"With {label} attention, {self.name} differs from its own sdpa by {off:.2g} nats; this version of "
                    "transformers does not fit: install one from 5.15 on."
                )
        if set(probe.maps) != set(SITES):
            missing = ", ".join(sorted(set(SITES) - set(probe.maps)))
            raise ModelError(f"{self.name} sends no attention through the interception point at: {missing}.")
        for site, layers in probe.maps.items():
            if any((w.float().sum(-1) - 1).abs().max() > 1e-2 for w in layers):
                raise ModelError(f"Attention rows of {self.name} at {site!r} do not sum to one.")
