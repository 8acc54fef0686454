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
# # H4: are content words linked more strongly and more locally?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/)
#
# **The claim.** Words that name something ("colour", "car") are linked to the picture more strongly, and to smaller parts of
# it, than words that only join others ("what", "the").

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
# [its results](../docs/findings/README.md) are in the repository. Other values: `stcg run notebooks/14_h4_words.ipynb -p n 440
# -p seed 1`.

# %% tags=["parameters"]
from typing import Optional

model: Optional[str] = None  # "tiny", "mock", a hub id or a folder; None: STCG_MODEL and the other flags, else tiny
n: int = 33  # questions, one a scene; from 2 on. The study's size is 220
seed: int = 0  # of the scenes: another seed asks other questions
estimator: str = "attention"  # whose links: "attention" as in the original study, "rollout" or "gradient"
example: int = 3  # which of the questions is shown as maps, from 0 on
records: Optional[str] = None  # a folder to keep each measurement in, so that a stopped run goes on; None: no
run_dir: Optional[str] = None  # a folder for figures and numbers; None: nothing is saved

# %%
import numpy as np
import plotly.io as pio

from stcg_nb.inputs import make_regions
from stcg_nb.options import Options
from stcg_nb.stats import paired
from stcg_nb.study import Study, check_number, conclude, figures, measurements, save_finding
from stcg_nb.viz import CONFIG, save_figure

Options(estimator=estimator)  # another estimator is refused here
pio.renderers.default = "colab" if "google.colab" in sys.modules else "plotly_mimetype"

# %% tags=["nbval-ignore-output"]
study = Study(model, n, seed, records=records)

# %%
print(f"{study.vlm.name}, {study.n} questions, seed {study.seed}")
if study.vlm.synthetic:
    print("SYNTHETIC: the numbers below come from the mock, not from a model.")

# %% [markdown]
# ## The method
#
# S[word, patch] is how strongly the estimator links a word with each patch. A word's *strength* is the sum of its links; its
# *entropy* in nats says how spread they are: 0 if all goes to one patch, log 256 = 5.55 if all patches are alike. What the
# answer *loses* when the word is cut from the model's attention (log-odds) stands beside: it is no part of the claim, but says
# whether strength means anything. Function words are a fixed list (`stcg_nb.inputs.words.FUNCTION_WORDS`).
#
# **Declared before measuring.** Within a question, content words against function words: (1) the base-2 logarithm of the ratio
# of mean strengths lies above 0; under 0.1 (7 %) would not matter. (2) The mean entropy of function words minus that of content
# words lies above 0; under 0.05 nats would not matter. Both must hold.

# %% tags=["nbval-ignore-output"]
rows = study.measure("words", measurements.words, estimator=estimator)

# %% [markdown]
# ## The figures

# %%
figure = figures.stamped(figures.word_classes(rows), study.vlm.synthetic)
figure.show(config=CONFIG)

# %%
check_number("example", example, 0, study.n - 1)
scene, question = study.question(example)
prompt, answer, links = measurements.word_links(study.vlm, scene, question, estimator)
print(f"{question.text} -> {answer.text}")
content = [measurements.is_content(word) for word in prompt.words]
cells = make_regions(scene.image, "grid:16x16").patch_weights(study.vlm.layout(prompt, *scene.image.shape[:2]).cover)
maps = figures.word_maps(scene.image, prompt.words, content, (links @ cells.T).reshape(-1, 16, 16))
maps = figures.stamped(maps, study.vlm.synthetic)
maps.show(config=CONFIG)

# %% [markdown]
# ## The numbers

# %%
mean = rows.groupby(["scene", "content"])[["strength", "entropy", "effect"]].mean().unstack()
strength, entropy, effect = (mean[key].reindex(columns=[False, True]) for key in ("strength", "entropy", "effect"))
scenes = mean.index.to_numpy()
comparisons = [
    paired("log2 of strength, content over function", np.log2(strength[True] / strength[False]), scenes, least=0.1),
    paired("entropy, function minus content", entropy[False] - entropy[True], scenes, least=0.05, unit="nats"),
]
finding = conclude("H4", comparisons, {**study.settings, "estimator": estimator})
print(finding.text())

# %%
lost = paired("lost without, content minus function", effect[True] - effect[False], scenes)
print(f"Beside the claim: {lost.what} {lost.effect:.1f} nats [{lost.low:.1f}, {lost.high:.1f}], n = {lost.n}.")
both = rows[["strength", "effect"]].rank().corr().iloc[0, 1]
print(f"Spearman correlation over words of strength and what is lost: {both:.1f}")

# %% [markdown]
# ## What it means

# %%
readings = {
    "supported": ("Links by this estimator tell the two classes of words apart, in strength and in place."),
    "not supported": (
        "Links by this estimator do not tell content words from function words as claimed, whatever the words"
        " are worth to the answer."
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
    save_figure(figure, run_dir, "h4")
    save_figure(maps, run_dir, "h4_maps")
    rows.to_csv(f"{run_dir}/h4.csv", index=False)
    save_finding(finding, run_dir)
    print("Saved: figures as PNG, SVG and HTML, numbers as CSV, the finding as JSON.")
