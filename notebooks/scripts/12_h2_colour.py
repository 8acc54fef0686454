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
# # H2: does turning the colours change answers about colour?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/)
#
# **The claim.** Turning every hue (`color_shift`) changes the probability of the answer strongly, and more so where the
# question asks for a colour than where it does not. This is a check of sense: a model that looks must fail it in just this way.

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
# [its results](../docs/findings/README.md) are in the repository. Other values: `stcg run notebooks/12_h2_colour.ipynb -p n 440
# -p seed 1`.

# %% tags=["parameters"]
from typing import Optional

model: Optional[str] = None  # "tiny", "mock", a hub id or a folder; None: STCG_MODEL and the other flags, else tiny
n: int = 40  # questions, one a scene; from 2 on. The study's size is 220
seed: int = 0  # of the scenes: another seed asks other questions
perturbations: Optional[list] = None  # their names, color_shift among them; None: all six
strength: float = 0.5  # of the perturbations, from 0 (nothing, excluded) to 1
records: Optional[str] = None  # a folder to keep each measurement in, so that a stopped run goes on; None: no
run_dir: Optional[str] = None  # a folder for figures and numbers; None: nothing is saved

# %%
import numpy as np
import plotly.io as pio

from stcg_nb.inputs import PERTURBATIONS
from stcg_nb.inputs.perturbations import DEFAULT
from stcg_nb.scenes import KINDS
from stcg_nb.stats import between, paired
from stcg_nb.study import Study, check_claimed, check_names, check_number, conclude, figures, measurements, save_finding
from stcg_nb.viz import CONFIG, save_figure

pio.renderers.default = "colab" if "google.colab" in sys.modules else "plotly_mimetype"
names = list(DEFAULT) if perturbations is None else perturbations
check_names("perturbations", names, list(PERTURBATIONS))
check_claimed("perturbations", names, ["color_shift"], at_least=2)
check_number("strength", strength, 0.01, 1, whole=False)
kinds = [
    kind for other in KINDS if other != "color" for kind in ("color", other)
]  # half of the questions ask for a colour

# %% tags=["nbval-ignore-output"]
study = Study(model, n, seed, kinds, records=records)

# %%
print(f"{study.vlm.name}, {study.n} questions, seed {study.seed}")
if study.vlm.synthetic:
    print("SYNTHETIC: the numbers below come from the mock, not from a model.")

# %% [markdown]
# ## The method
#
# Half of the questions ask for a colour, the other half are of the ten other kinds in turn. Δp is the change of the probability
# of the whole answer, teacher-forced, when the picture is perturbed.
#
# **Declared before measuring.** (1) *Strong*: on colour questions the mean |Δp| of `color_shift` lies above 0.1. (2) *More than
# on others*: colour questions may be more easily upset by anything. So |Δp| of `color_shift` minus the mean |Δp| of the other
# perturbations, within a question, is larger on colour questions than on others (an interaction); under 0.1 would not matter.
# The test deals the questions anew into two groups. Both must hold. Other kinds are all others, though many of their answers
# name a colour too ("a red car"): that works against the claim, and the table shows it.

# %% tags=["nbval-ignore-output"]
rows = study.measure("sensitivity_colour", measurements.sensitivity, perturbations=names, strength=strength)

# %% [markdown]
# ## The figures

# %%
figure = figures.stamped(figures.colour_against_others(rows), study.vlm.synthetic)
figure.show(config=CONFIG)

# %%
table = figures.stamped(figures.probability_changed(rows), study.vlm.synthetic)
table.show(config=CONFIG)

# %% [markdown]
# ## The numbers

# %%
size = rows.assign(size=rows["delta_p"].abs()).pivot(index="scene", columns="perturbation", values="size")
colour = rows.groupby("scene")["kind"].first().loc[size.index].to_numpy() == "color"
excess = size["color_shift"] - size.drop(columns="color_shift").mean(axis=1)
scenes = size.index.to_numpy()
comparisons = [
    paired("|Δp| of color_shift on colour questions", np.where(colour, size["color_shift"], np.nan), scenes, null=0.1),
    between("excess over other perturbations, colour against other questions", excess, scenes, colour, least=0.1),
]
finding = conclude("H2", comparisons, {**study.settings, "strength": strength})
print(finding.text())

# %% [markdown]
# ## What it means

# %%
readings = {
    "supported": (
        "The answer follows the hue where the hue is asked for, more than the general upset of a changed "
        "picture explains."
    ),
    "not supported": (
        "Turning the hues does not single out colour questions: other questions name or use colours too, or "
        "this change is too weak."
    ),
    "undecided": (
        "The interval does not decide at this size: ask more questions (parameter n) before believing either."
    ),
}
print(readings[finding.verdict])

# %% [markdown]
# A large |Δp| says that the answer rests on something that the perturbation touched. It does not say where that is: that is
# what the [causal graph](16_h5_faithfulness.ipynb) is for.

# %%
if run_dir is None:
    print("Nothing is saved, since run_dir is None.")
else:
    save_figure(figure, run_dir, "h2")
    save_figure(table, run_dir, "h2_kinds")
    rows.to_csv(f"{run_dir}/h2.csv", index=False)
    save_finding(finding, run_dir)
    print("Saved: figures as PNG, SVG and HTML, numbers as CSV, the finding as JSON.")
