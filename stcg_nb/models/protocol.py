"""The protocol that every model follows: read a question, answer it, and score the answer under counterfactuals.

`stcg_nb.models.engine.Engine`, `stcg_nb.models.generic.engine.Generic` and `stcg_nb.models.mock.Mock` implement it. A *site* is one
kind of attention in a model:

``vit``
    In the vision model, patches attend to patches (CLS first).
``qformer_self``
    Query tokens attend to query tokens. Where the Q-Former reads the question, the question's tokens follow the query tokens.
``qformer_cross``
    Query tokens attend to patches (CLS first).
``encoder``
    In the language model's encoder, image tokens and then text tokens attend to each other.
``decoder``
    Answer steps attend to answer steps.
``cross``
    Answer steps attend to the encoder's positions: image tokens, then text tokens.
``language``
    The self-attention of a decoder-only language model, in place of the last three. Its positions are image tokens, then text
    tokens, then all answer tokens but the last. The last text token predicts the first step, each answer token the next one.
``reading``
    The rows of ``language`` whose queries are text and answer tokens. With a thousand image tokens they are a small part of it.

A decoder-only language model without image tokens in its sequence attends to the picture in layers of its own; there ``cross`` is
the attention of text and answer tokens to patches.

The *image tokens* are what the language model reads of an image: the Q-Former's query tokens, or the projected patches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from torch import Tensor

from stcg_nb.errors import InputError
from stcg_nb.models.layout import Layout

VISION_SITES = ("vit",)
QUERY_SITES = ("qformer_self", "qformer_cross")
TEXT_SITES = ("encoder", "decoder", "cross")
SITES = VISION_SITES + QUERY_SITES + TEXT_SITES  # the sites of a BLIP-2 with T5

# Kinds of edges that can be cut in a model with a Q-Former: the end that attends, and what it attends to.
CUTS = {
    "word_query": ("word", "query"),
    "query_patch": ("query", "patch"),
    "step_word": ("step", "word"),
    "step_query": ("step", "query"),
}
# The same for a model whose language model reads patches.
PATCH_CUTS = {"word_patch": ("word", "patch"), "step_word": ("step", "word"), "step_patch": ("step", "patch")}
ENDS = CUTS | PATCH_CUTS

MAX_CHARACTERS = 2000  # of a question
MAX_NEW_TOKENS = 40  # of an answer


@dataclass(frozen=True)
class Prompt:
    """A question as the model reads it.

    Attributes:
        question: The question, without surrounding space.
        text: The whole prompt: the model's template around the question.
        token_ids: The prompt's token ids, ``[token]``, without a placeholder for the image.
        words: The question's words, ``[word]``, without punctuation and without the template's words.
        word_tokens: For each word, the indices of its tokens in ``token_ids``.
        image_at: Index in ``token_ids`` before which the image tokens are inserted.
        query_text_ids: The prompt's token ids for a Q-Former that reads the question, ``[token]``; empty for other models.
        query_word_tokens: For each word, the indices of its tokens in ``query_text_ids``; empty for other models.
    """

    question: str
    text: str
    token_ids: tuple[int, ...]
    words: tuple[str, ...]
    word_tokens: tuple[tuple[int, ...], ...]
    image_at: int = 0
    query_text_ids: tuple[int, ...] = ()
    query_word_tokens: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Answer:
    """A generated answer.

    Attributes:
        text: The decoded answer.
        token_ids: One token id per step, ``[step]``, without the end token. An empty answer is the end token alone.
        tokens: The text of each step's token, ``[step]``.
        ended: Whether an end token follows the last step: False if the limit on tokens cut the answer off, or if it is empty.
    """

    text: str
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    ended: bool


@dataclass(frozen=True)
class Trace:
    """Scores and attention of one teacher-forced answer in each counterfactual row.

    Attributes:
        p: Probability of the answer's token at each step, given the tokens before it, ``[row, step]``.
        v: The same as log-odds in nats, ``[row, step]``. Unlike log p, log-odds do not saturate.
        flipped: Whether greedy decoding would give another answer, bool ``[row]``. This is exact: greedy decoding leaves the
            answer at the first step whose likeliest token differs; the end token counts as a step.
        attention: For each captured site the mean over heads, ``[row, layer, query, key]``; the keys of a query sum to one.
    """

    p: np.ndarray
    v: np.ndarray
    flipped: np.ndarray
    attention: Mapping[str, Tensor] = field(default_factory=dict)


class Model(Protocol):
    """What the rest of the package asks of a model.

    Attributes:
        name: Its name on figures.
        revision: Which weights it has: a digest of local files, or the hub's commit.
        synthetic: True if there are no weights: attention and probabilities are made up.
        dtypes: Number formats of its weights, such as ``("float32",)``; empty without weights.
        sees: What it reads of an image, to be shown to people, such as ``"16 x 16 patches through 32 query tokens"``.
        offers: What can be explained of it and what not, in one sentence.
        sites: Its attention sites.
        edges: Kinds of edges that can be cut in it, keys of `ENDS`.
    """

    name: str
    revision: str
    synthetic: bool
    dtypes: tuple[str, ...]
    sees: str
    offers: str
    sites: tuple[str, ...]
    edges: tuple[str, ...]

    def randomised(self, seed: int) -> Model:
        """A copy of the model with shuffled weights. Raises `InputError` if there are no weights."""

    def with_prompt(self, template: str) -> Model:
        """The same model with another template; ``{}`` stands for the question. Raises `InputError` if its prompt is fixed."""

    def layout(self, prompt: Prompt, height: int, width: int) -> Layout:
        """Where words and patches are for this question and images of this size in pixels.

        Raises:
            InputError: If image and question are too long for the model.
        """

    def prompt(self, question: str) -> Prompt:
        """Tokenise a question. Raises `InputError` if it is empty or too long."""

    def answer(
        self, images: Sequence[np.ndarray], prompt: Prompt, *, cuts: Mapping[str, np.ndarray] | None = None
    ) -> list[Answer]:
        """Answer by greedy decoding, once per image.

        Args:
            images: The images, each uint8 RGB ``[height, width, 3]``.
            prompt: The question.
            cuts: Edges to knock out, as in `trace`, with one row per image. Cuts of steps may cover any number of steps: each
                applies while the token of its step is chosen, and steps beyond them keep all edges.

        Raises:
            InputError: For cuts of another kind or shape.
        """

    def target(self, text: str) -> Answer:
        """Tokenise a given answer, to be scored in place of the model's own."""

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
        """Score `answer` by teacher forcing in every counterfactual row, in batches.

        Args:
            images: The distinct images, each uint8 RGB ``[height, width, 3]``. An image is encoded once, however many rows use it.
            prompt: The question.
            answer: The answer whose tokens are scored.
            image_index: The image of each row, int ``[row]``. Left out: one row per image; a single image serves all rows.
            keep_words: True where a word is present, bool ``[row, word]``. Nothing attends to an absent word: not the
                language model, nor a Q-Former that reads the question.
            keep_patches: True where a patch is present, bool ``[row, patch]``. An absent patch is masked in the Q-Former's
                cross-attention, or in the language model where that reads patches. The vision model has still seen it
                (filling the image instead is another estimand).
            cuts: Edges to knock out in every layer: for a kind of edge, bool ``[row or 1, from, to]``, True where the edge is
                cut. Cuts add to the other masks. The vision model does not run again for them.
                ``word_query`` ``[row, word, query]``: in the language model's encoder (or decoder, where it has no encoder),
                the word's tokens cannot attend to the query token.
                ``query_patch`` ``[row, query, patch]``: in the Q-Former, the query token cannot attend to the patch.
                ``step_word`` ``[row, step, word]``, ``step_query`` ``[row, step, query]``: in the decoder, the position that
                predicts the token of that step cannot attend to the word or to the query token.
                ``word_patch`` ``[row, word, patch]``, ``step_patch`` ``[row, step, patch]``: the same in a language model that
                reads patches.
            capture: Sites whose attention is returned.
            reuse: Cache the images' encodings for later calls. False saves memory when images are used once.

        Raises:
            InputError: For a site or a kind of edge that the model does not have, or masks of another shape.
        """

    def relevance(self, image: np.ndarray, prompt: Prompt, answer: Answer) -> Mapping[str, Tensor]:
        """Attention times its gradient, in nats, per site ``[step, layer, query, key]``.

        This is the positive part of attention x d(log-odds of the step's token)/d(attention), averaged over heads: Chefer et
        al. 2021 (arXiv 2103.15679), equation 5.
        """

    def heads(self, image: np.ndarray, prompt: Prompt, answer: Answer) -> Mapping[str, Tensor]:
        """Attention of each head, per site ``[layer, head, query, key]``. Its mean over heads equals the attention of `trace`."""


