# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,-all
#     formats: notebooks///ipynb,notebooks/scripts///py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What does an answer rest on?
#
# A vision-language model sees a picture, reads a question and writes an answer, token by token. A **Structured Temporal
# Counterfactual Graph** (STCG) says what that answer rests on. Its nodes are the question's words, the picture's regions and the
# answer's tokens. Its edges are of three kinds:
#
# - **alignment** (structured): how strongly the model's attention links a word or a token with a region;
# - **temporal**: how these links move from one token to the next;
# - **counterfactual**: what a token loses when a word or a region is taken away, and what a changed picture does to the answer.
#
# Attention shows where a model looks. Only taking something away shows whether it mattered. An STCG holds both, so that they can
# be compared.
#
# This notebook builds one. With the embedded model nothing is downloaded and it takes about a minute on a laptop. `tiny` is a real
# BLIP-2, but a small one, trained on drawn scenes: a test bed, where it is known what each answer should rest on.

# %% [markdown]
# ## What to explain
#
# Change these values, or run the notebook with others: `stcg run notebooks/01_stcg.ipynb -p question "What color is the car?"`.
# Where a value is `None`, the environment's flags decide, and else the embedded model and the demo picture are taken.

# %% tags=["parameters"]
from typing import Optional, Union

model: Optional[str] = None  # "tiny", "mock", a hub id or a folder; None: STCG_MODEL, USE_MOCK_MODEL, STCG_FORCE_REAL
image: Optional[str] = None  # full path of a picture; None: STCG_IMAGE_PATH, else the demo picture
question: Optional[str] = None  # in words; None: the question about the demo picture
estimator: str = "attention"  # how alignment is read off the model: "attention", "gradient" or "rollout"
regions: str = "slic"  # "slic:30" for about 30 superpixels, "grid:8x8" for rows x columns
perturbations: Optional[list] = None  # their names; None: all six
strength: float = 0.5  # of the perturbations, from 0 (nothing) to 1
masks: Union[int, str] = 256  # of the causal graph; 0: take one thing away at a time only; "auto": until trust is .90
removal: str = "median"  # what an absent region is: "median", "mean", "blur", "inpaint" or "cut"
fills: Optional[list] = None  # further fills to try effects and links under, such as ["blur", "inpaint"]; None: no more
card: bool = True  # measure how faithful the graph is; takes about seven times as many masks again
seed: Optional[int] = None  # of what is drawn at random; None: STCG_SEED, else 0
run_dir: Optional[str] = None  # a folder for the results; None: nothing is saved

# %%
import sys
from pathlib import Path

import numpy as np
import plotly.io as pio
from PIL import Image

from stcg_nb import Case, demo, explain, load_model
from stcg_nb.faithfulness import measure_game
from stcg_nb.graph import trust_said
from stcg_nb.inputs import PERTURBATIONS, read_image
from stcg_nb.inputs.perturbations import DEFAULT
from stcg_nb.interventions import Game
from stcg_nb.settings import Settings
from stcg_nb.viz import (
    CONFIG,
    card_figure,
    graph_figure,
    perturbation_panel,
    step_heatmaps,
    timeline,
    trust_curve,
    word_heatmaps,
    write_html,
)

pio.renderers.default = "colab" if "google.colab" in sys.modules else "plotly_mimetype"
settings = Settings()  # what the environment asks for
seed = settings.seed if seed is None else seed
demo_image, demo_question = demo()

# %% [markdown]
# ## The model
#
# One function loads the embedded model, a checkpoint from the hub (`"Salesforce/blip2-flan-t5-xl"`) or a local folder. `"mock"` is
# no model at all: it makes numbers up, to try the pipeline without waiting, and every figure says so.

# %% tags=["nbval-ignore-output"]
vlm = load_model(model)

# %%
print(f"{vlm.name} sees {vlm.sees}.")
if vlm.synthetic:
    print("SYNTHETIC: the numbers below come from the mock, not from a model.")

# %% [markdown]
# ## Ask

# %%
picture = read_image(image or settings.image_path or demo_image)
Image.fromarray(picture)

