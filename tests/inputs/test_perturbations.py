"""Each perturbation does what its description says, by as much as its strength says, and always the same."""

from __future__ import annotations

import colorsys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stcg_nb.errors import InputError
from stcg_nb.inputs.perturbations import (
    DEFAULT,
    PERTURBATIONS,
    Perturbation,
    perturb,
    pixel_distance,
    register,
    saliency,
)
from stcg_nb.scenes.pictures import make_scene

STRENGTHS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


@pytest.fixture
def registry(monkeypatch):
    """Registrations of this test only."""
    known = set(PERTURBATIONS)
    yield
    for name in set(PERTURBATIONS) - known:
        PERTURBATIONS.remove(name)


def changed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a != b).any(-1)


def noise_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """No two neighbouring pixels alike, and none like the mean."""
    return np.random.default_rng(seed).integers(0, 2, (height, width, 3)).astype(np.uint8) * 255


def test_the_originals_five_and_a_control():
    assert DEFAULT == (
        "center_mask",
        "color_shift",
        "patch_shuffle",
        "peripheral_mask",
        "saliency_patch_mask",
        "gaussian_noise",
    )
    assert set(DEFAULT) <= set(PERTURBATIONS)
    for name in DEFAULT:
        assert PERTURBATIONS[name].name == name
        assert PERTURBATIONS[name].description


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(DEFAULT),
    st.integers(8, 70),
    st.integers(8, 70),
    st.floats(0, 1),
    st.integers(0, 2**40),
)
def test_any_size_any_strength(name, height, width, strength, seed):
    image = noise_image(height, width)
    before = image.copy()
    out = perturb(image, name, strength, seed)
    np.testing.assert_array_equal(image, before)
    assert (out.name, out.strength, out.seed) == (name, strength, seed)
    assert out.image.shape == image.shape
    assert out.image.dtype == np.uint8
    assert out.image.flags.c_contiguous
    assert 0 <= out.pixel_distance <= 1
    np.testing.assert_array_equal(out.image, perturb(image, name, strength, seed).image)
    if strength == 0:
        assert out.pixel_distance == 0


@pytest.mark.parametrize("name", DEFAULT)
@pytest.mark.parametrize("scene", [1, 2])
def test_distance_grows_with_strength(name, scene):
    image = make_scene(scene).image
    distances = [perturb(image, name, s, seed=3).pixel_distance for s in (0.0, *STRENGTHS)]
    assert distances[0] == 0
    assert distances[-1] > 0.03
    slack = 0.02 if name == "patch_shuffle" else 1e-9  # a patch may land on one that looks like it
    assert all(a <= b + slack for a, b in pairwise(distances)), distances


@pytest.mark.parametrize("name", ["patch_shuffle", "gaussian_noise"])
def test_the_seed_matters_where_chance_does(name):
    image = make_scene(1).image
    assert changed(perturb(image, name, 0.5, 0).image, perturb(image, name, 0.5, 1).image).any()


@pytest.mark.parametrize("name", ["center_mask", "peripheral_mask"])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_masks_hide_their_share_of_the_area(name, strength):
    image = noise_image(90, 130)
    out = perturb(image, name, strength).image
    hidden = changed(out, image)
    assert abs(hidden.mean() - strength) < 0.02
    assert (out[hidden] == image.mean((0, 1)).round()).all()
    if strength < 1:
        middle, corner = hidden[45, 65], hidden[0, 0]
        assert (middle, corner) == ((True, False) if name == "center_mask" else (False, True))
    np.testing.assert_array_equal(hidden, hidden[::-1, ::-1])  # centred


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_color_shift_turns_the_hue_and_nothing_else(strength):
    image = noise_image(16, 16, 5)
    image[0, 0] = 90, 90, 90
    out = perturb(image, "color_shift", strength).image
    for before, after in zip(image.reshape(-1, 3), out.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(before / 255))
        expected = np.array(colorsys.hsv_to_rgb((hue + strength / 2) % 1, saturation, value)) * 255
        np.testing.assert_allclose(after, expected, atol=1)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_patch_shuffle_permutes_patches(strength):
    # Each patch of the 8 x 8 grid has its own value, so that the picture says what moved where.
    ids = np.arange(64).reshape(8, 8)
    image = np.repeat(np.repeat(ids, 5, 0), 6, 1)[..., None].repeat(3, 2).astype(np.uint8)
    out = perturb(image, "patch_shuffle", strength, seed=2).image
    patches = out.reshape(8, 5, 8, 6, 3)
    assert (patches == patches[:, :1, :, :1]).all()
    now = patches[:, 0, :, 0, 0].ravel()
    assert sorted(now.tolist()) == list(range(64))
    assert (now != np.arange(64)).sum() == round(64 * strength)


