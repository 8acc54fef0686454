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
# # Explore what an answer rests on
#
# Choose a model, ask it about a picture, change the picture, and explore which words and regions each token of the answer rests
# on. **Run all cells** (menu *Run*), then click. Nothing has to be typed. Nothing is downloaded unless you choose a checkpoint.
#
# Every panel is one line, and the last one shows the code that makes what you see. Long work runs beside the notebook; *Cancel*
# stops it. The same notebook runs without anybody to click (`stcg run notebooks/00_explore.ipynb -p question "What color is the
# car?"`) and then leaves pictures and tables.

# %% [markdown]
# ## What to begin with
#
# These are the panels' first choices. Where a value is `None`, the environment's variables decide, or else the panels' defaults.

# %% tags=["parameters"]
from typing import Optional, Union

model: Optional[str] = None  # "tiny", "mock", a hub id or a folder; None: STCG_MODEL, USE_MOCK_MODEL, STCG_FORCE_REAL
device: Optional[str] = None  # "cpu", "cuda:0"; None: STCG_DEVICE
dtype: Optional[str] = None  # "float32", "bfloat16", "float16"; None: STCG_DTYPE
quantisation: Optional[str] = None  # "8bit" or "4bit"; None: STCG_QUANTISATION, else none
revision: Optional[str] = None  # a branch, tag or commit of the hub; None: STCG_REVISION, else the newest
image: Optional[str] = None  # "demo", "scene:7", "photo:coffee" or a full path; None: STCG_IMAGE_PATH, else the demo
question: Optional[str] = None  # in words; None: one that suits the picture
estimator: Optional[str] = None  # of alignment: "attention" (the default), "gradient" or "rollout"
regions: Optional[str] = None  # "slic" (the default), "slic:30", "grid:8x8"
boxes: Optional[list] = None  # regions of your own instead: [[x0, y0, x1, y1], ...] in pixels
perturbations: Optional[list] = None  # their names; None: all six
strength: Optional[float] = None  # of the perturbations, from 0 (nothing) to 1
seed: Optional[int] = None  # of what is drawn at random; None: STCG_SEED, else 0
masks: Optional[Union[int, str]] = None  # for the causal graph; 0: remove one thing at a time only; "auto"; None: 256
removal: Optional[str] = None  # what an absent region is: "median", "mean", "blur", "inpaint" or "cut"
fills: Optional[list] = None  # further fills to try effects and links under, such as ["blur", "inpaint"]
links: Optional[str] = None  # to show: "counterfactual", "alignment" or "interaction"
top: Optional[int] = None  # how many links to show, the strongest first
step: Optional[int] = None  # the answer's token to show, from 0; None: all
min_effect: Optional[float] = None  # show links that lie further from zero than this, in nats, under every fill
picked: Optional[str] = None  # a node or link to choose, such as "word:3" or "word:3>step:1"
site: Optional[str] = None  # whose heads to show as alignment: "qformer_cross", "encoder" or "cross"
layer: Optional[int] = None  # there; None: the mean over all
head: Optional[int] = None  # there; None: the mean over all
cuts: Optional[list] = None  # links to cut, such as ["word:3>step:1"]
run_dir: Optional[str] = None  # a folder for the results; None: nothing is saved

# %%
import sys
from pathlib import Path

import plotly.io as pio

from stcg_nb import widgets
from stcg_nb.viz import CONFIG, timeline

pio.renderers.default = "colab" if "google.colab" in sys.modules else "plotly_mimetype"
session = widgets.start(
    model=model, device=device, dtype=dtype, quantisation=quantisation, revision=revision, image=image, question=question,
    estimator=estimator, regions=regions, boxes=boxes, perturbations=perturbations, strength=strength, seed=seed, masks=masks,
    removal=removal, fills=fills, links=links, top=top, step=step, min_effect=min_effect, picked=picked, site=site, layer=layer,
    head=head, cuts=cuts,
)  # fmt: skip

# %% [markdown]
# ## The model
#
# `tiny` is embedded: a small BLIP-2 trained on drawn scenes, ready in a second. It knows nothing but such scenes. For photographs
# choose a checkpoint, such as `Salesforce/blip2-flan-t5-xl` (8 GB in half precision). The mock makes its numbers up.

# %% tags=["nbval-ignore-output"]
widgets.model_panel(session)

# %% [markdown]
# ## The picture and the question

# %% tags=["nbval-ignore-output"]
widgets.input_panel(session)

# %% [markdown]
# ## Perturb the picture
#
# Does the answer survive when the picture is changed? ΔW is how far attention's links move, Δp how the probability of the answer
# changes. The two need not agree.

# %% tags=["nbval-ignore-output"]
widgets.perturbation_panel(session)

# %% [markdown]
# ## Explore
#
# From top to bottom: the question's words, the picture with its regions, the answer's tokens. A thick blue link: without that
# word or region the token loses much. A vermilion link opposes: without it the token would be more probable. Click a word, a region,
# a token, or the dot of a link; or use the lists beside the picture, or Tab, the arrow keys and Enter.
#
# *Masks* says how many masks of words and regions the causal graph may run, a forward pass each; `auto` goes on until trust is .90
# or 1,024 masks are spent. Trust says how well what was learnt predicts the model on inputs that it has not seen: 1 perfectly, 0
# not at all. Every link of two or three that the graph holds was tried, so its weight is exact; *Also filled by* tries it again
# with regions filled in other ways, and what then changes sign is not drawn. Links carry a verdict: *confirmed* (the effect is 0.5
# nats or more, and attention shows it too; solid), *hidden* (attention does not show it; short dashes), *spurious* (attention shows
# it, but the effect is smaller; dotted grey) or *unclear* (long dashes). Beside it stand the link's share of attention and its
# rank, 1 for what is attended most. With 0 masks, words and regions are removed one at a time only.

# %% tags=["nbval-ignore-output"]
widgets.explorer(session)

# %% [markdown]
# ## Compare
#
# Every explanation that was made above can be compared with every other one.

# %% tags=["nbval-ignore-output"]
widgets.compare(session)

# %% [markdown]
# ## Save, and make it again

# %% tags=["nbval-ignore-output"]
widgets.save_panel(session)

# %% [markdown]
# ## Without the panels
#
# The panels show results of the package's functions. Here is the latest explanation, once it is there, and another figure of it.

# %%
explanation = widgets.explorer(session).explanation
if explanation is None:
    print("Not explained yet: run this cell again when the explorer shows its graph.")
else:
    print(f"{explanation.stcg.question} -> {explanation.stcg.answer}")

# %% tags=["nbval-ignore-output"]
if explanation is not None:
    timeline(explanation.stcg).show(config=CONFIG)

# %%
if run_dir is None:
    print("Nothing is saved, since run_dir is None.")
else:
    widgets.save_panel(session).save(run_dir)
    print(
        "Saved:",
        ", ".join(sorted(path.name for path in Path(run_dir).glob("*.*") if path.stem in ("stcg", "graph", "state"))),
    )
