"""Read a question and a picture as a model does, and find where its words and image tokens are.

The prompt is the checkpoint's chat template around one image and the question. The processor puts the marks of the image into it and
hands the text to its tokenizer; that text is tokenised once more with offsets, so that each word of the question is found in it,
however many marks stand before it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stcg_nb.errors import InputError, ModelError
from stcg_nb.models.generic.facts import Facts
from stcg_nb.models.generic.processors import prepared
from stcg_nb.models.protocol import Answer, Prompt, check_question, find_words
from stcg_nb.models.tokens import decoded

Batch = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Places:
    """Positions in the sequence of one prompt with pictures of one size.

    Attributes:
        ids: The prompt's token ids, int ``[position]``.
        image: Positions of image tokens, int ``[image token]``.
        text: All other positions, int ``[text token]``.
        words: For each word of the question, its places in `text`.
    """

    ids: np.ndarray
    image: np.ndarray
    text: np.ndarray
    words: tuple[tuple[int, ...], ...]

    def order(self, length: int) -> np.ndarray:
        """The positions of a sequence of `length` tokens in the order of `stcg_nb.models.layout.Layout`, int ``[position]``."""
        return np.concatenate([self.image, self.text, np.arange(len(self.ids), length)])


class Reading:
    """Questions and pictures of one model.

    Args:
        processor: As from `stcg_nb.models.generic.processors.load_processor`.
        facts: Of its model type.
        image_token: Id of the token that stands for one image token; None where no such token is in the sequence.
        label: The model's name in errors.

    Raises:
        ModelError: If the checkpoint has no chat template and no prompt is known for its model type.
    """

    def __init__(self, processor: Any, facts: Facts, image_token: int | None, label: str) -> None:
        self.processor, self.facts, self.label = processor, facts, label
        self.tokenizer = processor.tokenizer.tokenizer
        self._image_token = image_token
        self.wording = "{}"
        chat = getattr(processor, "chat_template", None) or self.tokenizer.chat_template
        if not chat and facts.prompt is None:
            raise ModelError(
                f"{label} has no chat template, and no prompt is known for its model type; save the template that its authors give "
                "as chat_template.jinja beside config.json."
            )
        self._chat = chat if chat else None

    def with_wording(self, template: str) -> Reading:
        """The same with words around every question, such as ``"Question: {} Short answer:"``, inside the model's own prompt."""
        other = copy.copy(self)
        other.wording = template
        return other

    def prompt(self, question: str) -> Prompt:
        """Read a question. Raises `InputError` if it is invalid or holds a mark of the model."""
        question = check_question(question)
        for token in (str(added.content) for added in self.tokenizer.added_tokens_decoder.values() if added.special):
            if token in question:
                raise InputError(
                    f"The question holds {token!r}, which {self.label} reads as a mark of its own; leave it out."
                )
        asked = self.wording.format(question)
        if self._chat is None:
            text = str(self.facts.prompt).format(asked)
        else:
            content = [{"type": "image"}, {"type": "text", "text": asked}]
            text = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": content}],
                chat_template=self._chat,
                add_generation_prompt=True,
                tokenize=False,
            )
        if question not in text:
            raise ModelError(
                f"The chat template of {self.label} changes the question {question!r}, so its words cannot be found."
            )
        read = self.tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
        # A tokenizer may drop all characters of a word; then there are no tokens to cut, and the word is left out.
        spans = _found(text, question, read["offset_mapping"])
        if not spans:
            raise InputError(f"The model's tokenizer finds no word in the question {question!r}; ask in words.")
        return Prompt(question, text, (), tuple(word for word, _ in spans), ())

    def batch(self, prompt: Prompt, image: np.ndarray) -> Batch:
        """The network's inputs for a prompt and a picture, uint8 ``[height, width, 3]``."""
        batch = prepared(self.processor, image, prompt.text, **self.facts.options)
        batch.pop("labels", None)
        return batch

    def places(self, prompt: Prompt, ids: Tensor) -> Places:
        """Positions in a sequence ``[1, position]`` that `batch` has just returned.

        Raises:
            ModelError: If the tokens are not those of the text that the processor handed its tokenizer.
        """
        heard = self.processor.tokenizer
        options = {k: v for k, v in heard.options.items() if k == "add_special_tokens"}
        again = self.tokenizer(heard.text, return_offsets_mapping=True, **options)
        sequence = ids[0].tolist()
        if list(again["input_ids"]) != sequence:
            raise ModelError(
                f"The processor of {self.label} changes its tokens after tokenising, so words cannot be found in them."
            )
        is_image = np.array([i == self._image_token for i in sequence])
        text = np.flatnonzero(~is_image)
        offsets = [again["offset_mapping"][i] for i in text]
        words = tuple(tokens for _, tokens in _found(heard.text, prompt.question, offsets))
        return Places(np.array(sequence), np.flatnonzero(is_image), text, words)

    def extended(self, batch: Batch, targets: Sequence[int]) -> Batch:
        """The batch with all targets but the last after the prompt; whatever is as long as the prompt grows with it.

        Raises:
            InputError: If a target is the mark of an image.
        """
        shape, tail = batch["input_ids"].shape, list(targets[:-1])
        if self._image_token in tail:
            raise InputError(
                f"The answer holds {self.tokenizer.decode([self._image_token])!r}, which stands for an image in the prompts of "
                f"{self.label}, so it cannot be scored; give another answer."
            )
        out = {}
        for name, value in batch.items():
            if isinstance(value, Tensor) and value.dim() > 1 and value.shape[:2] == shape and tail:
                if name == "input_ids":
                    more = torch.tensor([tail])
                elif name == "cross_attention_mask":  # an answer sees the tiles that the prompt's end sees
                    more = value[:, -1:].expand(-1, len(tail), *value.shape[2:])
                else:
                    fill = 1 if name == "attention_mask" else self.facts.answer_types if name == "token_type_ids" else 0
                    more = torch.full((1, len(tail), *value.shape[2:]), fill, dtype=value.dtype)
                value = torch.cat([value, more.to(value)], 1)
            out[name] = value
        return out

    def continuation(self, text: str) -> list[int]:
        """Token ids of a text as it continues a prompt."""
        self.batch(self.prompt("what"), np.zeros((64, 64, 3), np.uint8))
        end = self.processor.tokenizer.text.rpartition("what")[2] or ":"
        joined = end + ("" if end[-1].isspace() else " ") + text
        before = self.tokenizer(end, add_special_tokens=False)["input_ids"]
        return self.tokenizer(joined, add_special_tokens=False)["input_ids"][len(before) :]

    def answer(self, ids: list[int], ends: tuple[int, ...]) -> Answer:
        """Decode token ids up to the first end token."""
        return decoded(self.tokenizer, ids, ends)


def _found(text: str, question: str, offsets: Sequence[tuple[int, int]]) -> list[tuple[str, tuple[int, ...]]]:
    """Each word of a question in a text, with the indices of the tokens that overlap it; words without tokens are left out.

    Args:
        text: Holds the question; the last place counts.
        question: The question.
        offsets: Start and end of each token in the text, in characters.
    """
    start = text.rindex(question)
    words = [(question[a:b], start + a, start + b) for a, b in find_words(question)]
    places = [(word, tuple(i for i, (c, d) in enumerate(offsets) if c < d and c < b and d > a)) for word, a, b in words]
    return [(word, tokens) for word, tokens in places if tokens]
