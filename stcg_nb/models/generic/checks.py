"""Reroute a network's attention, and find out by checks on two pictures of noise what the model can be offered.

Compared with the library's own eager attention, one picture at a time:

1. the whole forward with rerouted, and with captured attention;
2. both halves in one batch: arguments kept up to the language model, then the rest from there;
3. two tokens of greedy decoding, the library's and by the second half.

A model that fails one of these is refused: its numbers would be wrong. What follows decides what it is offered:

4. A cut word must not leak: other embeddings in its place change nothing. If they do (layers that are no attention), the same with
   the library's own mask of absent tokens; if they still do, the model is refused.
5. Image tokens must show parts of the picture (`stcg_nb.models.generic.cover`): a half of it moves no token of the other half. Else
   regions are filled only.
6. Rows that share keys and values must score as rows that do not, else nothing is shared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

from stcg_nb.errors import ModelError, StcgError
from stcg_nb.models.adapters import log_odds
from stcg_nb.models.attention import IMPLEMENTATION, install, probing
from stcg_nb.models.generic.budget import limit_tokens
from stcg_nb.models.generic.calls import Arguments, Calls, language_model
from stcg_nb.models.generic.cover import agrees, is_local, moved_by_halves
from stcg_nb.models.generic.cuts import masks
from stcg_nb.models.generic.engine import Generic
from stcg_nb.models.generic.facts import facts
from stcg_nb.models.generic.offer import Offer
from stcg_nb.models.generic.reading import Reading
from stcg_nb.models.generic.rows import Sequences, scored, scored_masked, scored_sharing
from stcg_nb.models.image_cache import tensors

SIZE = (48, 64)  # height and width of the pictures, in pixels
QUESTION = "what is this?"
TARGETS = 3
# What a class's own code raises where it does not fit: no other kind of error is taken for a sign of that.
UNFIT = (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)


def load_generic(network: Any, processor: Any, label: str, revision: str) -> Generic:
    """A network behind the `Model` protocol, offered what it passes.

    Args:
        network: The loaded model.
        processor: As from `stcg_nb.models.generic.processors.load_processor`.
        label: Its name on figures.
        revision: Which weights it has.

    Raises:
        ModelError: If its class has no language model or no attention that can be reached, or if its numbers would be wrong.
    """
    network = network.eval()
    kind = type(network).__name__
    language = language_model(network)
    if language is None:
        raise ModelError(f"{label} is a {kind}, in which no language model is found; it cannot be explained.")
    config = network.config
    image_token = getattr(config, "image_token_id", None) or getattr(config, "image_token_index", None)
    try:
        reading = Reading(processor, facts(config.model_type), image_token, label)
        calls = Calls(network, language)
        install(network, {})
        tokens = limit_tokens(reading, config)
        if hear(calls, reading):
            reading = Reading(processor, facts(config.model_type), None, label)
        model = Generic(network, calls, reading, label, revision)
        model.accept(replace(Checks(model).offer(), tokens=tokens))
    except UNFIT as error:
        if isinstance(error, StcgError | torch.OutOfMemoryError):  # memory is not the class's fault
            raise
        reason = f"{type(error).__name__}: {error}".strip().split("\n")[0][:200]
        raise ModelError(
            f"{label} ({kind}) does not run in transformers {transformers.__version__} as explanations need it ({reason}); try "
            "another version of transformers."
        ) from error
    return model


@torch.no_grad()
def hear(calls: Calls, reading: Reading) -> bool:
    """Mark the site of every layer that calls the interception point. Returns whether the language model has cross-attention.

    Raises:
        ModelError: If no layer of the language model calls it.
    """
    model = Generic(calls.network, calls, reading, reading.label)
    batch = model.pictures.batch(reading.prompt(QUESTION), noise(0))
    with probing() as probe:
        calls.whole(batch, 1)
    inside = set(calls.language.modules())
    for module, _ in probe.heard:
        site = "cross" if "Cross" in type(module).__name__ else "language"
        module.stcg_site = site if module in inside else "vit"  # type: ignore[assignment]
    sites = {getattr(module, "stcg_site", "") for module in inside}
    if "language" not in sites:
        raise ModelError(
            f"The language model of {reading.label} ({type(calls.network).__name__}) sends no attention through transformers' "
            "attention interface, so nothing can be captured or cut in it; another version of transformers may."
        )
    return "cross" in sites


def noise(seed: int) -> np.ndarray:
    """A picture of noise, uint8 ``[height, width, 3]``."""
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


class Checks:
    """The checks of one model."""

    def __init__(self, model: Generic) -> None:
        self.model, self.calls = model, model.calls
        self.prompt = model.prompt(QUESTION)
        self.pictures = [noise(0), noise(1)]
        places = model.pictures.places(self.prompt, *SIZE)
        self.targets = places.ids[places.text[-TARGETS:]].tolist()
        read = [model.pictures.batch(self.prompt, picture) for picture in self.pictures]
        self.batches = [model.reading.extended(batch, self.targets) for batch in read]
        self.of = Sequences(places, self.batches[0]["input_ids"], model.pictures.types, len(self.targets))
        self.crossed = "cross" in model.sites
        # In half precision, or with weights of 8 or 4 bits, another order of operations rounds differently.
        coarse = any(w.dtype not in (torch.float32, torch.float64) for w in model.network.parameters())
        self.allowed = 0.3 if coarse else 1e-3

    @torch.no_grad()
    def offer(self) -> Offer:
        """What the model is offered. Raises `ModelError` if its numbers would be wrong."""
        self.model.network.set_attn_implementation("eager")
        reference = torch.cat([self._whole(batch) for batch in self.batches])
        self.model.network.set_attn_implementation(IMPLEMENTATION)
        self._agrees("With rerouted attention", torch.cat([self._whole(batch) for batch in self.batches]), reference)
        with probing(self.model.sites):
            self._agrees("With captured attention", self._whole(self.batches[0]), reference[:1])
        fronts = {i: self.calls.front(batch, []) for i, batch in enumerate(self.batches)}
        halves = self._scores(scored(self.calls, fronts, np.arange(2), self.of))
        self._agrees("In two halves", halves, reference)
        self._answers()
        words = np.arange(len(self.prompt.words)) % 2 == 1
        rows = np.stack([words, ~words])
        if self._leak(fronts, rows, masked=False) <= self.allowed:
            return Offer("cut" if self._local() else "filled", shares=self._shares(fronts, rows))
        if self._leak(fronts, rows, masked=True) <= self.allowed:
            return Offer("masked")
        raise ModelError(
            f"{self.model.name} reads words that are cut from its attention and masked by its own mask, so no word can be taken away."
        )

    def _whole(self, batch: Arguments) -> Tensor:
        return self._scores(self.calls.whole(batch, len(self.targets)))

    def _scores(self, logits: Tensor) -> Tensor:
        return log_odds(logits, torch.tensor(self.targets, device=logits.device))[0]

    def _agrees(self, label: str, v: Tensor, reference: Tensor) -> None:
        difference = (v - reference).abs().max().item()
        if not difference <= self.allowed:
            raise ModelError(
                f"{label}, {self.model.name} ({type(self.model.network).__name__}) differs from the library's own eager attention by "
                f"{difference:.2g} nats in transformers {transformers.__version__}, so its explanations would be wrong; try another "
                "version of transformers."
            )

    def _answers(self) -> None:
        """Two greedy tokens by the library are the likeliest ones of the second half."""
        said = self.model.reading.answer(self.model.generate(self.pictures[0], self.prompt, 2), self.model.ends)
        if self.model.trace(self.pictures[:1], self.prompt, said).flipped[0]:
            raise ModelError(
                f"{self.model.name} answers other tokens by transformers' generate than by its own forward pass, so its answers "
                "cannot be explained; try another version of transformers."
            )

    def _leak(self, fronts: dict[int, Arguments], words: np.ndarray, *, masked: bool) -> float:
        """How far other embeddings in the place of absent words move the scores, in nats."""
        absent = np.unique(np.concatenate([self.of.places.text[list(t)] for t in self.of.places.words]))
        keep = np.zeros_like(words)
        scores = []
        for shift in (0.0, 1.0):
            changed = {i: _shifted(front, absent, shift) for i, front in fronts.items()}
            if masked:
                scores.append(self._scores(scored_masked(self.calls, changed, np.arange(2), self.of, keep)))
            else:
                cut = masks(self.of.places, self.of.length, keep, None, {}, self.crossed)
                with probing(cuts=tensors(cut)):
                    scores.append(self._scores(scored(self.calls, changed, np.arange(2), self.of)))
        return float((scores[0] - scores[1]).abs().max())

    def _local(self) -> bool:
        """Whether image tokens show parts of the picture. A statement of the processor about them is believed if they agree."""
        pictures = self.model.pictures
        moved = moved_by_halves(lambda picture: pictures.tokens(self.prompt, picture), *SIZE)
        stated = pictures.statement(self.prompt, *SIZE)
        pictures.stated = stated is not None and agrees(stated, moved, *SIZE)
        return is_local(moved)

    def _shares(self, fronts: dict[int, Arguments], words: np.ndarray) -> bool:
        """Whether rows that share keys and values score as rows that do not."""
        if self.crossed:
            return False  # the first half's cross-attention has no cache that rows could share
        index, keep = np.array([0, 0, 1, 1]), np.concatenate([words, ~words])
        cut = masks(self.of.places, self.of.length, keep, None, {}, False)
        with probing(cuts=tensors(cut)):
            apart = self._scores(scored(self.calls, fronts, index, self.of))
        together = self._scores(scored_sharing(self.calls, fronts, index, self.of, cut))
        return float((apart - together).abs().max()) <= self.allowed


def _shifted(front: Arguments, positions: np.ndarray, by: float) -> Arguments:
    """Arguments with other embeddings (or token ids, where the language model embeds them) at some positions."""
    out = dict(front)
    for name in ("inputs_embeds", "input_ids"):
        if name in out:
            moved = out[name].clone()
            if by and name == "inputs_embeds":
                moved[:, positions] = moved[:, positions].flip(-1) + by * moved.std()
            elif by:
                moved[:, positions] = moved[:, positions] - 1
            out[name] = moved
    return out