def check_question(question: str) -> str:
    """The question without surrounding space.

    >>> check_question(" what is this? ")
    'what is this?'

    Raises:
        InputError: If the question is no text, is empty, has more than 2,000 characters, or holds null characters or lone
            surrogates.
    """
    if not isinstance(question, str):
        raise InputError(f"The question is a {type(question).__name__}; give it as text.")
    if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in question):
        raise InputError(
            f"The question {question[:80]!r} holds null or half characters (surrogates); give it as plain UTF-8 text."
        )
    question = question.strip()
    if not question:
        raise InputError("The question is empty; ask something, such as 'what color is the car?'.")
    if len(question) > MAX_CHARACTERS:
        raise InputError(
            f"The question has {len(question):,} characters; at most {MAX_CHARACTERS:,} are allowed: shorten it."
        )
    return question


def find_words(text: str) -> list[tuple[int, int]]:
    """The start and end of each word of a text. Punctuation around a word is left out; punctuation between spaces is a word.

    >>> [text[a:b] for text in ("isn't the well-known 🚗 red?",) for a, b in find_words(text)]
    ["isn't", 'the', 'well-known', '🚗', 'red']
    """
    spans = []
    for chunk in re.finditer(r"\S+", text):
        words = list(re.finditer(r"\w+(?:['’\-]\w+)*", chunk.group()))
        inner = [word.span() for word in words] or [(0, len(chunk.group()))]
        spans += [(chunk.start() + a, chunk.start() + b) for a, b in inner]
    return spans
