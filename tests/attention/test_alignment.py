"""The three estimators against hand-computed cases and loops that follow the papers line by line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stcg_nb.attention.alignment import ESTIMATORS, align, needed_sites
from stcg_nb.errors import InputError
from stcg_nb.models.layout import Layout
from stcg_nb.models.protocol import SITES

QUERIES, PATCHES, TEXT, STEPS = 3, 4, 5, 2
WORDS = ((1,), (2, 3))
EVERY_SECOND = Layout(np.full((PATCHES, 4), np.nan), QUERIES, TEXT, WORDS, cross_layers=(0, 2))
EVERY_THIRD = replace(EVERY_SECOND, cross_layers=(0, 3))  # of five layers: not a whole number of times
LAYERS_OF = pytest.mark.parametrize(
    ("layout", "layers"), [(EVERY_SECOND, 4), (EVERY_THIRD, 5)], ids=["every second", "every third"]
)


def random_maps(seed: int, lead: tuple[int, ...] = (), layers: int = 4) -> dict[str, torch.Tensor]:
    """Attention of a made-up model: of the Q-Former's `layers` two read the patches."""
    rng = np.random.default_rng(seed)
    shapes = {
        "vit": (2, PATCHES + 1, PATCHES + 1),
        "qformer_self": (layers, QUERIES, QUERIES),
        "qformer_cross": (2, QUERIES, PATCHES + 1),
        "encoder": (3, QUERIES + TEXT, QUERIES + TEXT),
        "decoder": (2, STEPS, STEPS),
        "cross": (2, STEPS, QUERIES + TEXT),
    }
    return {
        s: torch.from_numpy(rng.dirichlet(np.full(shape[-1], 0.5), (*lead, *shape[:-1]))) for s, shape in shapes.items()
    }


def words(token_rows: np.ndarray, how: str) -> np.ndarray:
    return np.stack([getattr(np, how)(token_rows[list(t)], axis=0) for t in WORDS])


def test_attention_by_hand():
    """One query token sees the left patch, the other the right one."""
    maps = {
        "qformer_self": torch.eye(2)[None],
        "qformer_cross": torch.tensor([[[0.2, 0.8, 0.0], [0.0, 0.0, 1.0]]]),
        "encoder": torch.tensor([[[1.0, 0, 0], [0, 1, 0], [0.5, 0.25, 0.25]]]),
        "decoder": torch.ones(1, 1, 1),
        "cross": torch.tensor([[[0.1, 0.3, 0.6]]]),
    }
    got = align("attention", maps, Layout(np.full((2, 4), np.nan), 2, 1, ((0,),)))
    np.testing.assert_allclose(got.word_patch, [[0.5 * 0.8, 0.25]], atol=1e-7)
    np.testing.assert_allclose(got.step_patch, [[0.1 * 0.8 + 0.6 * 0.4, 0.3 + 0.6 * 0.25]], atol=1e-7)
    np.testing.assert_allclose(got.step_word, [[0.6]], atol=1e-7)


@LAYERS_OF
def test_rollout_is_one_product_over_the_joint_space(layout, layers):
    """All modules as one big residual network over [patches, queries, text, steps]: rollout is the product of its layers."""
    maps = {s: m.numpy() for s, m in random_maps(0, layers=layers).items()}
    reads = dict(zip(layout.cross_layers, maps["qformer_cross"], strict=True))
    vit = slice(0, PATCHES + 1)
    queries = slice(vit.stop, vit.stop + QUERIES)
    text = slice(queries.stop, queries.stop + TEXT)
    encoder = slice(queries.start, text.stop)
    steps = slice(text.stop, text.stop + STEPS)
    total = np.eye(steps.stop)

    def apply(rows: slice, columns: slice, weights: np.ndarray) -> None:
        nonlocal total
        layer = np.eye(len(total))
        layer[rows] = 0
        layer[rows, rows] += np.eye(rows.stop - rows.start) / 2
        layer[rows, columns] += weights / 2
        total = layer @ total

    for a in maps["vit"]:
        apply(vit, vit, a)
    for i, a in enumerate(maps["qformer_self"]):
        apply(queries, queries, a)
        if i in reads:
            apply(queries, vit, reads[i])
    for a in maps["encoder"]:
        apply(encoder, encoder, a)
    for a, c in zip(maps["decoder"], maps["cross"], strict=True):
        apply(steps, steps, a)
        apply(steps, encoder, c)
    got = align("rollout", random_maps(0, layers=layers), layout)
    patches = slice(1, vit.stop)
    np.testing.assert_allclose(got.word_patch, words(total[text, patches], "mean"))
    np.testing.assert_allclose(got.step_patch, total[steps, patches])
    # A step's link with a text token counts only what flows through the language model, as the product does.
    np.testing.assert_allclose(got.step_word, words(total[steps, text].T, "sum").T)


