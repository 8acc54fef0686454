"""Run a network in two halves: up to its language model, and from there, without knowing its class.

A hook on the language model takes the arguments that the network's own forward would call it with (embeddings, positions, masks,
vision features for deeper layers, whatever the class has), and stops the run there: `Calls.front`. The same hook puts kept
arguments into a later run of the network's own forward: `Calls.back`. What comes after the language model (output layer, caps on
logits) stays the library's. Arguments are kept for one picture each and joined for the rows of a batch (`join`).

Positions that no mask reaches are the same in every row with the same picture. `split` cuts the arguments in two there, so that the
first part can run once for a picture and serve all its rows with its keys and values.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

Arguments = Mapping[str, Any]
"""What the language model is called with, by name, for one picture or for joined rows."""

PATHS = ("model.language_model", "model.text_model", "language_model", "text_model.model", "text_model", "model")
DROPPED = ("use_cache", "past_key_values", "cache", "cache_position", "return_dict", "logits_to_keep")
PASSED = ("return_dict", "output_attentions", "output_hidden_states", "logits_to_keep")
DEEP = (
    "deepstack_visual_embeds",
    "visual_pos_masks",
)  # features of image tokens for deeper layers, and where these tokens are


class _Stop(Exception):
    """Ends a run at the language model."""


def language_model(network: nn.Module) -> nn.Module | None:
    """The part of a network that reads embeddings of text and image tokens; None if it is at none of the usual places."""
    for path in PATHS:
        found: Any = network
        for part in path.split("."):
            found = getattr(found, part, None)
        if isinstance(found, nn.Module):
            return found
    return None


class Calls:
    """Runs of a network in two halves.

    Args:
        network: The network.
        language: Its language model.
    """

    def __init__(self, network: Any, language: nn.Module) -> None:
        self.network, self.language = network, language
        # Some classes keep the offset of the last prompt's positions for the next call.
        self._offsets = [m for m in network.modules() if hasattr(m, "rope_deltas")]
        takes = inspect.signature(language.forward).parameters
        self._cache_name = "cache" if "cache" in takes else "past_key_values"
        self._base = next(
            (m for m in (getattr(network, "model", None), network) if hasattr(m, "get_image_features")), None
        )

    def whole(self, batch: Arguments, keep: int) -> Tensor:
        """Logits ``[row, position, token]`` of the last `keep` positions, by the network's own forward."""
        self._forget()
        return self.network(**batch, use_cache=False).logits[:, -keep:]

    def generate(self, batch: Arguments, seen: list[Any], generation: Any) -> list[int]:
        """Ids of the library's answer for a batch of one row, without the prompt; `seen` as in `front`."""
        self._forget()
        with self._serving(seen):
            out = self.network.generate(**batch, generation_config=generation)
        return out[0, batch["input_ids"].shape[1] :].tolist()

    def front(self, batch: Arguments, seen: list[Any] | None = None) -> Arguments:
        """What the language model would be called with.

        Args:
            batch: The network's inputs.
            seen: Empty, to be filled with the picture's vision features; or filled by an earlier call for the same picture. Then the
                vision model does not run. (A class that has no method to return them leaves it empty.)
        """
        taken: dict[str, Any] = {}

        def take(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            taken.update({k: v for k, v in kwargs.items() if v is not None and k not in DROPPED})
            raise _Stop

        self._forget()
        with self._hooked(take), self._serving([] if seen is None else seen):
            try:
                self.network(**batch)
            except _Stop:
                return taken
        raise RuntimeError("The network did not call its language model.")

    def back(self, arguments: Arguments, ids: Tensor, types: Sequence[str], keep: int, cache: Any = None) -> Tensor:
        """Logits ``[row, position, token]`` of the last `keep` positions, with the language model called with `arguments`.

        Args:
            arguments: Joined for the rows.
            ids: Token ids of the rows, ``[row, position]``; they only give the number of rows and positions.
            types: Names of the network's arguments that give each position a type.
            keep: Number of positions.
            cache: Keys and values of the positions before these; those of these are added.
        """
        put = {**arguments, "use_cache": cache is not None, **({} if cache is None else {self._cache_name: cache})}

        def give(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
            return (), {**{k: v for k, v in kwargs.items() if k in PASSED}, **put}

        self._forget()
        rest = {name: torch.zeros_like(ids) for name in types}
        with self._hooked(give):
            logits = self.network(
                input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, logits_to_keep=keep, **rest
            ).logits
        return logits[:, -keep:]  # some classes keep all

    def _forget(self) -> None:
        for module in self._offsets:
            module.rope_deltas = None

    @contextmanager
    def _hooked(self, hook: Any) -> Iterator[None]:
        handle = self.language.register_forward_pre_hook(hook, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def _serving(self, seen: list[Any]) -> Iterator[None]:
        """Take vision features from `seen` where it holds them, and put them there where not."""
        if self._base is None:
            yield
            return
        own = self._base.get_image_features

        @wraps(own)  # the library looks at its signature
        def serve(*args: Any, **kwargs: Any) -> Any:
            if not seen:
                seen.append(own(*args, **kwargs))
            return seen[0]

        object.__setattr__(self._base, "get_image_features", serve)
        try:
            yield
        finally:
            object.__delattr__(self._base, "get_image_features")


def join(kept: Sequence[Arguments]) -> Arguments:
    """The arguments of rows, from those of each row's picture, for pictures of one size."""
    return {name: _join(name, [k[name] for k in kept]) for name in kept[0]}


def _join(name: str, values: Sequence[Any]) -> Any:
    first = values[0]
    if isinstance(first, Tensor):
        if all(v is first for v in values) and first.dim() == 4 and len(first) == 1:
            return first  # a mask, which is the same for all rows
        if name == "position_ids" and first.dim() == 3:
            return torch.cat(list(values), 1)  # [axis, row, position]
        packed = first.dim() > 1  # features of all image tokens, one row after the other
        return torch.cat(list(values)) if first.dim() and (len(first) == 1 or packed) else first
    if isinstance(first, Mapping):
        return {k: _join(k, [v[k] for v in values]) for k in first}
    if isinstance(first, list | tuple):
        return type(first)(_join(name, parts) for parts in zip(*values, strict=True))
    return first


def split(arguments: Arguments, length: int, at: int, deep_first: bool) -> tuple[Arguments, Arguments]:
    """Cut arguments of `length` positions in two before the position `at`; `deep_first`: all image tokens are in the first part."""
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    for name, value in arguments.items():
        if name in DEEP:
            part = first if deep_first else second
            part[name] = value
            if name == "visual_pos_masks":
                part[name] = value[:, :at] if deep_first else value[:, at:]
        else:
            first[name], second[name] = _split(name, value, length, at)
    return first, second


def _split(name: str, value: Any, length: int, at: int) -> tuple[Any, Any]:
    if isinstance(value, Mapping):
        parts = {k: _split(name, v, length, at) for k, v in value.items()}
        return {k: p[0] for k, p in parts.items()}, {k: p[1] for k, p in parts.items()}
    if isinstance(value, list | tuple):
        both = [_split(name, v, length, at) for v in value]
        return type(value)(p[0] for p in both), type(value)(p[1] for p in both)
    if not isinstance(value, Tensor) or length not in value.shape:
        return value, value
    if name == "attention_mask":
        if value.dim() == 4:
            return value[..., :at, :at], value[..., at:, :]
        return value[:, :at], value  # the second part attends to both
    fitting = [axis for axis, size in enumerate(value.shape) if size == length]
    axis = (
        fitting[-1] if name == "position_ids" else next((a for a in fitting if a), 0)
    )  # rows may be as many as positions
    return value.narrow(axis, 0, at), value.narrow(axis, at, length - at)
