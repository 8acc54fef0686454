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
# # A whole sweep at a glance
#
# `stcg sweep` explains many questions and keeps a row for each. This notebook averages over them, with 95 % intervals clustered by
# picture: how often the model is right, what each perturbation moves, which words matter, and when in the answer the picture does.
#
# `stcg run notebooks/07_sweep.ipynb -p sweep_dir /full/path/of/sweep` reads a sweep of yours, also one that still runs. Without it a
# small sweep is made first, by the model of your choice; the one that is kept here is by the mock, since it shows how this
# notebook reads, not what a model does.

# %% tags=["parameters"]
from typing import Optional

sweep_dir: Optional[str] = None  # the folder that `stcg sweep` wrote; None: a small sweep of scenes is made
model: Optional[str] = "mock"  # of the small sweep: "tiny", "mock", a hub id or a folder; None: as the environment asks
n: int = 24  # questions of the small sweep
seed: int = 0  # of the small sweep
run_dir: Optional[str] = None  # a folder for the tables; None: nothing is saved

# %%
import re
import sys
import tempfile
from pathlib import Path

import plotly.io as pio

from stcg_nb import STCG
from stcg_nb.datasets import load_dataset
from stcg_nb.sweep import SweepOptions, read_manifest, sweep
from stcg_nb.sweep import summary as summary
from stcg_nb.viz import CONFIG, graph_figure

pio.renderers.default = "colab" if "google.colab" in sys.modules else "plotly_mimetype"

# %% tags=["nbval-ignore-output"]
if sweep_dir is None:
    folder = Path(tempfile.mkdtemp()) if run_dir is None else Path(run_dir) / "sweep"
    sweep(load_dataset("scenes", n=n, seed=seed), folder, model, SweepOptions(masks=0, seed=seed))
else:
    folder = Path(sweep_dir)

# %%
manifest, rows = read_manifest(folder), summary.explained_rows(folder)
names = manifest["perturbations"]
synthetic = manifest["synthetic"]
print(summary.headline(folder))

# %% [markdown]
# ## How often the model is right
#
# The official accuracy of VQA where there are ten answers a question; where there is one, whether the two agree. A dataset without
# answers has no accuracy.

# %%
tables = {"accuracy": summary.accuracy(rows)}
if len(tables["accuracy"]):
    summary.dots({"accuracy": tables["accuracy"]}, synthetic).show(config=CONFIG)

# %% [markdown]
# ## What each perturbation moves
#
# ΔW is how far attention's links between words and regions move, |Δp| how much the probability of the answer changes. Where the
# first is large and the second is not, links moved that the answer did not rest on.

# %%
tables |= summary.perturbations(rows, names)
if names:
    summary.dots(summary.perturbations(rows, names), synthetic).show(config=CONFIG)

# %%
tables |= summary.colour(rows, names)
if names:
    summary.dots(summary.colour(rows, names), synthetic).show(config=CONFIG)

# %% [markdown]
# ## Which words, and when
#
# What the answer loses, in log-odds, without a content word ("color", "car") or a function word ("what", "the"); how strongly such
# words are linked with the picture, and over how many regions their links spread; and what each of the answer's tokens loses
# without the picture.

# %%
tables |= summary.words(rows)
summary.dots(summary.words(rows), synthetic).show(config=CONFIG)

# %%
tables["steps"] = summary.steps(rows)
if len(tables["steps"]):
    summary.dots({"lost without the picture (nats)": tables["steps"]}, synthetic).show(config=CONFIG)

# %% [markdown]
# ## Do links tell what the answer rests on?
#
# The correlation of links from the answer's tokens with what each token really loses without that word or region: 1 if attention told
# all, 0 if it told nothing.

# %%
tables["faithfulness"] = summary.faithfulness(rows)
if len(tables["faithfulness"]):
    summary.dots({"links against effects (correlation)": tables["faithfulness"]}, synthetic).show(config=CONFIG)

# %% [markdown]
# ## Verdicts
#
# A causal graph judges every edge: *confirmed* (its effect is 0.5 nats or more, and attention shows it), *hidden* (attention does not
# show it), *spurious* (attention shows it, but its effect is smaller) or *unclear*. A sweep with `masks=0` fits none.

# %%
tables["verdicts"] = summary.verdicts(rows)
print("edges an explanation, mean with interval and n")
print(tables["verdicts"].round(1).to_string() if len(tables["verdicts"]) else "none: the sweep was made with masks=0")

# %% [markdown]
# ## How far the graphs can be trusted
#
# Trust estimates how well what a causal graph learnt predicts the model on inputs that it has not seen: 1 perfectly, 0 not at all.

# %%
tables["trust"] = summary.trust(rows)
print("trust, mean with interval and n")
print(tables["trust"].round(2).to_string() if len(tables["trust"]) else "none: the sweep was made with masks=0")

# %% [markdown]
# ## One of them
#
# Every explanation is kept as a whole. This is the one whose answer was least certain.

# %%
least = rows.loc[rows["p_answer"].idxmin()]
graph_figure(STCG.load(folder / least["artefact"])).show(config=CONFIG)

# %%
if run_dir is not None:
    for name, table in tables.items():
        table.to_csv(Path(run_dir) / f"{re.sub(r'[^a-zA-ZΔ]+', '_', name).strip('_')}.csv")