@LAYERS_OF
def test_gradient_follows_the_rules_of_chefer_et_al_in_loops(layout, layers):
    maps = random_maps(1, lead=(STEPS,), layers=layers)
    got = align("gradient", maps, layout)

    def normalise(r: np.ndarray) -> np.ndarray:
        rest = r - np.eye(len(r))
        for i, total in enumerate(rest.sum(1)):
            if total > 0:
                rest[i] /= total
        return rest + np.eye(len(r))

    by_step = []
    for t in range(STEPS):
        m = {s: x[t].numpy() for s, x in maps.items()}
        r_ii = np.eye(PATCHES + 1)
        for a in m["vit"]:
            r_ii = r_ii + a @ r_ii
        r_qq, r_qi = np.eye(QUERIES), np.zeros((QUERIES, PATCHES + 1))
        for i, a in enumerate(m["qformer_self"]):
            r_qq, r_qi = r_qq + a @ r_qq, r_qi + a @ r_qi
            if i in layout.cross_layers:
                reads = m["qformer_cross"][layout.cross_layers.index(i)]
                r_qi = r_qi + normalise(r_qq).T @ reads @ normalise(r_ii)
        r_ee = np.eye(QUERIES + TEXT)
        for a in m["encoder"]:
            r_ee = r_ee + a @ r_ee
        r_tt, r_te = np.eye(STEPS), np.zeros((STEPS, QUERIES + TEXT))
        for a, c in zip(m["decoder"], m["cross"], strict=True):
            r_tt, r_te = r_tt + a @ r_tt, r_te + a @ r_te
            r_te = r_te + normalise(r_tt).T @ c @ normalise(r_ee)
        by_step.append(words((r_ee[QUERIES:, :QUERIES] @ r_qi)[:, 1:], "mean"))
        np.testing.assert_allclose(got.step_patch[t], (r_te[t, :QUERIES] @ r_qi)[1:])
        np.testing.assert_allclose(got.step_word[t], words(r_te[t, QUERIES:], "sum"))
    np.testing.assert_allclose(got.word_patch, np.mean(by_step, axis=0))


def test_gradients_of_zero_give_links_of_zero():
    zero = {s: torch.zeros_like(m) for s, m in random_maps(0, lead=(STEPS,)).items()}
    got = align("gradient", zero, EVERY_SECOND)
    assert got.word_patch.max() == got.step_patch.max() == got.step_word.max() == 0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), estimator=st.sampled_from(["attention", "rollout"]))
def test_links_are_shares_and_rows_stay_apart(seed, estimator):
    """From one forward pass links are shares of a whole, and a batch is its rows."""
    maps = random_maps(seed, lead=(3,))
    got = align(estimator, maps, EVERY_SECOND)
    alone = align(estimator, {s: m[1] for s, m in maps.items()}, EVERY_SECOND)
    np.testing.assert_allclose(got.word_patch[1], alone.word_patch)
    np.testing.assert_allclose(got.step_word[1], alone.step_word)
    assert min(got.word_patch.min(), got.step_patch.min(), got.step_word.min()) >= 0
    assert (got.step_patch.sum(-1) <= 1 + 1e-9).all()
    assert (got.word_patch.sum(-1) <= 1 + 1e-9).all()


def test_sites_and_names():
    assert set(needed_sites("gradient")) == set(needed_sites("rollout")) == set(SITES)
    assert "vit" not in needed_sites("attention")
    with pytest.raises(InputError, match=f"valid are {', '.join(ESTIMATORS)}"):
        align("gradcam", random_maps(0), EVERY_SECOND)
    assert set(ESTIMATORS) >= {"attention", "rollout", "gradient"}


