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
# # The method in one figure
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/)
#
# A **Structured Temporal Counterfactual Graph** joins three views of one answer:
#
# 1. **Structural alignment**: how strongly each word, and each token of the answer, is linked to each region of the picture.
# 2. **Counterfactual sensitivity**: how far these links move (ΔW), and how the probability of the answer changes (Δp), when the
#    picture is perturbed.
# 3. **Temporal evolution**: how all of it changes from one token of the answer to the next.
#
# This notebook draws them for one example. The study's findings follow, one a notebook: [H1](11_h1_links.ipynb),
# [H2](12_h2_colour.ipynb), [H3](13_h3_dissociation.ipynb), [H4](14_h4_words.ipynb), [time](15_time.ipynb) and
# [H5](16_h5_faithfulness.ipynb). What they found at full size is in [docs/findings](../docs/findings/README.md).

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

# %% tags=["parameters"]
from typing import Optional

model: Optional[str] = None  # "tiny", "mock", a hub id or a folder; None: STCG_MODEL and the other flags, else tiny
image: Optional[str] = None  # full path of a picture; None: the demo picture
question: Optional[str] = None  # in words; None: the question about the demo picture
estimator: str = "attention"  # of the links: "attention" as in the original study, "rollout" or "gradient"
strength: float = 0.5  # of the perturbations, from 0 (nothing) to 1
seed: int = 0  # of what is drawn at random
run_dir: Optional[str] = None  # a folder for the figure and its numbers; None: nothing is saved

# %%
import plotly.io as pio

from stcg_nb import demo, explain, load_model
from stcg_nb.study import check_number, figures
from stcg_nb.viz import CONFIG, save_figure

pio.renderers.default = "colab" if "google.colab" in sys.modules else "plotly_mimetype"
check_number("strength", strength, 0, 1, whole=False)
check_number("seed", seed, 0, 10**6)

# %% tags=["nbval-ignore-output"]
demo_image, demo_question = demo()
stcg = explain(
    image or demo_image,
    question or demo_question,
    load_model(model),
    estimator=estimator,
    strength=strength,
    seed=seed,
    masks=0,
)

# %%
print(f"{stcg.model}: {stcg.question} -> {stcg.answer}")
if stcg.synthetic:
    print("SYNTHETIC: the numbers below come from the mock, not from a model.")

# %% tags=["nbval-ignore-output"]
figure = figures.overview(stcg)
figure.show(config=CONFIG)

# %% [markdown]
# Top: every row is a word; the darker a cell, the stronger the link with that region. Middle: each perturbation moves the links
# and changes the answer's probability, not always both. Bottom: each row is a token of the answer; beside it what each token
# loses when the picture is blanked.

# %%
if run_dir is None:
    print("Nothing is saved, since run_dir is None.")
else:
    save_figure(figure, run_dir, "overview")
    stcg.to_json(f"{run_dir}/overview.json")
    print("Saved: the figure as PNG, SVG and HTML, its numbers as JSON.")
