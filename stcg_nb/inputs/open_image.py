"""Open an image by a short name: a drawn scene, a photograph from scikit-image, the demo image, or a file.

``"scene:7"``
    The scene of seed 7 (`stcg_nb.scenes`).
``"photo:coffee"``
    One of `PHOTOGRAPHS`, which scikit-image contains.
``"demo"``
    The image of `stcg_nb.demo`.
``"perturbed:color_shift:0.5:0:scene:7"``
    A perturbed image (`stcg_nb.inputs.perturbations`): name, strength, seed, and the source of the original, here a scene.
anything else
    The path of an image file.
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

import numpy as np
import skimage

from stcg_nb.errors import InputError
from stcg_nb.inputs.demo import DEMO_QUESTION, demo
from stcg_nb.inputs.images import read_image
from stcg_nb.inputs.perturbations import perturb
from stcg_nb.scenes.pictures import make_scene
from stcg_nb.scenes.questions import make_questions

PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
}
PHOTO_QUESTIONS = {
    "astronaut": ("What is the woman wearing?", "Who is in the picture?", "Is she smiling?"),
    "cat": ("What animal is this?", "What color are the cat's eyes?", "Is the cat asleep?"),
    "coffee": ("What is in the cup?", "What color is the cup?", "Is there a spoon?"),
}


def open_image(source: str | PathLike[str]) -> np.ndarray:
    """Open the image of that name, uint8 ``[height, width, 3]``.

    Raises:
        InputError: For an unknown scene or photograph, or a path at which there is no image.

    >>> open_image("scene:7").shape
    (256, 256, 3)
    """
    kind, _, rest = str(source).partition(":")
    if kind == "perturbed":
        name, strength, seed, inner = _perturbed(rest)
        return perturb(open_image(inner), name, strength, seed).image
    if str(source) == "demo":
        return read_image(demo()[0])
    if kind == "scene":
        return make_scene(_seed(rest)).image
    if kind == "photo":
        return read_image(Path(skimage.__file__).parent / "data" / PHOTOGRAPHS[_photograph(rest)])
    return read_image(source)


def unperturbed(source: str) -> str:
    """The source of the original image: what was perturbed, or `source` itself if it is not perturbed.

    >>> unperturbed("perturbed:color_shift:0.5:0:scene:7"), unperturbed("demo")
    ('scene:7', 'demo')
    """
    kind, _, rest = source.partition(":")
    return unperturbed(_perturbed(rest)[3]) if kind == "perturbed" else source


def suggestions(source: str | PathLike[str]) -> tuple[str, ...]:
    """Questions to ask about an image: for a scene, those it has answers to; for a photograph, some about it; else general ones.

    >>> suggestions("photo:cat")[0]
    'What animal is this?'
    """
    source = unperturbed(str(source))
    kind, _, rest = source.partition(":")
    if source == "demo":
        return (DEMO_QUESTION, "What color is the car?", "Describe the picture from left to right.")
    if kind == "scene":
        return tuple(q.text for q in make_questions(make_scene(_seed(rest)), 0))
    if kind == "photo":
        return PHOTO_QUESTIONS[_photograph(rest)]
    return ("What is in the picture?", "What color is it?", "Describe the picture from left to right.")


def _perturbed(text: str) -> tuple[str, float, int, str]:
    """Parse the part after ``perturbed:`` into name, strength, seed and the source of the original."""
    match = re.fullmatch(r"(\w+):([\d.]+):(\d{1,15}):(.+)", text, re.DOTALL)
    if match is None:
        raise InputError(
            f"'perturbed:{text}' is no perturbed picture; give name, strength, seed and picture, such as "
            "'perturbed:color_shift:0.5:0:demo'."
        )
    try:
        return match[1], float(match[2]), int(match[3]), match[4]
    except ValueError:
        raise InputError(f"The strength {match[2]!r} is no number; give one from 0 to 1.") from None


def _seed(text: str) -> int:
    if not re.fullmatch(r"\d{1,15}", text):
        raise InputError(f"'scene:{text}' is no scene; give a whole number from 0 on, such as 'scene:7'.")
    return int(text)


def _photograph(name: str) -> str:
    if name not in PHOTOGRAPHS:
        raise InputError(f"'photo:{name}' is no photograph; valid are {', '.join(f'photo:{n}' for n in PHOTOGRAPHS)}.")
    return name