# %% tags=["nbval-ignore-output"]
case = Case.read(picture, question or demo_question, vlm, regions=regions)

# %%
print("Question:", case.prompt.question)
print("Answer:  ", case.answer.text)
print("Tokens:  ", " | ".join(case.answer.tokens))

# %% [markdown]
# ## Explain
#
# `explain` teacher-forces this answer through many changed inputs: each word cut, each region filled with its surroundings, the
# whole picture blanked, and the picture perturbed in each named way. How probable the same tokens still are is what it measures. For
# the causal graph many words and regions are taken away at once: at random to learn what they do together, and in twos and threes to
# try what the graph is about to claim.

# %% tags=["nbval-ignore-output"]
stcg = explain(
    picture,
    case.prompt.question,
    vlm,
    estimator=estimator,
    regions=regions,
    perturbations=DEFAULT if perturbations is None else perturbations,
    strength=strength,
    masks=masks,
    removal=removal,
    fills=fills or (),
    seed=seed,
)

# %%
print(f"{len(stcg.words)} words, {len(stcg.regions)} regions, {len(stcg.steps)} tokens")

# %% [markdown]
# How far can the graph be trusted? Trust estimates, from the masks that were run and without running more, how well what was learnt
# predicts the model on inputs that it has not seen. The curve shows how much of that a few links of two or three hold.

# %% tags=["nbval-ignore-output"]
print(trust_said(stcg) or "Nothing is said of trust: no causal graph was asked for (masks=0).")
trust_curve(stcg).show(config=CONFIG)

# %% [markdown]
# ## The graph
#
# Read it from top to bottom: the question's words, the picture with its regions, the answer's tokens from left to right in time, each
# with its probability. A link is as wide as what the token loses without that word or region, in nats of log-odds. Blue supports
# the token; vermilion opposes it: without it the token would be *more* probable. Solid links show in attention too, those with short
# dashes are hidden from it, and of those with long dashes it is unclear. Only the strongest are drawn, and none whose effect is too
# small to matter (0.5 nats).

# %% tags=["nbval-ignore-output"]
graph_figure(stcg).show(config=CONFIG)

# %% [markdown]
# Words and regions work together: "car" is worth little without the car. A link of two is how far their losses do not add up:
# positive (blue) where each needs the other, negative (vermilion) where each can stand in for the other. Every link that the graph
# holds was tried, so its weight is exact.

# %% tags=["nbval-ignore-output"]
if any(edge.kind == "interaction" for edge in stcg.edges()):
    graph_figure(stcg, links="interaction").show(config=CONFIG)
else:
    print("No links of two: either none was looked for (masks=0), or none was found.")

# %% [markdown]
# ## The words
#
# The numbers are counterfactual: the log-odds (nats) that each token loses when the word is cut from the model's attention. Content
# words should weigh more than "the" and "of".

# %%
effects = stcg.data["word_effect"].values.round(1) + 0.0  # [step, word]; adding 0 turns -0 into 0
print(f"{'lost without':<14}" + "".join(f"{token:>10}" for token in stcg.steps))
for word, column in zip(stcg.words, effects.T, strict=True):
    print(f"{word:<14}" + "".join(f"{loss:>10.1f}" for loss in column))

# %% [markdown]
# The maps show which regions each word works with, by what the model loses without both. Where attention links the words shows
# `word_heatmaps(stcg, by="alignment")`: a strong link there with no effect in the table above is one that the answer does not rest on.

# %% tags=["nbval-ignore-output"]
word_heatmaps(stcg).show(config=CONFIG)

# %% [markdown]
# ## The answer in time
#
# Each token is predicted from the picture, the question and the tokens before it. A token that the tokens before it settle
# already loses little when the picture is blanked; one that only the picture can decide loses much.

# %%
print(f"{'token':<10}{'probability':>12}{'lost without picture':>22}{'strongest region':>18}")
for t, token in enumerate(stcg.steps):
    at_step = stcg.data.isel(step=t)
    strongest = stcg.regions[int(at_step["region_effect"].values.argmax())]
    print(f"{token:<10}{float(at_step['p']):>12.2f}{float(at_step['visual_reliance']):>22.1f}{strongest:>18}")

