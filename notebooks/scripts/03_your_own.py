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
# # Your own picture, question, checkpoint and perturbation
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/)
#
# Everything here is a parameter: `stcg run notebooks/03_your_own.ipynb -p image "$PWD/photo.png" -p question "What is on the
# table?" -p model Salesforce/blip2-flan-t5-xl`. As it is committed it uses the demo picture and the embedded model, which knows
# drawn scenes only.

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

model: Optional[str] = None  # a hub id or a folder in Hugging Face format; None: what STCG_MODEL says, else tiny
image: Optional[str] = None  # full path of a picture; None: STCG_IMAGE_PATH, else the demo picture
question: str = "Describe the picture from left to right."  # in words
box: list = [0.0, 0.0, 0.5, 1.0]  # a region to draw: left, top, right, bottom as shares of the picture
strength: float = 0.5  # of the perturbations, from 0 (nothing) to 1
seed: int = 0  # of what is drawn at random
run_dir: Optional[str] = None  # a folder for the graph; None: nothing is saved

# %%
import plotly.io as pio

from stcg_nb import demo, explain, load_model
from stcg_nb.inputs import box_regions, read_image, register
from stcg_nb.models.protocol import check_question
from stcg_nb.settings import Settings
from stcg_nb.study import check_number
from stcg_nb.viz import CONFIG, graph_figure, perturbation_panel, save_figure, write_html

pio.renderers.default = "colab" if "google.colab" in sys.modules else "plotly_mimetype"
check_number("strength", strength, 0, 1, whole=False)
check_number("seed", seed, 0, 10**6)
check_number("the length of box", len(box), 4, 4)
for value in box:
    check_number("box", value, 0, 1, whole=False)
question = check_question(question)
picture = read_image(image or Settings().image_path or demo()[0])

# %% [markdown]
# ## Your own checkpoint
#
# Any BLIP-2 checkpoint in Hugging Face format loads by the same call: a hub id (downloaded once) or a folder. Weights are read
# as safetensors only, and no code of a checkpoint is run.

# %% tags=["nbval-ignore-output"]
vlm = load_model(model)

# %%
print(f"{vlm.name} sees {vlm.sees}.")
print(vlm.offers)
if vlm.synthetic:
    print("SYNTHETIC: the numbers below come from the mock, not from a model.")

# %% [markdown]
# ## Your own perturbation
#
# A function from an image (uint8, height x width x 3), a strength and a random generator to an image, under a name. All that
# takes perturbations takes it from now on.


# %%
@register("mirror", "mirror the top of the picture; strength is the share of rows")
def mirror(pixels, strength, rng):
    rows = round(strength * len(pixels))
    pixels[:rows] = pixels[:rows, ::-1]
    return pixels


# %% [markdown]
# ## Your own regions
#
# A box (or a mask) is a region; what lies outside is the background.

# %%
height, width = picture.shape[:2]
regions = box_regions(
    picture, {"box": [round(share * side) for share, side in zip(box, (width, height) * 2, strict=True)]}
)
print(f"Regions: {', '.join(regions.names)}")

# %% tags=["nbval-ignore-output"]
stcg = explain(
    picture, question, vlm, regions=regions, perturbations=["mirror", "gaussian_noise"], strength=strength, seed=seed
)

# %%
print(f"{stcg.question} -> {stcg.answer}")
effects = stcg.data["region_effect"].values  # [step, region]
for t, token in enumerate(stcg.steps):
    print(
        f"{token:<10}" + "".join(f"{name}: {effects[t, r] + 0.0:>6.1f} nats   " for r, name in enumerate(stcg.regions))
    )

# %% tags=["nbval-ignore-output"]
graph_figure(stcg).show(config=CONFIG)

# %% tags=["nbval-ignore-output"]
perturbation_panel(stcg).show(config=CONFIG)

# %%
if run_dir is None:
    print("Nothing is saved, since run_dir is None.")
else:
    save_figure(graph_figure(stcg), run_dir, "graph")
    save_figure(perturbation_panel(stcg), run_dir, "perturbations")
    stcg.to_json(f"{run_dir}/stcg.json")
    write_html(stcg, f"{run_dir}/stcg.html")
    print("Saved: figures as PNG, SVG and HTML, all numbers as JSON, and one page with all figures.")
