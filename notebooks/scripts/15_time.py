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
# # Time: do the links follow the answer, token by token?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/)
#
# **The claim.** While a model writes an answer of several tokens, what it is linked to in the picture changes in the order of
# the tokens: neighbouring tokens look at nearly the same place, distant ones elsewhere. If the order meant nothing, the maps
# would be as close in any other order.

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
# [its results](../docs/findings/README.md) are in the repository. Other values: `stcg run notebooks/15_time.ipynb -p n 440 -p
# seed 1`.

# %% tags=["parameters"]
from typing import Optional

model: Optional[str] = None  # "tiny", "mock", a hub id or a folder; None: STCG_MODEL and the other flags, else tiny
n: int = 24  # questions, one a scene; from 2 on. The study's size is 220
seed: int = 0  # of the scenes: another seed asks other questions
records: Optional[str] = None  # a folder to keep each measurement in, so that a stopped run goes on; None: no
run_dir: Optional[str] = None  # a folder for figures and numbers; None: nothing is saved

# %%
import numpy as np
import plotly.io as pio

from stcg_nb.graph.temporal import step_orders
from stcg_nb.scenes.questions import MULTI_TOKEN_KINDS
from stcg_nb.stats import against_orders
from stcg_nb.study import Study, conclude, figures, measurements, save_finding
from stcg_nb.viz import CONFIG, save_figure

pio.renderers.default = "colab" if "google.colab" in sys.modules else "plotly_mimetype"

# %% tags=["nbval-ignore-output"]
study = Study(model, n, seed, MULTI_TOKEN_KINDS, records=records)

# %%
print(f"{study.vlm.name}, {study.n} questions, seed {study.seed}")
if study.vlm.synthetic:
    print("SYNTHETIC: the numbers below come from the mock, not from a model.")

# %% [markdown]
# ## The method
#
# Only questions whose answers take several tokens ("a red car", "a red car then a blue star"). A[t, patch] is how strongly step
# t is linked to each patch by attention; maps are compared by their Jensen-Shannon distance (0 the same, 1 nothing in common).
# Answers of fewer than three tokens have nothing to order and are left out.
#
# **Declared before measuring.** How much closer neighbouring steps are than two steps of that answer are on average, in per
# cent of that average. Against it: the same number with each answer's steps in a random order (all orders, or 2,000). The claim
# needs the mean over answers to lie above 0; under 5 % would not matter.

# %% tags=["nbval-ignore-output"]
rows = study.measure("evolution", measurements.evolution)

# %%
closer, orders = [], []
for distance in rows["distance"]:
    d = np.array(distance)
    average = d.sum() / (len(d) * (len(d) - 1))
    order = step_orders(len(d), seed)
    each = 100 * (1 - d[order[:, :-1], order[:, 1:]].mean(1) / average)
    closer.append(each[0])
    orders.append(each)
closer = np.array(closer)
rng = np.random.default_rng(seed)
null = np.mean([rng.choice(each, 9_999) for each in orders], axis=0)

# %% [markdown]
# ## The figures

# %%
figure = figures.stamped(figures.evolution(rows, closer, null), study.vlm.synthetic)
figure.show(config=CONFIG)

# %% [markdown]
# Below: what each token loses when the picture is blanked. A token that the tokens before it settle does not need the picture.

# %%
figure_reliance = figures.stamped(figures.reliance(rows), study.vlm.synthetic)
figure_reliance.show(config=CONFIG)

# %% [markdown]
# ## The numbers

# %%
comparisons = [
    against_orders("neighbours closer than average", closer, rows["scene"].to_numpy(), orders, least=5, unit="%")
]
finding = conclude("time", comparisons, study.settings)
print(finding.text())

# %%
tokens = rows["tokens"].map(len)
print(f"Answers of {tokens.min()} to {tokens.max()} tokens; {study.n - len(rows)} of {study.n} are too short.")

# %% [markdown]
# ## What it means

# %%
readings = {
    "supported": (
        "The links move on with the answer: their order is that of the tokens. Figures over time show more "
        "than wandering."
    ),
    "not supported": (
        "The order of the tokens shows nothing in the links that another order would not: a figure over time "
        "would mislead."
    ),
    "undecided": (
        "The interval does not decide at this size: ask more questions (parameter n) before believing either."
    ),
}
print(readings[finding.verdict])

# %%
if run_dir is None:
    print("Nothing is saved, since run_dir is None.")
else:
    save_figure(figure, run_dir, "time")
    save_figure(figure_reliance, run_dir, "time_reliance")
    rows.to_csv(f"{run_dir}/time.csv", index=False)
    save_finding(finding, run_dir)
    print("Saved: figures as PNG, SVG and HTML, numbers as CSV, the finding as JSON.")
