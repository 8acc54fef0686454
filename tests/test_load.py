"""Which model a name or the environment gives, and the sentences for those that cannot be had."""

from __future__ import annotations

import json
import shutil

import huggingface_hub
import pytest
import torch
import transformers
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars
from safetensors.torch import load_file, save_file
from small_blip2 import save_small
from transformers import Blip2Config

from stcg_nb.errors import InputError, ModelError
from stcg_nb.models import load, load_model
from stcg_nb.settings import DEFAULT_REAL, Settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in (
        "STCG_MODEL",
        "USE_MOCK_MODEL",
        "STCG_FORCE_REAL",
        "STCG_IMAGE_PATH",
        "STCG_DEVICE",
        "STCG_DTYPE",
        "STCG_SEED",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "tiny"),
        ({"USE_MOCK_MODEL": "1"}, "mock"),
        ({"USE_MOCK_MODEL": "true"}, "mock"),
        ({"USE_MOCK_MODEL": "0"}, "tiny"),
        ({"USE_MOCK_MODEL": ""}, "tiny"),
        ({"STCG_FORCE_REAL": "1"}, DEFAULT_REAL),
        ({"STCG_FORCE_REAL": "1", "USE_MOCK_MODEL": "1"}, DEFAULT_REAL),
        ({"STCG_FORCE_REAL": "1", "STCG_MODEL": "me/mine"}, "me/mine"),
        ({"STCG_MODEL": "some/folder"}, "some/folder"),
    ],
)
def test_the_environment_names_the_model(monkeypatch, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Settings().model_name == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [("USE_MOCK_MODEL", "perhaps"), ("STCG_DTYPE", "float8"), ("STCG_DEVICE", "gpu"), ("STCG_SEED", "-1")],
)
def test_an_unknown_value_is_an_error_that_names_the_variable(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=name):
        Settings()


def test_the_environment_is_what_load_model_loads(monkeypatch):
    monkeypatch.setenv("USE_MOCK_MODEL", "1")
    assert load_model().synthetic


@pytest.mark.parametrize("name", ["tinny", "", " ", "x" * 5000, "a/b/c", "../no"])
def test_a_name_that_is_nothing(name):
    with pytest.raises(ModelError, match=r"is neither.*load_model\('tiny'\)"):
        load_model(name)


def test_the_sentence_gives_the_name():
    with pytest.raises(ModelError, match=r"'tinny' is neither.*load_model\('tiny'\)"):
        load_model("tinny")


def test_a_checkpoint_out_of_reach_is_no_other_model(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"nobody/nothing could not be loaded.*load_model\('tiny'\)"):
        load_model("nobody/nothing")


@pytest.fixture
def folder(tmp_path):
    return save_small(tmp_path / "small")


def test_a_folder_in_hub_format_is_loaded_and_named(folder):
    model = load_model(str(folder))
    assert (model.name, model.synthetic, model.grid) == ("small", False, (4, 4))
    assert len(model.revision) == 12


def test_an_empty_folder(tmp_path):
    with pytest.raises(ModelError, match=r"could not be loaded.*config\.json"):
        load_model(str(tmp_path))


def test_weights_in_pickle_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="could not be loaded"):
        load_model(str(folder))


def test_truncated_weights(folder):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="could not be loaded"):
        load_model(str(folder))


def test_missing_weights_are_never_made_up(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["language_projection.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"language_projection\.weight"):
        load_model(str(folder))


def test_another_kind_of_model(folder):
    config = json.loads((folder / "config.json").read_text())
    shutil.copy(folder / "config.json", folder / "kept.json")
    (folder / "config.json").write_text(json.dumps(config["text_config"]))
    with pytest.raises(ModelError, match="is a t5 model; these are known: blip-2 with t5 or opt"):
        load_model(str(folder))
    Blip2Config(text_config={"model_type": "gpt2"}).save_pretrained(folder)
    with pytest.raises(ModelError, match="blip-2 with gpt2"):
        load_model(str(folder))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_device_that_is_not_there(monkeypatch, folder, device):
    monkeypatch.setenv("STCG_DEVICE", device)
    with pytest.raises(ModelError, match=f"STCG_DEVICE is '{device}'.*'cpu' always works"):
        load_model(str(folder))


def test_a_small_checkpoint_loads_without_progress_bars(folder, capsys):
    bars = transformers.utils.logging
    bars.enable_progress_bar()
    load_model(str(folder))
    assert "Loading weights" not in capsys.readouterr().err
    assert bars.is_progress_bar_enabled() and not are_progress_bars_disabled()


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    return str(tmp_path)


def shows_bars(capsys) -> bool:
    list(transformers.utils.logging.tqdm(range(3), desc="Loading weights"))
    return "Loading weights" in capsys.readouterr().err


def test_a_large_checkpoint_and_a_download_keep_their_bars(monkeypatch, weights, capsys):
    with load._quiet_if_small(weights):
        assert not shows_bars(capsys)
    assert shows_bars(capsys)
    with load._quiet_if_small("owner/name"):
        assert shows_bars(capsys)
    monkeypatch.setattr(load, "SMALL", 999)
    with load._quiet_if_small(weights):
        assert shows_bars(capsys)


def test_bars_that_were_off_stay_off(weights):
    bars = transformers.utils.logging
    try:
        disable_progress_bars()
        with load._quiet_if_small(weights):
            pass
        assert are_progress_bars_disabled() and bars.is_progress_bar_enabled()
        bars.disable_progress_bar()
        with load._quiet_if_small(weights):
            pass
        assert are_progress_bars_disabled() and not bars.is_progress_bar_enabled()
    finally:
        bars.enable_progress_bar()


def test_bars_come_back_after_a_failure(tmp_path):
    with pytest.raises(ModelError):
        load_model(str(tmp_path))
    assert transformers.utils.logging.is_progress_bar_enabled()
