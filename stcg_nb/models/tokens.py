"""Tokenise questions, find the tokens of each word, and decode answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stcg_nb.errors import InputError
from stcg_nb.models.protocol import Answer, Prompt, check_question, find_words

Spans = list[tuple[int, int]]  # start and end of each word or token, in characters


@dataclass
class Reader:
    """The tokenizers and the template of one model.

    Attributes:
        tokenizer: The language model's fast tokenizer.
        template: The prompt, with ``{}`` for the question.
        image_mark: The placeholder of the image in the template; None: the image tokens come first.
        query_tokenizer: The fast tokenizer of a Q-Former that reads the question; None for other models.
    """

    tokenizer: Any
    template: str
    image_mark: str | None = None
    query_tokenizer: Any = None

    def prompt(self, question: str, limit: int) -> Prompt:
        """Tokenise a question.

        Raises:
            InputError: If the question is invalid (`check_question`), holds no word that the tokenizer knows, or has more than
                `limit` tokens with its template.
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
        # A tokenizer may drop all characters of a word; then there are no tokens to cut, and the word is left out.
        tokenised = [i for i, tokens in enumerate(places) if tokens]
        if not tokenised:
            raise InputError(f"The model's tokenizer finds no word in the question {question!r}; ask in words.")
        query_ids: list[int] = []
        query_places: list[tuple[int, ...]] = []
        if self.query_tokenizer is not None:
            query_ids, query_offsets = _tokens(self.query_tokenizer, text)
            query_places = _places([spans[i] for i in tokenised], query_offsets)
        return Prompt(
            question, text, tuple(ids), tuple(text[slice(*spans[i])] for i in tokenised), tuple(places[i] for i in tokenised),
            image_at, tuple(query_ids), tuple(query_places),
        )  # fmt: skip

    def answer(self, ids: list[int], ends: tuple[int, ...]) -> Answer:
        """Decode token ids up to the first end token; `ends` are the ids of end tokens."""
        return decoded(self.tokenizer, ids, ends)


def decoded(tokenizer: Any, ids: list[int], ends: tuple[int, ...]) -> Answer:
    """The answer that token ids spell, up to the first end token; `ends` are the ids of end tokens."""
    at = next((i for i, token in enumerate(ids) if token in ends), None)
    kept_ids, ended = ids[:at], at is not None
    text = tokenizer.decode(kept_ids, skip_special_tokens=True).strip()
    if not kept_ids:
        kept_ids, ended = ids[:1], False
    tokens = [tokenizer.decode([i]).strip() or str(tokenizer.convert_ids_to_tokens(i)) for i in kept_ids]
    return Answer(text, tuple(kept_ids), tuple(tokens), ended)


def _tokens(tokenizer: Any, text: str) -> tuple[list[int], Spans]:
    """Token ids of a text, and the start and end of each token in it."""
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=True)
    return list(encoded["input_ids"]), list(encoded["offset_mapping"])


def _places(words: Spans, offsets: Spans) -> list[tuple[int, ...]]:
    """For each word, the indices of the tokens that overlap it."""
    return [tuple(i for i, (c, d) in enumerate(offsets) if c < d and c < b and d > a) for a, b in words]
