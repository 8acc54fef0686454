"""Inputs of a model: images, their regions, fills for removed regions, perturbations, and content words."""

from stcg_nb.inputs.demo import demo
from stcg_nb.inputs.fills import FILLS, Filler
from stcg_nb.inputs.images import read_image
from stcg_nb.inputs.open_image import open_image
from stcg_nb.inputs.perturbations import PERTURBATIONS, perturb, register
from stcg_nb.inputs.regions import Regions, box_regions, make_regions, mask_regions
from stcg_nb.inputs.words import is_content

__all__ = [
    "FILLS",
    "PERTURBATIONS",
    "Filler",
    "Regions",
    "box_regions",
    "demo",
    "is_content",
    "make_regions",
    "mask_regions",
    "open_image",
    "perturb",
    "read_image",
    "register",
]