# %% tags=["nbval-ignore-output"]
timeline(stcg).show(config=CONFIG)

# %% [markdown]
# Below, for each token: the regions that surely support it ("linked"), and all that it gains or loses without them ("loses").

# %% tags=["nbval-ignore-output"]
step_heatmaps(stcg).show(config=CONFIG)

# %% [markdown]
# ## The perturbations
#
# ΔW is how far the word–region links of attention move when the picture is perturbed, Δp how the probability of the answer changes.
# The two need not agree: links can move while the answer stays. Perturbations of the same strength differ in how much of the picture
# they change, so their distance in pixels (0 to 1) stands beside.

# %%
for name in stcg.data["perturbation"].values:
    print(f"{name}: {PERTURBATIONS[name].description}")
print(f"\n{'':<20}{'distance':>9}{'ΔW':>9}{'Δp':>7}  answer")
for k, name in enumerate(stcg.data["perturbation"].values):
    row = stcg.data.isel(perturbation=k)
    said = str(row["perturbed_answer"].values) if bool(row["flipped"]) else "unchanged"
    change = round(float(row["delta_p"]), 2) + 0.0
    print(f"{name:<20}{float(row['pixel_distance']):>9.2f}{float(row['delta_w']):>9.4f}{change:>7.2f}  {said}")

# %% tags=["nbval-ignore-output"]
perturbation_panel(stcg).show(config=CONFIG)

# %% [markdown]
# ## The graph as data
#
# All arrays carry names (`stcg.data` is an xarray `Dataset`), and the whole is a typed `networkx` graph.

# %%
graph = stcg.to_networkx()
kinds = sorted({kind for _, _, kind in graph.edges(data="kind")})
print(f"{graph.number_of_nodes()} nodes; kinds of edges: {', '.join(kinds)}")
causal = [edge for edge in stcg.edges() if edge.kind == "counterfactual"]
for edge in sorted(causal, key=lambda edge: -abs(np.round(edge.weight, 1)))[:5]:
    print(f"{graph.nodes[edge.source]['label']:>6} -> {graph.nodes[edge.target]['label']:<8} {edge.weight:+.1f} nats")

# %% [markdown]
# ## How faithful is it?
#
# A graph is worth what it predicts. The card asks the model about masks that the graph was not fitted on and compares (LDS: rank
# correlation, 1 is best), beside baselines; fits the graph again with other masks and on disturbed pictures; and holds it against a
# model with shuffled weights, where it must fail. `stcg card` does the same for many questions, with intervals.

# %% tags=["nbval-ignore-output"]
if card and masks and not vlm.synthetic:
    measured = measure_game(Game(case, removal), vlm.randomised(0), stcg.data.attrs["masks"], graph_seed=seed)
    card_figure({**measured, "model": vlm.name}).show(config=CONFIG)

# %% [markdown]
# ## Save

# %%
if run_dir is None:
    print("Nothing is saved, since run_dir is None.")
else:
    folder = Path(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    stcg.to_json(folder / "stcg.json")  # all numbers
    stcg.to_graphml(folder / "graph.graphml")  # for Gephi, yEd, networkx
    write_html(stcg, folder / "stcg.html")  # one page that needs no kernel and no network
    stcg.save(folder / "stcg.npz")  # everything, for STCG.load
    print("Saved: stcg.json, graph.graphml, stcg.html, stcg.npz")

# %% [markdown]
# ## Where to go next
#
# - Ask something else: `question = "Describe the picture from left to right."` gives an answer of many tokens, where time matters.
# - Try your own picture: set `image`. `tiny` knows nothing but drawn scenes, so use a real checkpoint for photographs.
# - Compare estimators of alignment: run again with `estimator="rollout"` or `"gradient"`; what the answer loses stays the same.
# - Add a perturbation of your own with the decorator `stcg_nb.inputs.perturbations.register`, and name it in `perturbations`.
# - Without a notebook: `stcg explain PICTURE "QUESTION" --out FOLDER`.
