"""A mock model without a network: deterministic, made-up attention and probabilities, to try the pipeline and the figures.

At each of three steps it answers one of two words, by the sign of a linear function of the patches' grey levels and of the words
present; the coefficients come from a hash of the question. A patch acts through the query tokens near it, a word through the
query tokens that it attends to; a cut edge removes its share. Attention has the right form (rows sum to one; query tokens attend
to patches near them and to contrast) and no meaning. Everything made with the mock is labelled as synthetic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from stcg_nb.errors import InputError
from stcg_nb.models.checks import check_cuts, check_trace
from stcg_nb.models.layout import Layout, grid_cover, of_prompt
from stcg_nb.models.protocol import CUTS, SITES, Answer, Prompt, Trace, check_question, find_words

STEPS = (("a", "the"), ("mock", "made-up"), ("answer", "reply"))
LAYERS = 2


class Mock:
    """The `Model` protocol without a network.

    >>> mock = Mock()
    >>> prompt = mock.prompt("what is this?")
    >>> len(mock.answer([np.zeros((32, 32, 3), np.uint8)], prompt)[0].tokens)
    3
    """

    name = "mock"
    revision = "mock"
    synthetic = True
    dtypes: tuple[str, ...] = ()
    grid = (16, 16)
    n_image_tokens = 32
    sees = "16 x 16 patches through 32 query tokens"
    offers = "Everything, with made-up numbers."
    sites: tuple[str, ...] = SITES
    edges: tuple[str, ...] = tuple(CUTS)

    def with_prompt(self, template: str) -> Mock:
        return self  # the mock has no template

    def randomised(self, seed: int) -> Mock:
        raise InputError("The mock has no weights to shuffle; name a real model, such as 'tiny'.")

    def layout(self, prompt: Prompt, height: int, width: int) -> Layout:
        cover = grid_cover(*self.grid, (0, 0, width, height))
        return of_prompt(prompt, cover, self.n_image_tokens, range(LAYERS))

    def prompt(self, question: str) -> Prompt:
        question = check_question(question)
        words = tuple(question[a:b] for a, b in find_words(question))
        return Prompt(question, question, tuple(range(len(words))), words, tuple((i,) for i in range(len(words))))

    def answer(
        self, images: Sequence[np.ndarray], prompt: Prompt, *, cuts: Mapping[str, np.ndarray] | None = None
    ) -> list[Answer]:
        checked = check_cuts(len(images), self._sizes(prompt), cuts)
        # Reshaped, since there may be no image.
        grey = np.array([_grey(i) for i in images]).reshape(len(images), self.grid[0] * self.grid[1])
        answers = []
        for positive in self._value(grey, np.ones((len(images), len(prompt.words))), prompt, checked) > 0:
            ids = tuple(2 * t + (0 if yes else 1) for t, yes in enumerate(positive))
            tokens = tuple(STEPS[i // 2][i % 2] for i in ids)
            answers.append(Answer(" ".join(tokens), ids, tokens, True))
        return answers

    def target(self, text: str) -> Answer:
        ids = {token: 2 * t + i for t, pair in enumerate(STEPS) for i, token in enumerate(pair)}
        tokens = tuple(text.split())
        if len(tokens) != len(STEPS) or any(t not in STEPS[i] for i, t in enumerate(tokens)):
            raise InputError(
                f"The mock cannot say {text!r}; it says one of {', '.join('/'.join(pair) for pair in STEPS)} at each step."
            )
        return Answer(text, tuple(ids[t] for t in tokens), tokens, True)

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
        n_words, n_patches = len(prompt.words), self.grid[0] * self.grid[1]
        index, checked = check_trace(
            len(images), self._sizes(prompt), image_index, keep_words, keep_patches, cuts, capture
        )
        patches = np.ones((len(index), n_patches)) if keep_patches is None else np.asarray(keep_patches, dtype=float)
        words = np.ones((len(index), n_words)) if keep_words is None else np.asarray(keep_words, dtype=float)
        grey = np.stack([_grey(i) for i in images])[index] * patches
        sign = np.array([1 - 2 * (i % 2) for i in answer.token_ids])
        v = self._value(grey, words, prompt, checked) * sign
        rows = [{kind: cut[i] for kind, cut in checked.items()} for i in range(len(index))]
        maps = {
            s: torch.stack([self._attention(s, *row, prompt) for row in zip(grey, patches, words, rows, strict=True)])
            for s in capture
        }
        return Trace(1 / (1 + np.exp(-v)), v, (v < 0).any(1), maps)

    def relevance(self, image: np.ndarray, prompt: Prompt, answer: Answer) -> Mapping[str, Tensor]:
        maps = self.trace([image], prompt, answer, capture=SITES).attention
        weigh = torch.from_numpy(
            _rng(prompt.question, "relevance").uniform(0, 1, (len(answer.tokens), 1, 1, 1))
        ).float()
        return {s: m * weigh for s, m in maps.items()}

    def heads(self, image: np.ndarray, prompt: Prompt, answer: Answer) -> Mapping[str, Tensor]:
        maps = self.trace([image], prompt, answer, capture=SITES).attention
        return {s: torch.stack(_two_heads(m[0]), 1) for s, m in maps.items()}

    def _sizes(self, prompt: Prompt) -> dict[str, int]:
        sizes = {"word": len(prompt.words), "query": self.n_image_tokens, "patch": self.grid[0] * self.grid[1]}
        return {**sizes, "step": len(STEPS)}

    def _value(self, grey: np.ndarray, words: np.ndarray, prompt: Prompt, cuts: Mapping[str, np.ndarray]) -> np.ndarray:
        """Log-odds of the first of each step's two words, in nats, ``[row, step]``.

        Args:
            grey: Grey level of each patch in standard deviations, ``[row, patch]``.
            words: 1 where a word is present, else 0, ``[row, word]``.
            prompt: The question.
            cuts: For a kind of edge, True where it is cut, bool ``[row, from, to]``.
        """
        rng = _rng(prompt.question, "value")
        # Heavy tails, so that a few patches and words have most of the effect.
        by_patch = rng.standard_t(2, (grey.shape[1], len(STEPS))) * 0.2
        by_word = rng.standard_t(2, (len(prompt.words), len(STEPS)))
        uncut = {kind: np.zeros((len(grey), *(self._sizes(prompt)[d] for d in CUTS[kind])), bool) for kind in CUTS}
        kept = {kind: 1.0 - cut for kind, cut in (uncut | dict(cuts)).items()}
        near = np.exp(-self._distances() / 8)
        near /= near.sum(0)
        patch_share = np.einsum("qp,rqp,rtq->rtp", near, kept["query_patch"], kept["step_query"])
        attended = rng.dirichlet(np.ones(self.n_image_tokens), len(prompt.words))
        word_share = np.einsum("wq,rwq->rw", attended, kept["word_query"]) * words
        return np.einsum("rp,rtp,pt->rt", grey, patch_share, by_patch) + np.einsum(
            "rw,rtw,wt->rt", word_share, kept["step_word"], by_word
        )

    def _distances(self) -> np.ndarray:
        """Squared distance from each query token's made-up place to each patch, in squared patch widths, ``[query, patch]``."""
        y, x = np.divmod(np.arange(self.grid[0] * self.grid[1]), self.grid[1])
        at = np.arange(self.n_image_tokens)[:, None]
        return (y - (at // 8 * 4 + 2)) ** 2 + (x - (at % 8 * 2 + 1)) ** 2

    def _attention(
        self,
        site: str,
        grey: np.ndarray,
        patches: np.ndarray,
        words: np.ndarray,
        cuts: Mapping[str, np.ndarray],
        prompt: Prompt,
    ) -> Tensor:
        """Made-up attention of one row at a site, ``[layer, query, key]``.

        ``grey`` and ``patches`` are ``[patch]``, ``words`` is ``[word]`` and each cut ``[from, to]``, as in `_value`.
        """
        rows, cols = self.grid
        n_text = self.n_image_tokens + len(prompt.token_ids)
        shape = {
            "vit": (rows * cols + 1, rows * cols + 1),
            "qformer_self": (self.n_image_tokens, self.n_image_tokens),
            "qformer_cross": (self.n_image_tokens, rows * cols + 1),
            "encoder": (n_text, n_text),
            "decoder": (len(STEPS), len(STEPS)),
            "cross": (len(STEPS), n_text),
        }[site]
        no_cut = np.False_
        logits = _rng(prompt.question, site).normal(0, 1, (LAYERS, *shape))
        if site == "qformer_cross":
            absent = (patches == 0) | cuts.get("query_patch", no_cut)
            logits[..., 1:] += np.abs(grey) - self._distances() / 8 - 1e9 * absent
        elif site == "decoder":
            logits += np.triu(np.full(shape, -1e9), 1)
        elif site == "encoder":
            logits[..., self.n_image_tokens :] -= 1e9 * (words == 0)
            logits[:, self.n_image_tokens :, : self.n_image_tokens] -= 1e9 * cuts.get("word_query", no_cut)
        elif site == "cross":
            logits[..., : self.n_image_tokens] -= 1e9 * cuts.get("step_query", no_cut)
            logits[..., self.n_image_tokens :] -= 1e9 * ((words == 0) | cuts.get("step_word", no_cut))
        return torch.from_numpy(logits).softmax(-1).float()


def _two_heads(attention: Tensor) -> list[Tensor]:
    """Split attention ``[..., query, key]`` into two heads that prefer opposite keys; their mean is the given attention."""
    preference = torch.cos(torch.arange(attention.shape[-1], dtype=attention.dtype))
    tilt = (preference - (attention * preference).sum(-1, keepdim=True)) / 2
    return [attention * (1 + tilt), attention * (1 - tilt)]


def _grey(image: np.ndarray) -> np.ndarray:
    """Grey level of each patch less the image's mean, in standard deviations, ``[patch]``; image ``[height, width, 3]``."""
    grey = cv2.resize(
        cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64), (16, 16), interpolation=cv2.INTER_AREA
    ).ravel()
    return (grey - grey.mean()) / (grey.std() + 1e-6)


def _rng(question: str, purpose: str) -> np.random.Generator:
    """A random generator that is seeded by the question and the purpose."""
    return np.random.default_rng(list(hashlib.sha256(f"{purpose}\0{question}".encode()).digest()))
