"""A small explanation with made-up numbers, for tests of everything that only reads one."""

from __future__ import annotations

import numpy as np
import xarray as xr

from stcg_nb.scenes.pictures import make_scene

QUESTION = "what color is the car left of the house?"
ANSWER = "a red car"


def sample_dataset(
    *,
    question: str = QUESTION,
    answer: str = ANSWER,
    synthetic: bool = False,
    seed: int = 0,
    rows: int = 4,
    cols: int = 6,
    estimator: str = "gradient",
    causal: bool = False,
    perturbations: tuple[str, ...] = ("center_mask", "color_shift", "patch_shuffle", "gaussian_noise"),
) -> xr.Dataset:
    """An explanation of a real scene (256 x 256) over a grid of regions; every number is random but in its range."""
    rng, own = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    image = make_scene(10**12 + seed).image
    height, width = image.shape[:2]
    labels = (np.arange(height)[:, None] * rows // height) * cols + np.arange(width)[None] * cols // width
    words, tokens = question.rstrip("?").split(), answer.split()
    n, t, r, k = len(words), len(tokens), rows * cols, len(perturbations)
    boxes = []
    for i in range(r):
        ys, xs = np.nonzero(labels == i)
        boxes.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
    p = rng.uniform(0.5, 0.99, t)
    js = rng.uniform(0, 0.6, t)
    js[0] = np.nan
    overlap = rng.uniform(0, 1, t)
    overlap[0] = np.nan
    step = ("step",)
    word_effect, region_effect = rng.normal(0, 1, (t, n)), rng.laplace(0, 0.7, (t, r))
    verdicts = ["confirmed", "spurious", "hidden", "unclear", "none"] if causal else [""]
    off = 0.5 if causal else 0.0
    return xr.Dataset(
        {
            "word_text": ("word", np.array(words)),
            "token_text": (step, np.array(tokens)),
            "image": (("y", "x", "channel"), image),
            "region_labels": (("y", "x"), labels.astype(np.int32)),
            "region_box": (("region", "box"), np.array(boxes, dtype=np.int64)),
            "p": (step, p),
            "v": (step, np.log(p / (1 - p))),
            "word_region": (("word", "region"), rng.dirichlet(np.full(r, 0.3), n)),
            "step_region": (("step", "region"), rng.dirichlet(np.full(r, 0.3), t)),
            "step_word": (("step", "word"), rng.dirichlet(np.ones(n), t)),
            "word_share": (("step", "word"), own.dirichlet(np.ones(n), t)),
            "region_share": (("step", "region"), own.dirichlet(np.full(r, 0.3), t)),
            "word_region_share": (("word", "region"), own.dirichlet(np.full(r, 0.3), n)),
            "word_effect": (("step", "word"), word_effect),
            "region_effect": (("step", "region"), region_effect),
            "word_low": (("step", "word"), word_effect - off),
            "word_high": (("step", "word"), word_effect + off),
            "region_low": (("step", "region"), region_effect - off),
            "region_high": (("step", "region"), region_effect + off),
            "word_verdict": (("step", "word"), rng.choice(verdicts, (t, n))),
            "region_verdict": (("step", "region"), rng.choice(verdicts, (t, r))),
            "intercept": (step, rng.normal(0, 1, t)),
            "word_coefficient": (("step", "word"), rng.normal(0, 1, (t, n))),
            "region_coefficient": (("step", "region"), rng.normal(0, 1, (t, r))),
            "link_source": ("link", np.array([0, 1, n, 0], dtype=np.int64) % (n + r)),
            "link_target": ("link", np.array([n, n + 1, n + 2, n], dtype=np.int64) % (n + r)),
            "link_third": ("link", np.array([-1, -1, -1, (n + 1) % (n + r)], dtype=np.int64)),
            "link_step": ("link", np.array([0, t - 1, t - 1, 0], dtype=np.int64)),
            "link_weight": ("link", np.array([1.5, -0.5, 0.25, 0.75])),
            "link_low": ("link", np.array([1.0, -0.75, 0.125, 0.5])),
            "link_high": ("link", np.array([2.0, -0.25, 0.375, 1.0])),
            "link_coefficient": ("link", np.array([1.0, -1.0, 0.5, 0.25])),
            "link_verdict": ("link", np.array(["confirmed", "hidden", "", ""])),
            "group_kind": ("group", np.array([], dtype=str)),
            "group_step": ("group", np.array([], dtype=np.int64)),
            "group_region": (("group", "region"), np.zeros((0, r), dtype=bool)),
            "group_effect": ("group", np.array([], dtype=float)),
            "curve_links": ("size", np.array([0, 1, 2, 3] if causal else [], dtype=np.int64)),
            "curve_lds": ("size", np.array([0.7, 0.8, 0.9, 0.91] if causal else [], dtype=float)),
            "visual_reliance": (step, rng.uniform(0, 5, t)),
            "entropy": (step, rng.uniform(0.5, 3, t)),
            "js_previous": (step, js),
            "top_overlap": (step, overlap),
            "strength": ("perturbation", np.full(k, 0.5)),
            "pixel_distance": ("perturbation", rng.uniform(0, 0.4, k)),
            "delta_w": ("perturbation", rng.uniform(0, 0.02, k)),
            "delta_w_js": ("perturbation", rng.uniform(0, 0.5, k)),
            "delta_p": ("perturbation", rng.uniform(-0.9, 0.1, k)),
            "flipped": ("perturbation", np.arange(k) % 2 == 0),
            "perturbed_p": (("perturbation", "step"), rng.uniform(0, 1, (k, t))),
            "perturbed_step_region": (("perturbation", "step", "region"), rng.dirichlet(np.ones(r), (k, t))),
            "perturbed_answer": (
                "perturbation",
                np.array(["a blue car" if i % 2 == 0 else answer for i in range(k)], dtype=str),
            ),
            "thumbnail": (
                ("perturbation", "ty", "tx", "channel"),
                np.stack([image[::2, ::2] // (1 + i % 3) for i in range(k)])
                if k
                else np.zeros((0, 128, 128, 3), np.uint8),
            ),
        },
        coords={
            "word": [f"w{i}" for i in range(n)],
            "region": [f"r{i}" for i in range(r)],
            "step": np.arange(t),
            "perturbation": np.array(perturbations, dtype=str),
            "box": ["x0", "y0", "x1", "y1"],
        },
        attrs={
            "question": question,
            "answer": answer,
            "model": "mock" if synthetic else "tiny",
            "estimator": estimator,
            "synthetic": synthetic,
            "seed": seed,
            "regions": f"grid:{rows}x{cols}",
            "removal": "mean",
            "masks": 256 if causal else 0,
            "masks_asked": "256" if causal else "0",
            "fills": "blur, inpaint" if causal else "",
            **({"trust": 0.92, "trust_low": 0.87, "trust_high": 0.95} if causal else {}),
            "p_answer": float(p.prod()),
            "stcg_version": "0.1.0",
            "model_revision": "sample",
            "created_with": "made up",
        },
    )
