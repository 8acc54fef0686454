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
# # A first explanation, in ten minutes
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/)
#
# Load a model, ask it something, explain its answer, read the graph, see how far it can be trusted, and change something.

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
# Run it with others: `stcg run notebooks/02_tutorial.ipynb -p question "How many cars are there?"`.

# %% tags=["parameters"]
from typing import Optional

model: Optional[str] = None  # "tiny", "mock", a hub id or a folder; None: STCG_MODEL and the other flags, else tiny
question: str = "What is to the right of the yellow car?"  # about the demo picture
changed: str = "What color is the car?"  # what is asked instead, to see what changes
seed: int = 0  # of what is drawn at random
run_dir: Optional[str] = None  # a folder for the graph; None: nothing is saved

# %%
import numpy as np
import plotly.io as pio

from stcg_nb import demo, explain, load_model
from stcg_nb.faithfulness import seed_faithfulness
from stcg_nb.models.protocol import check_question
from stcg_nb.study import check_number
from stcg_nb.viz import CONFIG, graph_figure, save_figure, write_html

pio.renderers.default = "colab" if "google.colab" in sys.modules else "plotly_mimetype"
check_number("seed", seed, 0, 10**6)
question, changed = check_question(question), check_question(changed)

# %% [markdown]
# ## Load, ask, explain
#
# `explain` does all three: the model answers, and the answer is then scored again with each word cut, each region filled, and
# the picture perturbed.

# %% tags=["nbval-ignore-output"]
vlm = load_model(model)
image, _ = demo()
stcg = explain(image, question, vlm, estimator="gradient", masks=0, seed=seed)

# %%
print(f"{stcg.question} -> {stcg.answer}")
if stcg.synthetic:
    print("SYNTHETIC: the numbers below come from the mock, not from a model.")

# %% [markdown]
# ## Read the graph
#
# Words above, the picture's regions in the middle, the answer's tokens below, from left to right in time. A link is as wide as
# what the token loses without that word or region (nats of log-odds): blue supports the token, vermilion opposes it.

# %% tags=["nbval-ignore-output"]
graph_figure(stcg).show(config=CONFIG)

# %% [markdown]
# The same as data. Every array has named dimensions; the strongest support of each token is a line of numpy.

# %%
for t, token in enumerate(stcg.steps):
    words, regions = stcg.data["word_effect"].values[t], stcg.data["region_effect"].values[t]
    print(
        f"{token:<8} rests most on the word {stcg.words[int(words.argmax())]!r} and on region {int(regions.argmax())}"
    )
graph = stcg.to_networkx()
print(f"As networkx: {graph.number_of_nodes()} nodes, {graph.number_of_edges()} edges")

# %% [markdown]
# ## How far can it be trusted?
#
# Links by an estimator are a guess; effects are measured. Their correlation over regions is the *seed faithfulness* of this one
# explanation. `stcg card` measures this and much more over many questions, with intervals.

# %%
effects = stcg.data["region_effect"].values
for estimator in ("attention", "rollout", "gradient"):
    other = (
        stcg
        if estimator == stcg.estimator
        else explain(image, question, vlm, estimator=estimator, masks=0, perturbations=[])
    )
    links = other.data["step_region"].values
    print(f"{estimator:<10} correlation of links with effects: {seed_faithfulness(links, effects):+.1f}")

# %% [markdown]
# ## Change something
#
# Another question about the same picture: the answer rests on other words and regions.

# %% tags=["nbval-ignore-output"]
other = explain(image, changed, vlm, perturbations=[], seed=seed)

# %%
print(f"{other.question} -> {other.answer}")
same = np.corrcoef(stcg.data["region_effect"].values.sum(0), other.data["region_effect"].values.sum(0))[0, 1]
print(f"The effects of the regions on the two answers correlate by {same:.1f}.")

# %% tags=["nbval-ignore-output"]
graph_figure(other).show(config=CONFIG)

# %% [markdown]
# ## Keep it

# %%
if run_dir is None:
    print("Nothing is saved, since run_dir is None.")
else:
    save_figure(graph_figure(stcg), run_dir, "graph")
    stcg.to_json(f"{run_dir}/stcg.json")
    write_html(stcg, f"{run_dir}/stcg.html")
    print("Saved: the graph as PNG, SVG and HTML, all numbers as JSON, and one page with all figures.")

# %% [markdown]
# Next: [your own picture, model and perturbation](03_your_own.ipynb), [all that a graph holds](01_stcg.ipynb), or [the
# study](10_overview.ipynb).