TEXT_ONLY = Layout(np.full((PATCHES, 4), np.nan), PATCHES, TEXT, WORDS, cross_layers=(1, 3))


def causal_maps(seed: int, lead: tuple[int, ...] = ()) -> dict[str, torch.Tensor]:
    """Attention of a decoder-only language model of five layers, of which two attend to patches outside its sequence."""
    rng = np.random.default_rng(seed)
    length = TEXT + STEPS - 1
    shapes = {"language": (3, length, length), "cross": (2, length, PATCHES)}
    return {s: torch.from_numpy(rng.dirichlet(np.ones(shape[-1]), (*lead, *shape[:-1]))) for s, shape in shapes.items()}


def test_rows_of_text_are_enough_for_links_by_attention():
    """The rows of image tokens, which may be a thousand, do not matter."""
    layout = Layout(np.full((QUERIES, 4), np.nan), QUERIES, TEXT, WORDS)
    length = QUERIES + TEXT + STEPS - 1
    maps = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(length), (4, length)))
    whole, rows = (
        align("attention", {"language": maps}, layout),
        align("attention", {"reading": maps[:, QUERIES:]}, layout),
    )
    mean = maps.mean(0).numpy()
    np.testing.assert_allclose(rows.step_word, words(mean[QUERIES + TEXT - 1 :, QUERIES : QUERIES + TEXT].T, "sum").T)
    for name in ("word_patch", "step_patch", "step_word"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(rows, name))


def test_a_language_model_that_attends_to_patches_in_layers_of_its_own():
    """Rollout as one product over [patches, positions], layer by layer; attention as rows of both kinds of layers."""
    maps = causal_maps(0)
    length = TEXT + STEPS - 1
    total = np.eye(PATCHES + length)
    own, cross = (iter(maps[s].numpy()) for s in ("language", "cross"))
    for layer in range(5):
        step = np.eye(len(total))
        step[PATCHES:, PATCHES:] /= 2
        if layer in TEXT_ONLY.cross_layers:
            step[PATCHES:, :PATCHES] += next(cross) / 2
        else:
            step[PATCHES:, PATCHES:] += next(own) / 2
        total = step @ total
    got = align("rollout", maps, TEXT_ONLY)
    read, mixed = total[PATCHES:, :PATCHES], total[PATCHES:, PATCHES:]
    np.testing.assert_allclose(got.word_patch, words(read[:TEXT], "mean"))
    np.testing.assert_allclose(got.step_patch, read[TEXT - 1 :])
    np.testing.assert_allclose(got.step_word, words(mixed[TEXT - 1 :, :TEXT].T, "sum").T)
    mean = {s: m.mean(0).numpy() for s, m in maps.items()}
    found = align("attention", maps, TEXT_ONLY)
    np.testing.assert_allclose(found.word_patch, words(mean["cross"][:TEXT], "mean"))
    steps = mean["cross"][TEXT - 1 :] + mean["language"][TEXT - 1 :, :TEXT] @ mean["cross"][:TEXT]
    np.testing.assert_allclose(found.step_patch, steps)


def test_relevance_of_patches_in_layers_of_its_own_follows_the_rules_in_loops():
    maps = causal_maps(1, lead=(STEPS,))
    got = align("gradient", maps, TEXT_ONLY)
    for step in range(STEPS):
        own, read = np.eye(TEXT + STEPS - 1), np.zeros((TEXT + STEPS - 1, PATCHES))
        layers, cross = iter(maps["language"][step].numpy()), iter(maps["cross"][step].numpy())
        for layer in range(5):
            if layer in TEXT_ONLY.cross_layers:
                rest = own - np.eye(len(own))
                sums = np.where(rest.sum(1) > 0, rest.sum(1), 1)
                read = read + (rest / sums[:, None] + np.eye(len(own))).T @ next(cross)
            else:
                a = next(layers)
                own, read = own + a @ own, read + a @ read
        np.testing.assert_allclose(got.step_patch[step], read[TEXT - 1 + step])
        np.testing.assert_allclose(got.step_word[step], words(own[TEXT - 1 :, :TEXT].T, "sum").T[step])
