"""Reading: a question becomes tokens with its whole words found among them, tokens become an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stcg_nb.errors import InputError
from stcg_nb.models.protocol import Answer, Prompt, check_question, find_words

Spans = list[tuple[int, int]]


@dataclass
class Reader:
    """The texts of one model.

    Attributes:
        tokenizer: The language model's, a fast one.
        template: What goes around a question, with ``{}`` for it.
        image_mark: The mark in the template where the image stands; none: before everything.
        query_tokenizer: That of a Q-Former that reads the question.
    """

    tokenizer: Any
    template: str
    image_mark: str | None = None
    query_tokenizer: Any = None

    def prompt(self, question: str, limit: int) -> Prompt:
        """A question in tokens.

        Raises:
            InputError: If it is no question, or has more than `limit` tokens with its template.
        """
        question = check_question(question)
        text = self.template.format(question)
        start = self.template.index("{}")
        ids, offsets = _tokens(self.tokenizer, text)
        image_at = 0
        if self.image_mark is not None:
            image_at = ids.index(self.tokenizer.convert_tokens_to_ids(self.image_mark))
            del ids[image_at], offsets[image_at]
        limit = min(self.tokenizer.model_max_length, limit)
        if len(ids) > limit:
            raise InputError(f"The question has {len(ids)} tokens; this model takes at most {limit}: shorten it.")
        spans = [(start + a, start + b) for a, b in find_words(question)]
        places = _places(spans, offsets)
        # A tokenizer may drop a character altogether: then there is nothing to cut.
        there = [i for i, found in enumerate(places) if found]
        if not there:
            raise InputError(f"The model's tokenizer finds no word in the question {question!r}; ask in words.")
        query_ids: list[int] = []
        query_places: list[tuple[int, ...]] = []
        if self.query_tokenizer is not None:
            query_ids, query_offsets = _tokens(self.query_tokenizer, text)
            query_places = _places([spans[i] for i in there], query_offsets)
        return Prompt(
            question, text, tuple(ids), tuple(text[slice(*spans[i])] for i in there), tuple(places[i] for i in there),
            image_at, tuple(query_ids), tuple(query_places),
        )  # fmt: skip

    def answer(self, ids: list[int], ends: tuple[int, ...]) -> Answer:
        """Tokens up to the first end mark as an answer."""
        at = next((i for i, token in enumerate(ids) if token in ends), None)
        kept, ended = ids[:at], at is not None
        text = self.tokenizer.decode(kept, skip_special_tokens=True).strip()
        if not kept:
            kept, ended = ids[:1], False
        tokens = [self.tokenizer.decode([i]).strip() or str(self.tokenizer.convert_ids_to_tokens(i)) for i in kept]
        return Answer(text, tuple(kept), tuple(tokens), ended)


def _tokens(tokenizer: Any, text: str) -> tuple[list[int], Spans]:
    """A text's tokens and where each stands in it."""
    read = tokenizer(text, return_offsets_mapping=True, add_special_tokens=True)
    return list(read["input_ids"]), list(read["offset_mapping"])


def _places(words: Spans, offsets: Spans) -> list[tuple[int, ...]]:
    """Which tokens each word has."""
    return [tuple(i for i, (c, d) in enumerate(offsets) if c < d and c < b and d > a) for a, b in words]
