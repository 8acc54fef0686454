"""What every model offers: read a question, answer it, and answer again under counterfactuals.

`Model` is the one protocol; `stcg_nb.models.engine` and `stcg_nb.models.mock` follow it.

Places where a model attends are called sites. `vit`: patches (CLS first) to patches. `qformer_self`: query tokens to query
tokens (where the Q-Former reads the question, its tokens follow). `qformer_cross`: query tokens to patches (CLS first).
`encoder`: the language model's encoder over image tokens, then text tokens. `decoder`: answer steps to answer steps. `cross`:
answer steps to the encoder's positions. A language model that is a decoder alone has one site in place of the three,
`language`: image tokens, then text tokens, then the answer's but the last, to the same; the last text token predicts the first
step, and each token of the answer the next.

What the language model reads of an image are its image tokens: the Q-Former's query tokens, or the patches themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from torch import Tensor

from stcg_nb.errors import InputError

VISION_SITES = ("vit",)
QUERY_SITES = ("qformer_self", "qformer_cross")
TEXT_SITES = ("encoder", "decoder", "cross")
SITES = VISION_SITES + QUERY_SITES + TEXT_SITES  # of a BLIP-2 with T5

# The edges that can be cut in a model with a Q-Former, by kind: which end attends, and to what.
CUTS = {
    "word_query": ("word", "query"),
    "query_patch": ("query", "patch"),
    "step_word": ("step", "word"),
    "step_query": ("step", "query"),
}
# And in one whose language model reads patches.
PATCH_CUTS = {"word_patch": ("word", "patch"), "step_word": ("step", "word"), "step_patch": ("step", "patch")}
ENDS = CUTS | PATCH_CUTS

MAX_CHARACTERS = 2000
MAX_NEW_TOKENS = 40


@dataclass(frozen=True)
class Prompt:
    """A question as the model reads it.

    Attributes:
        question: The question as asked.
        text: The whole prompt, the model's template around the question.
        token_ids: The prompt's tokens, ``[token]``.
        words: The question's whole words, ``[word]``. The template's are not among them, nor are marks.
        word_tokens: For each word, the places of its tokens in ``token_ids``.
        image_at: Before which of the tokens the image's stand.
        query_text_ids: The prompt's tokens for a Q-Former that reads the question, ``[token]``; else none.
        query_word_tokens: For each word, the places of its tokens there.
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
        text: The answer, decoded.
        token_ids: One token a step, ``[step]``, without the end mark; never empty: an empty answer is the end mark alone.
        tokens: The steps' texts, ``[step]``.
        ended: Whether the model ended the answer itself, before the limit of tokens.
    """

    text: str
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    ended: bool


@dataclass(frozen=True)
class Trace:
    """What the model makes of an answer, teacher-forced, in each counterfactual row.

    Attributes:
        p: Probability of the answer's token at each step given the ones before, ``[row, step]``.
        v: The same as log-odds in nats, ``[row, step]``; unlike log p they do not saturate.
        flipped: Whether greedy decoding would answer anything else, ``[row]``. Exact: greedy decoding leaves the answer at
            the first step whose likeliest token differs, and the end mark counts.
        attention: For each captured site the mean over heads, ``[row, layer, query, key]``, rows summing to one.
    """

    p: np.ndarray
    v: np.ndarray
    flipped: np.ndarray
    attention: Mapping[str, Tensor] = field(default_factory=dict)


class Model(Protocol):
    """What the rest of the package asks of a model.

    Attributes:
        name: As it is shown on figures.
        revision: Which weights: a digest or the hub's revision.
        synthetic: True if attention and probabilities are made up: there are no weights.
        dtypes: Of its weights, such as ``("float32",)``; none without weights.
        grid: Rows and columns of the vision model's patches.
        n_queries: The image tokens that its language model reads.
        sites: Where it attends.
        cross_layers: Which layers of its Q-Former look at the patches, ascending; none without a Q-Former.
        edges: Kinds of edges that can be cut in it, keys of `ENDS`.
    """

    name: str
    revision: str
    synthetic: bool
    dtypes: tuple[str, ...]
    grid: tuple[int, int]
    n_queries: int
    sites: tuple[str, ...]
    cross_layers: tuple[int, ...]
    edges: tuple[str, ...]

    def randomised(self, seed: int) -> Model:
        """The same architecture with its weights shuffled. Raises `InputError` if there are no weights."""

    def with_prompt(self, template: str) -> Model:
        """The same model with another text around the question, ``{}`` in it. Raises `InputError` if its prompt is fixed."""

    def view(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The part of a picture of this size that the patches cover: x0, y0, x1, y1 in pixels, the latter two exclusive."""

    def prompt(self, question: str) -> Prompt:
        """Read a question. Raises `InputError` if it is empty or too long."""

    def answer(
        self, images: Sequence[np.ndarray], prompt: Prompt, *, cuts: Mapping[str, np.ndarray] | None = None
    ) -> list[Answer]:
        """Answer greedily, once for each image ``[height, width, 3]``.

        Args:
            images: The images.
            prompt: The question.
            cuts: Edges without which to answer, as in `trace`, with images for rows. There may be cuts at any number of
                steps; a cut applies when the token of its step is chosen, and later steps are whole.

        Raises:
            InputError: For cuts of another kind or shape.
        """

    def target(self, text: str) -> Answer:
        """A given answer in the model's tokens, to be scored in place of its own."""

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
        """Teacher-force `answer` through counterfactual rows, in batches.

        Args:
            images: The distinct images, each ``[height, width, 3]``; an image is encoded once, however many rows use it.
            prompt: The question.
            answer: The answer whose tokens are scored.
            image_index: Which image each row sees, ``[row]``; one row for each image if left out.
            keep_words: True where a word is present, ``[row, word]``. An absent word is cut from the encoder's attention
                and the decoder's, and from that of a Q-Former that reads the question: nothing sees it.
            keep_patches: True where a patch is present, ``[row, patch]``. An absent patch is cut from the Q-Former's
                cross-attention, or from the language model's where that reads patches; the vision model has still seen it
                (filling the image instead is another estimand).
            cuts: For a kind of edge, True where the edge is removed, in every layer; one row stands for all. Cuts join what
                the other masks remove, and the vision model never runs again for them.
                ``word_query`` ``[row, word, query]``: in the encoder, the word's tokens cannot attend to the query token.
                ``query_patch`` ``[row, query, patch]``: in the Q-Former, the query token cannot attend to the patch.
                ``step_word`` ``[row, step, word]``, ``step_query`` ``[row, step, query]``: in the decoder, the position that
                predicts the answer's token of that step cannot attend to the word or to the query token.
                ``word_patch`` ``[row, word, patch]``, ``step_patch`` ``[row, step, patch]``: the same of a language model that
                reads patches.
            capture: Sites whose attention is kept.
            reuse: Keep the images' encodings for later calls. Not worth its memory for images that come once.

        Raises:
            InputError: For a site or a kind of edge that does not exist, or masks of another shape.
        """

    def relevance(self, image: np.ndarray, prompt: Prompt, answer: Answer) -> Mapping[str, Tensor]:
        """Attention times its gradient, per site ``[step, layer, query, key]``.

        The positive part of attention x d(log-odds of the step's token)/d(attention), mean over heads: Chefer et al. 2021
        (arXiv 2103.15679), equation 5.
        """

    def heads(self, image: np.ndarray, prompt: Prompt, answer: Answer) -> Mapping[str, Tensor]:
        """Attention of every head, per site ``[layer, head, query, key]``, rows summing to one; its mean over heads is `trace`'s."""


