"""Ways of learning which words and regions an answer rests on, all put on one footing.

An estimator is given a game, a number of forward passes and a seed, and returns a function that predicts the values of masks, ``[mask,
player]`` to ``[mask, step]``. All play the same game (`stcg_nb.interventions.masking`): the same players, the same log-odds, the
same model. What
an estimator predicts is what its own numbers mean: the sum of its weights over present players and, where it has interactions,
over sets of players that are present together, which is how Shapley values, k-SII, Faith-Shap and Faith-Banzhaf indices and
Möbius coefficients approximate a game. Only ranks are compared, so that constants do not matter.

An estimator for one output is run once for each step of the answer with the same seed, hence the same masks; these count once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property

import numpy as np
import shapiq
import torch
from captum.attr import FeatureAblation, KernelShap, ShapleyValueSampling
from lightgbm import LGBMRegressor
from shapiq import approximator as shapley
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LassoCV
from torch import Tensor

from stcg_nb.attention.alignment import aligned
from stcg_nb.errors import InputError
from stcg_nb.faithfulness.measures import held_out_masks
from stcg_nb.interventions.causal_graph import Causes, find_causes
from stcg_nb.interventions.masking import Game

Predict = Callable[[np.ndarray], np.ndarray]
Value = Callable[[np.ndarray], np.ndarray]
Estimator = Callable[["CountedGame", int, int], Predict]

BATCH = 32  # forwards that Captum makes together


class TooFew(Exception):
    """Raised by an estimator that cannot work with so few forward passes."""


class CountedGame(Game):
    """A game that counts the masks it is asked for, and keeps what it knows so that estimators may share the waiting."""

    @cached_property
    def known(self) -> dict[bytes, np.ndarray]:
        return {}

    @cached_property
    def causes(self) -> dict[tuple[int, int], tuple[Causes, int]]:
        """Causal graphs by number of masks and seed, with the masks asked for."""
        return {}

    @cached_property
    def asked(self) -> list[int]:
        """One number: how many masks it was asked for."""
        return [0]

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        masks = np.atleast_2d(np.asarray(masks, dtype=bool))
        self.asked[0] += len(masks)
        keys = [row.tobytes() for row in masks]
        new = {key: row for key, row in zip(keys, masks, strict=True) if key not in self.known}
        if new:
            self.known.update(zip(new, super().__call__(np.array(list(new.values()))), strict=True))
        return np.array([self.known[key] for key in keys])


def each_step(game: CountedGame, fit: Callable[[Value, int], Predict]) -> Predict:
    """Fit an estimator for one output to every step of the answer. Its masks are the same each time and count once."""
    before, most, fitted = game.asked[0], 0, []
    for step in range(len(game.case.answer.token_ids)):
        game.asked[0] = before
        fitted.append(fit(lambda masks, step=step: game(masks)[:, step], step))
        most = max(most, game.asked[0])
    game.asked[0] = most
    return lambda masks: np.stack([predict(masks) for predict in fitted], axis=1)


# This project's


def ours(game: CountedGame, budget: int, seed: int) -> Predict:
    """The surrogate that a causal graph is read from."""
    return _causes(game, budget, seed).surrogate.score


def our_graph(game: CountedGame, budget: int, seed: int) -> Predict:
    """The sparse causal graph alone."""
    return _causes(game, budget, seed).predict


def _causes(game: CountedGame, budget: int, seed: int) -> Causes:
    """Fitted once for both of the above."""
    if (budget, seed) not in game.causes:
        before = game.asked[0]
        try:
            causes = find_causes(game, budget, seed)
        except InputError as error:
            raise TooFew from error
        game.causes[budget, seed] = causes, game.asked[0] - before
        game.asked[0] = before
    causes, forwards = game.causes[budget, seed]
    game.asked[0] += forwards
    return causes


# Baselines


def raw_attention(game: CountedGame, budget: int, seed: int) -> Predict:
    """Attention from each answer step to words and regions, in one forward pass."""
    game.asked[0] += 1
    weights = aligned(game.case).by_region(game.case).step_player
    return lambda masks: masks @ weights.T


def leave_one_out(game: CountedGame, budget: int, seed: int) -> Predict:
    """What is lost without each player."""
    everything = np.ones((1, game.n_players), dtype=bool)
    full, one = np.split(game(np.concatenate([everything, ~np.eye(game.n_players, dtype=bool)])), [1])
    return lambda masks: masks @ (full - one)


def lasso(game: CountedGame, budget: int, seed: int) -> Predict:
    """ContextCite (arXiv 2409.00729): LASSO on main effects. The penalty is chosen by cross-validation."""
    return _lasso(game, budget, seed, lambda z: z)


def lasso_pairs(game: CountedGame, budget: int, seed: int) -> Predict:
    """The same with all products of two players."""
    i, j = np.triu_indices(game.n_players, 1)
    return _lasso(game, budget, seed, lambda z: np.concatenate([z, z[:, i] * z[:, j]], axis=1))


def _lasso(game: CountedGame, budget: int, seed: int, features: Callable[[np.ndarray], np.ndarray]) -> Predict:
    masks = held_out_masks(game.n_players, budget, seed)[0]  # of the same keep rates as those it is judged on

    def fit(value: Value, step: int) -> Predict:
        x = features(masks.astype(float))
        mean, deviation = x.mean(0), np.maximum(x.std(0), 1e-9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LassoCV(cv=5, alphas=30, random_state=seed).fit((x - mean) / deviation, value(masks))
        return lambda z: model.predict((features(z.astype(float)) - mean) / deviation)

    return each_step(game, fit)


def boosted_trees(game: CountedGame, budget: int, seed: int) -> Predict:
    """Gradient-boosted trees on random masks, predicting themselves; `proxyspex` extracts interactions from such trees."""
    masks = held_out_masks(game.n_players, budget, seed)[0]

    def fit(value: Value, step: int) -> Predict:
        trees = LGBMRegressor(
            n_estimators=300, learning_rate=0.05, num_leaves=15, min_child_samples=5, n_jobs=1, random_state=seed, verbose=-1
        )  # fmt: skip
        trees.fit(masks.astype(float), value(masks))
        return lambda z: trees.booster_.predict(z.astype(float))

    return each_step(game, fit)


# Captum. Its two inputs are the presence of regions and of words, one number each.


def feature_ablation(game: CountedGame, budget: int, seed: int) -> Predict:
    return _captum(game, lambda call, step: FeatureAblation(call).attribute, seed)


def kernel_shap(game: CountedGame, budget: int, seed: int) -> Predict:
    def attribute(call: Callable[..., Tensor], step: int) -> Callable[..., tuple[Tensor, ...]]:
        return lambda *args, **options: KernelShap(call).attribute(*args, n_samples=budget - 1, **options)

    return _captum(game, attribute, seed)


def shapley_value_sampling(game: CountedGame, budget: int, seed: int) -> Predict:
    permutations = (budget - 2) // game.n_players
    if permutations < 1:
        raise TooFew

    def attribute(call: Callable[..., Tensor], step: int) -> Callable[..., tuple[Tensor, ...]]:
        return lambda *args, **options: ShapleyValueSampling(call).attribute(*args, n_samples=permutations, **options)

    return _captum(game, attribute, seed)


def _captum(game: CountedGame, method: Callable[..., Callable[..., tuple[Tensor, ...]]], seed: int) -> Predict:
    n_words, n_regions = game.n_words, game.case.regions.n
    inputs = (torch.ones(1, n_regions), torch.ones(1, n_words))
    feature_mask = (torch.arange(n_regions)[None], n_regions + torch.arange(n_words)[None])

    def fit(value: Value, step: int) -> Predict:
        def call(regions: Tensor, words: Tensor) -> Tensor:
            return torch.from_numpy(value(torch.cat([words, regions], 1).numpy() > 0.5))

        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            regions, words = method(call, step)(inputs, feature_mask=feature_mask, perturbations_per_eval=BATCH)
        weights = torch.cat([words, regions], 1)[0].double().numpy()
        return lambda masks: masks @ weights

    return each_step(game, fit)


# shapiq


def _shapiq(make: Callable[[int, int], shapley.Approximator]) -> Estimator:
    """An estimator from what makes an approximator of a number of players and a seed."""

    def estimator(game: CountedGame, budget: int, seed: int) -> Predict:
        def fit(value: Value, step: int) -> Predict:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    found = make(game.n_players, seed).approximate(budget=budget, game=value)
                except (ValueError, IndexError) as error:
                    # ProxySPEX: no tree could split; SPEX says so in words.
                    if isinstance(error, IndexError) or "Insufficient budget" in str(error):
                        raise TooFew from error
                    raise
            if not any(weight for players, weight in found.interactions.items() if players):
                raise TooFew
            return _sum_of_interactions(found)

        return each_step(game, fit)

    return estimator


def _sum_of_interactions(found: shapiq.InteractionValues) -> Predict:
    sets = [(list(players), weight) for players, weight in found.interactions.items() if players and weight]
    return lambda masks: sum(weight * masks[:, players].all(1) for players, weight in sets)


OURS = {"ours": ours, "ours, graph": our_graph}
CAPTUM = {
    "captum FeatureAblation": feature_ablation,
    "captum KernelShap": kernel_shap,
    "captum ShapleyValueSampling": shapley_value_sampling,
}
SHAPIQ = {
    f"shapiq {name}": _shapiq(make)
    for name, make in {
        "KernelSHAP": lambda n, seed: shapley.KernelSHAP(n, random_state=seed),
        "UnbiasedKernelSHAP": lambda n, seed: shapley.UnbiasedKernelSHAP(n, random_state=seed),
        "PermutationSamplingSV": lambda n, seed: shapley.PermutationSamplingSV(n, random_state=seed),
        "OwenSamplingSV": lambda n, seed: shapley.OwenSamplingSV(n, random_state=seed),
        "StratifiedSamplingSV": lambda n, seed: shapley.StratifiedSamplingSV(n, random_state=seed),
        "SVARM": lambda n, seed: shapley.SVARM(n, random_state=seed),
        "KernelSHAPIQ (k-SII)": lambda n, seed: shapley.KernelSHAPIQ(n, 2, "k-SII", random_state=seed),
        "InconsistentKernelSHAPIQ": lambda n, seed: shapley.InconsistentKernelSHAPIQ(n, 2, "k-SII", random_state=seed),
        "RegressionFSII": lambda n, seed: shapley.RegressionFSII(n, 2, random_state=seed),
        "RegressionFBII": lambda n, seed: shapley.RegressionFBII(n, 2, random_state=seed),
        "SHAPIQ (k-SII)": lambda n, seed: shapley.SHAPIQ(n, 2, "k-SII", random_state=seed),
        "SVARMIQ (k-SII)": lambda n, seed: shapley.SVARMIQ(n, 2, "k-SII", random_state=seed),
        "PermutationSamplingSII": lambda n, seed: shapley.PermutationSamplingSII(n, 2, "k-SII", random_state=seed),
        "SPEX": lambda n, seed: shapley.SPEX(n=n, random_state=seed),
        "ProxySPEX": lambda n, seed: shapley.ProxySPEX(n=n, random_state=seed),
    }.items()
}
BASELINES = {
    "raw attention": raw_attention,
    "leave one out": leave_one_out,
    "LASSO, main effects": lasso,
    "LASSO, pairs": lasso_pairs,
    "boosted trees": boosted_trees,
}
ESTIMATORS: dict[str, Estimator] = OURS | BASELINES | CAPTUM | SHAPIQ
