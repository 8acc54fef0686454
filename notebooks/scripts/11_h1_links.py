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
# # H1: which perturbations move the links most?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/)
#
# **The claim.** In the original study, shuffling patches and hiding the periphery moved the links between words and image
# regions most: `patch_shuffle` and `peripheral_mask` gave the largest ΔW.

# %%
import sys

# On Colab, with the repository cloned or uploaded to /content/stcg; its torch and ipywidgets stay.
if "google.colab" in sys.modules:
    from IPython import get_ipython

    get_ipython().run_line_magic(
        "pip", "install -q --no-deps /content/stcg papermill jupytext pydantic-settings python-dotenv entrypoints"
    )

# %% [markdown]
# ## Parameters
#
# The committed run is small, so that it can be checked at every change; `stcg figures --out DIR` runs the study's size, and
# [its results](../docs/findings/README.md) are in the repository. Other values: `stcg run notebooks/11_h1_links.ipynb -p n 440
# -p seed 1`.

# %% tags=["parameters"]
from typing import Optional

model: Optional[str] = None  # "tiny", "mock", a hub id or a folder; None: STCG_MODEL and the other flags, else tiny
n: int = 22  # questions, one a scene; from 2 on. The study's size is 220
seed: int = 0  # of the scenes: another seed asks other questions
perturbations: Optional[list] = None  # their names, the two claimed among them; None: all six
strength: float = 0.5  # of the perturbations, from 0 (nothing, excluded) to 1
records: Optional[str] = None  # a folder to keep each measurement in, so that a stopped run goes on; None: no
run_dir: Optional[str] = None  # a folder for figures and numbers; None: nothing is saved

# %%
import numpy as np
import plotly.io as pio

from stcg_nb.inputs import PERTURBATIONS
from stcg_nb.inputs.perturbations import DEFAULT
from stcg_nb.stats import paired
from stcg_nb.study import Study, check_claimed, check_names, check_number, conclude, figures, measurements, save_finding
from stcg_nb.viz import CONFIG, save_figure

pio.renderers.default = "colab" if "google.colab" in sys.modules else "plotly_mimetype"
names = list(DEFAULT) if perturbations is None else perturbations
check_names("perturbations", names, list(PERTURBATIONS))
check_claimed("perturbations", names, ["patch_shuffle", "peripheral_mask"], at_least=3)
check_number("strength", strength, 0.01, 1, whole=False)

# %% tags=["nbval-ignore-output"]
study = Study(model, n, seed, records=records)

# %%
print(f"{study.vlm.name}, {study.n} questions, seed {study.seed}")
if study.vlm.synthetic:
    print("SYNTHETIC: the numbers below come from the mock, not from a model.")

# %% [markdown]
# ## The method
#
# Each question is asked about a fresh scene. The model answers; then the picture is perturbed, and W, the attention from each
# word through the query tokens to each of the patches, is measured anew. ΔW is the mean of |W_k − W_0| over all links of words
# and patches.
#
# **Declared before measuring.** For each of the two named perturbations and each other one: the share of questions in which the
# named one moves the links more, minus the share in which it moves them less. 0 is no difference, 1 always more. The claim
# needs every one of these to lie above 0; a difference under 0.1 would not matter. Differences are within a question, so an
# easy question counts no more than a hard one. The p-value of the claim is the largest of its comparisons' (all must hold),
# corrected by Holm for the study's seven findings; here, where the others are not known, by its worst case, seven times p.

# %% tags=["nbval-ignore-output"]
rows = study.measure("sensitivity", measurements.sensitivity, perturbations=names, strength=strength)

# %% [markdown]
# ## The figure

# %%
figure = figures.stamped(figures.links_moved(rows), study.vlm.synthetic)
figure.show(config=CONFIG)

# %% [markdown]
# ## The numbers

# %%
wide = rows.pivot(index="scene", columns="perturbation", values="delta_w")
claimed = ["patch_shuffle", "peripheral_mask"]
comparisons = [
    paired(f"{a} against {b}", np.sign(wide[a] - wide[b]), wide.index, least=0.1)
    for a in claimed
    for b in names
    if b not in claimed
]
finding = conclude("H1", comparisons, {**study.settings, "strength": strength})
print(finding.text())

# %% [markdown]
# ## What it means

# %%
readings = {
    "supported": (
        "For this model too, moving things about and hiding the surroundings change most where words attend."
    ),
    "not supported": (
        "In this model other perturbations move the links as much or more: the ranking of the original study "
        "is no general law."
    ),
    "undecided": (
        "The interval does not decide at this size: ask more questions (parameter n) before believing either."
    ),
}
print(readings[finding.verdict])

# %% [markdown]
# ΔW is not how much of the picture changed: perturbations of one strength differ in that, and [H3](13_h3_dissociation.ipynb)
# compares them at one pixel distance. Nor is it how much the answer changed, which is [H2](12_h2_colour.ipynb)'s question.

# %%
if run_dir is None:
    print("Nothing is saved, since run_dir is None.")
else:
    save_figure(figure, run_dir, "h1")
    rows.to_csv(f"{run_dir}/h1.csv", index=False)
    save_finding(finding, run_dir)
    print("Saved: figures as PNG, SVG and HTML, numbers as CSV, the finding as JSON.")
