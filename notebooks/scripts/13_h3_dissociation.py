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
# # H3: can the links move while the answer stays?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/)
#
# **The claim.** The original study's control, `gaussian_noise`, gave a ΔW comparable to that of other perturbations without
# changing the answer: moved links need not mean a changed decision.

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
# [its results](../docs/findings/README.md) are in the repository. Other values: `stcg run notebooks/13_h3_dissociation.ipynb -p
# n 440 -p seed 1`.

# %% tags=["parameters"]
from typing import Optional

model: Optional[str] = None  # "tiny", "mock", a hub id or a folder; None: STCG_MODEL and the other flags, else tiny
n: int = 22  # questions, one a scene; from 2 on. The study's size is 220
seed: int = 0  # of the scenes: another seed asks other questions
perturbations: Optional[list] = None  # their names, gaussian_noise among them; None: all six
distance: float = 0.06  # root mean square distance in pixels that each is brought to, from 0.01 to 0.3
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
check_claimed("perturbations", names, ["gaussian_noise"], at_least=2)
check_number("distance", distance, 0.01, 0.3, whole=False)

# %% tags=["nbval-ignore-output"]
study = Study(model, n, seed, records=records)

# %%
print(f"{study.vlm.name}, {study.n} questions, seed {study.seed}")
if study.vlm.synthetic:
    print("SYNTHETIC: the numbers below come from the mock, not from a model.")

# %% [markdown]
# ## The method
#
# Strengths of two perturbations do not compare. So each one's strength is found, by bisection and for each picture anew, at
# which the picture lies one given root mean square distance from the original. Where a perturbation cannot reach it (a scene
# without much colour cannot be turned far), that pair of picture and perturbation is left out; the figure says how many are
# left.
#
# **Declared before measuring.** (1) *Comparable links*: the base-2 logarithm of noise's ΔW over the mean ΔW of the others on
# that picture lies above −1: at least half as much. (2) *The answer stays*: noise leaves the answer unchanged more often than
# the others do on average, within a picture; under 5 percentage points would not matter. Both must hold.
#
# How the strength is searched (within 10 %, and in 64 steps where bisection fails) was settled on a pilot with the first of these
# questions, since shuffled patches seldom came near; the comparisons and their limits were not changed after it.

# %% tags=["nbval-ignore-output"]
rows = study.measure("matched", measurements.matched_sensitivity, perturbations=names, distance=distance)

# %% [markdown]
# ## The figure

# %%
figure = figures.stamped(figures.dissociation(rows), study.vlm.synthetic)
figure.show(config=CONFIG)

# %% [markdown]
# ## The numbers

# %%
moved = rows.pivot(index="scene", columns="perturbation", values="delta_w").reindex(columns=names)
stayed = 1 - rows.assign(flip=rows["flipped"].astype(float)).pivot(
    index="scene", columns="perturbation", values="flip"
).reindex(columns=names)
others = [name for name in names if name != "gaussian_noise"]
ratio = np.log2(moved["gaussian_noise"] / moved[others].mean(axis=1))
scenes = moved.index.to_numpy()
comparisons = [
    paired("log2 of noise's ΔW over the others'", ratio, scenes, null=-1),
    paired(
        "answers unchanged, noise minus others",
        stayed["gaussian_noise"] - stayed[others].mean(axis=1),
        scenes,
        least=0.05,
    ),
]
finding = conclude("H3", comparisons, {**study.settings, "distance": distance})
print(finding.text())

# %% [markdown]
# Over all pairs of picture and perturbation, how do the two measures go together?

# %%
for name in names:
    mine = rows[rows["perturbation"] == name]
    changed = mine["flipped"].mean()
    print(f"{name:<20} reached by {len(mine):>4}   answers changed {changed:.2f}")
both = rows[["delta_w", "delta_p"]].abs().rank().corr().iloc[0, 1]
print(f"Spearman correlation of ΔW and |Δp|: {both:.2f}")

# %% [markdown]
# ## What it means

# %%
readings = {
    "supported": (
        "Links move under noise as they do under changes that matter, and the answer stays: ΔW alone is no "
        "sign of a changed decision."
    ),
    "not supported": (
        "Noise does not dissociate here as claimed: either it moves the links much less than other changes of"
        " its size, or the answer goes too."
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
    save_figure(figure, run_dir, "h3")
    rows.to_csv(f"{run_dir}/h3.csv", index=False)
    save_finding(finding, run_dir)
    print("Saved: figures as PNG, SVG and HTML, numbers as CSV, the finding as JSON.")