def check_question(question: str) -> str:
    """The question without surrounding space.

    >>> check_question(" what is this? ")
    'what is this?'

    Raises:
        InputError: If nothing is left, more than 2,000 characters, or characters that are none.
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
    """Where the whole words of a text begin and end; marks around them are left out, but a run of marks alone is a word.

    >>> [text[a:b] for text in ("isn't the well-known 🚗 red?",) for a, b in find_words(text)]
    ["isn't", 'the', 'well-known', '🚗', 'red']
    """
    spans = []
    for chunk in re.finditer(r"\S+", text):
        words = list(re.finditer(r"\w+(?:['’\-]\w+)*", chunk.group()))
        inner = [word.span() for word in words] or [(0, len(chunk.group()))]
        spans += [(chunk.start() + a, chunk.start() + b) for a, b in inner]
    return spans


def check_trace(
    n_images: int,
    sizes: Mapping[str, int],
    image_index: np.ndarray | None,
    keep_words: np.ndarray | None,
    keep_patches: np.ndarray | None,
    cuts: Mapping[str, np.ndarray] | None,
    capture: Sequence[str],
    sites: Sequence[str] = SITES,
    edges: Sequence[str] = tuple(CUTS),
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The rows' images, ``[row]``, and cuts, ``[row, ...]``, once the arguments of `Model.trace` are known to fit together.

    ``sizes`` says how many there are of ``word``, ``query``, ``patch`` and ``step``, ``sites`` and ``edges`` what the model has.
    """
    unknown = set(capture) - set(sites)
    if unknown:
        raise InputError(f"{sorted(unknown)[0]!r} is no attention site of this model; valid are {', '.join(sites)}.")
    rows = np.arange(n_images) if image_index is None else np.asarray(image_index)
    if image_index is None and n_images == 1:
        masks = [m for m in (keep_words, keep_patches) if m is not None] or list((cuts or {}).values())
        rows = np.zeros(max((len(m) for m in masks if np.ndim(m)), default=1), dtype=int)
    if rows.ndim != 1 or (rows.size and not (rows.min() >= 0 and rows.max() < n_images)):
        raise InputError(f"image_index must be one number from 0 to {n_images - 1} for each row.")
    for label, mask, width in (
        ("keep_words", keep_words, sizes["word"]),
        ("keep_patches", keep_patches, sizes["patch"]),
    ):
        if mask is not None and np.shape(mask) != (len(rows), width):
            raise InputError(f"{label} has shape {np.shape(mask)}; it must be [row, ...] = {(len(rows), width)}.")
    return rows, check_cuts(len(rows), sizes, cuts, edges)


def check_cuts(
    n_rows: int,
    sizes: Mapping[str, int],
    cuts: Mapping[str, np.ndarray] | None,
    edges: Sequence[str] = tuple(CUTS),
) -> dict[str, np.ndarray]:
    """The cuts of every row, ``[row, ...]``; a dimension that is not among ``sizes`` may have any."""
    checked = {}
    for kind, cut in (cuts or {}).items():
        if kind not in edges:
            raise InputError(f"{kind!r} is no kind of edge that can be cut; valid are {', '.join(edges)}.")
        cut = np.asarray(cut)
        fits = cut.ndim == 3 and all(sizes.get(d, n) == n for d, n in zip(ENDS[kind], cut.shape[1:], strict=True))
        if cut.dtype != bool or not fits or len(cut) not in (1, n_rows):
            wanted = ", ".join(str(sizes.get(d, "any")) for d in ENDS[kind])
            rows = "1" if n_rows == 1 else f"1 or {n_rows}"
            raise InputError(
                f"The cut of {kind!r} is {cut.dtype} of shape {cut.shape}; it must be bool [row, {', '.join(ENDS[kind])}] "
                f"= ({rows}, {wanted})."
            )
        checked[kind] = np.broadcast_to(cut, (n_rows, *cut.shape[1:]))
    return checked