@pytest.mark.parametrize("shape", [(15, 15), (67, 101)])
def test_patch_shuffle_reaches_every_pixel_of_any_size(shape):
    out = perturb(np.arange(np.prod(shape) * 3).astype(np.uint8).reshape(*shape, 3), "patch_shuffle", 1.0)
    rows = [i * shape[0] // 8 for i in range(8)]
    cols = [i * shape[1] // 8 for i in range(8)]
    moved = changed(out.image, np.arange(np.prod(shape) * 3).astype(np.uint8).reshape(*shape, 3))
    ends = np.ix_([*rows[1:], shape[0]], [*cols[1:], shape[1]])
    assert moved[np.ix_(rows, cols)].mean() > 0.9
    assert moved[ends[0] - 1, ends[1] - 1].mean() > 0.9


def test_patch_shuffle_moves_more_of_the_same_patches():
    image = noise_image(64, 64)
    moved = [changed(perturb(image, "patch_shuffle", s, 4).image, image).reshape(8, 8, 8, 8) for s in STRENGTHS]
    patches = [m.any((1, 3)) for m in moved]
    assert all((a <= b).all() for a, b in pairwise(patches))


@pytest.mark.parametrize("strength", STRENGTHS)
def test_saliency_mask_hides_whole_patches_at_objects_first(strength):
    scene = make_scene(2)
    out = perturb(scene.image, "saliency_patch_mask", strength).image
    mean = scene.image.mean((0, 1)).round()
    hidden = (out == mean).all(-1).reshape(16, 16, 16, 16).mean((1, 3)) > 0.99
    assert hidden.sum() == round(128 * strength)
    objects = np.any([o.mask for o in scene.objects], axis=0).reshape(16, 16, 16, 16).mean((1, 3)) > 0.5
    if strength == 0.3:
        assert hidden[objects].mean() > 2 * hidden[~objects].mean()


def spectral_residual(grey: np.ndarray) -> np.ndarray:
    """Hou and Zhang 2007 with numpy's transform and a plain loop for the local mean."""
    spectrum = np.fft.fft2(grey)
    log = np.log(np.abs(spectrum) + 1e-6)
    reflected = np.pad(log, 1, mode="reflect")
    local = np.array([[reflected[y : y + 3, x : x + 3].mean() for x in range(64)] for y in range(64)])
    return np.abs(np.fft.ifft2(np.exp(log - local + 1j * np.angle(spectrum)))) ** 2


def test_saliency_is_the_spectral_residual():
    values = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    plain = spectral_residual(values.astype(float))
    # Smoothing aside: blur the plain one by the same Gaussian, written out.
    offsets = np.arange(-12, 13)
    kernel = np.exp(-(offsets**2) / (2 * 2.5**2))
    kernel /= kernel.sum()
    padded = np.pad(plain, 12, mode="reflect")
    rows = sum(k * padded[i : i + 64] for i, k in enumerate(kernel))
    expected = sum(k * rows[:, i : i + 64] for i, k in enumerate(kernel))
    got = saliency(values[..., None].repeat(3, 2))
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_noise_has_the_deviation_it_says(strength):
    image = np.full((100, 100, 3), 128, np.uint8)
    noise = perturb(image, "gaussian_noise", strength, 1).image.astype(float) - 128
    assert abs(noise.mean()) < 1
    if strength == 0.25:  # at full strength some is cut off at 0 and 255
        assert abs(noise.std() - 16) < 0.5
    assert abs(np.median(np.abs(noise)) - 0.6745 * 64 * strength) < 1.5


def test_pixel_distance_by_hand():
    a = np.zeros((2, 2, 3), np.uint8)
    b = a.copy()
    b[0, 0] = 255  # a quarter of the values: sqrt(1/4)
    assert pixel_distance(a, a) == 0
    assert pixel_distance(a, b) == pixel_distance(b, a) == pytest.approx(0.5)
    with pytest.raises(InputError, match="same size"):
        pixel_distance(a, b[:1])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "mirror_me"}, "center_mask, color_shift"),
        ({"name": ""}, "valid are"),
        ({"strength": 1.01}, "0 .nothing. to 1"),
        ({"strength": -0.1}, "strength is -0.1"),
        ({"strength": float("nan")}, "strength is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"image": np.zeros((8, 8, 2), np.uint8)}, "shape"),
    ],
)
def test_bad_arguments(arguments, said):
    good = {"image": make_scene(1).image, "name": "center_mask", "strength": 0.5, "seed": 0}
    with pytest.raises(InputError, match=said):
        perturb(**(good | arguments))


def test_a_users_own(registry):
    @register("black", "black out")
    def black(image, strength, rng):
        image[:] = 0
        return image

    assert isinstance(PERTURBATIONS["black"], Perturbation)
    image = make_scene(1).image
    assert perturb(image, "black", 0.2).image.max() == 0
    assert image.max() > 0
    np.testing.assert_array_equal(perturb(image, "black", 0).image, image)


def test_a_cell_that_runs_twice_replaces_its_own(registry):
    for value in (1, 2):

        @register("flat", "one value")
        def flat(image, strength, rng, value=value):
            return np.full_like(image, value)

    assert perturb(make_scene(1).image, "flat").image.max() == 2


@pytest.mark.parametrize(
    ("result", "got"),
    [
        (lambda image: None, "NoneType"),
        (lambda image: image[:-1], r"uint8 \(255, 256, 3\)"),
        (lambda image: image / 255, "float64"),
        (lambda image: image[..., 0], r"uint8 \(256, 256\)"),
        (lambda image: image.tolist(), "list"),
    ],
)
def test_a_users_own_that_returns_something_else(registry, result, got):
    register("wrong", "returns something else")(lambda image, strength, rng: result(image))
    with pytest.raises(InputError, match=f"'wrong' returned {got}"):
        perturb(make_scene(1).image, "wrong")


@pytest.mark.parametrize("name", ["center_mask", "not a name", "", "2d", "a-b", "<b>"])
def test_names_that_are_refused(registry, name):
    with pytest.raises(InputError, match="name"):
        register(name, "a new one")(lambda image, strength, rng: image)


def test_the_mapping_is_read_only():
    with pytest.raises(TypeError):
        PERTURBATIONS["mine"] = PERTURBATIONS["center_mask"]
