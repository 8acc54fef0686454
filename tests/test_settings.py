"""What each variable of the environment may hold, which one wins, and what is said of the rest."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from stcg_nb.errors import InputError
from stcg_nb.settings import DEFAULT_REAL, Settings


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in list(os.environ):
        if name.upper().startswith("STCG_") or name.upper() == "USE_MOCK_MODEL":
            monkeypatch.delenv(name)


def read(monkeypatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_without_any_variable_it_is_the_embedded_model():
    settings = Settings()
    assert settings.model_dump() == {
        "model": "tiny", "use_mock_model": False, "force_real": False, "image_path": None, "device": "auto", "dtype": "auto",
        "quantisation": "none", "revision": None, "seed": 0,
    }  # fmt: skip
    assert settings.model_name == "tiny"


@pytest.mark.parametrize(
    ("model", "mock", "real", "expected"),
    [
        (None, None, None, "tiny"),
        ("mock", None, None, "mock"),
        ("me/mine", None, None, "me/mine"),
        (None, "1", None, "mock"),
        ("me/mine", "1", None, "mock"),
        ("mock", "0", None, "mock"),
        (None, None, "1", DEFAULT_REAL),
        ("tiny", None, "1", DEFAULT_REAL),
        ("mock", "1", "1", DEFAULT_REAL),
        ("me/mine", "1", "1", "me/mine"),
        ("me/mine", "0", "0", "me/mine"),
        ("", "", "", "tiny"),
    ],
)
def test_which_flag_wins(monkeypatch, model, mock, real, expected):
    given = {"STCG_MODEL": model, "USE_MOCK_MODEL": mock, "STCG_FORCE_REAL": real}
    assert read(monkeypatch, **{k: v for k, v in given.items() if v is not None}).model_name == expected


@pytest.mark.parametrize(
    ("text", "flag"), [("1", True), ("true", True), ("YES", True), ("0", False), ("false", False), ("off", False)]
)
def test_ways_to_say_yes_and_no(monkeypatch, text, flag):
    assert read(monkeypatch, USE_MOCK_MODEL=text, STCG_FORCE_REAL=text).use_mock_model is flag
    assert Settings().force_real is flag


def test_the_rest(monkeypatch):
    settings = read(monkeypatch, STCG_IMAGE_PATH="a b/ü.png", STCG_DEVICE="cuda:1", STCG_DTYPE="float16", STCG_SEED="7")
    assert (settings.image_path, settings.device, settings.dtype, settings.seed) == (
        "a b/ü.png",
        "cuda:1",
        "float16",
        7,
    )


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:12"])
def test_devices(monkeypatch, device):
    assert read(monkeypatch, STCG_DEVICE=device).device == device


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("STCG_DEVICE", "gpu", "valid are 'auto', 'cpu', 'cuda', 'cuda:0'"),
        ("STCG_DEVICE", "cuda:", "'cuda:0'"),
        ("STCG_DEVICE", "cuda3", "'cuda:0'"),
        ("STCG_DEVICE", "cuda:-1", "'cuda:0'"),
        ("STCG_DTYPE", "float8", "'auto', 'float32', 'bfloat16' or 'float16'"),
        ("STCG_QUANTISATION", "2bit", "'none', '8bit' or '4bit'"),
        ("STCG_SEED", "-1", "it must be at least 0"),
        ("STCG_SEED", "1.5", "a whole number"),
        ("STCG_SEED", "one", "a whole number"),
        ("USE_MOCK_MODEL", "perhaps", "true or false"),
        ("STCG_FORCE_REAL", "2", "true or false"),
    ],
)
def test_an_invalid_value_is_one_sentence(monkeypatch, name, value, valid):
    with pytest.raises(InputError) as caught:
        read(monkeypatch, **{name: value})
    text = str(caught.value)
    assert text.startswith(f"{name} is '{value}'")
    assert valid in text
    assert text.endswith(".") and "\n" not in text and "value error" not in text.lower()


def test_arguments_win_over_the_environment_and_are_checked(monkeypatch):
    monkeypatch.setenv("STCG_MODEL", "me/mine")
    assert Settings(model="mock").model_name == "mock"
    with pytest.raises(InputError, match="STCG_SEED is -4"):
        Settings(seed=-4)


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        Settings().seed = 3
