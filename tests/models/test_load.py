"""Which model a name or the environment gives, and the sentences for those that cannot be had."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars
from safetensors.torch import load_file, save_file
from small_blip2 import QUERIES, save_small
from transformers import Blip2Config, Blip2ForConditionalGeneration

from stcg_nb import cli
from stcg_nb.errors import InputError, ModelError
from stcg_nb.models import load, load_model
from stcg_nb.models import memory as placing
from stcg_nb.models.attention import install
from stcg_nb.models.families import FAMILIES
from stcg_nb.models.loading_progress import watched_loading
from stcg_nb.models.memory import Place
from stcg_nb.progress import Stopped, watching
from stcg_nb.scenes.pictures import make_scene
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
        "STCG_QUANTISATION",
        "STCG_REVISION",
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
    with pytest.raises(ModelError, match=r"is neither.*The embedded model, 'tiny'"):
        load_model(name)


def test_the_sentence_gives_the_name():
    with pytest.raises(ModelError, match=r"'tinny' is neither.*The embedded model, 'tiny'"):
        load_model("tinny")


def test_a_checkpoint_out_of_reach_is_no_other_model(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"nobody/nothing could not be loaded.*The embedded model, 'tiny'"):
        load_model("nobody/nothing")


@pytest.fixture
def folder(tmp_path):
    return save_small(tmp_path / "small")


def test_a_folder_in_hub_format_is_loaded_and_named(folder):
    model = load_model(str(folder))
    assert (model.name, model.synthetic, model.sees) == (
        "small",
        False,
        f"4 x 4 patches through {QUERIES} query tokens",
    )
    assert len(model.revision) == 12


def test_an_empty_folder(tmp_path):
    with pytest.raises(ModelError, match=r"could not be loaded.*config\.json"):
        load_model(str(tmp_path))


def test_weights_in_pickle_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        ModelError, match=r"as pickle \(pytorch_model.bin\), which can run code when read; save them as safetensors"
    ):
        load_model(str(folder))


@pytest.mark.parametrize("kind", ["blip-2", "mine"])
def test_code_of_a_checkpoints_own_is_never_run(folder, kind):
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {"model_type": kind, "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    tokenizer["auto_map"] = {"AutoTokenizer": ["own.Tokenizer", None]}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nraise SystemExit\n")
    if kind == "blip-2":
        assert load_model(str(folder)).prompt("what is this?").words
    else:
        with pytest.raises(
            ModelError,
            match=r"is a mine model, which transformers .* does not know .* code of its own, which is never run",
        ):
            load_model(str(folder))
    assert not (folder / "ran").exists()


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
    with pytest.raises(ModelError, match=r"is a t5 model, which transformers .* does not know as one that answers"):
        load_model(str(folder))
    Blip2Config(text_config={"model_type": "gpt2"}).save_pretrained(folder)
    with pytest.raises(ModelError, match="blip-2 with gpt2"):
        load_model(str(folder))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_device_that_is_not_there(monkeypatch, folder, device):
    monkeypatch.setenv("STCG_DEVICE", device)
    with pytest.raises(ModelError, match=f"device asked for is '{device}'.*'cpu' always works"):
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


# Watched


def networks() -> list:
    gc.collect()
    return [o for o in gc.get_objects() if type(o) is Blip2ForConditionalGeneration]


def test_a_watched_load_is_told_and_stops_between_two_tensors(folder):
    before, seen = len(networks()), []
    with watching(lambda *state: seen.append(state)):
        model = load_model(str(folder))
    tensors = [(so_far, total) for what, so_far, total in seen if what == "tensors"]
    assert [so_far for so_far, _ in tensors] == list(range(1, len(tensors) + 1))
    assert {total for _, total in tensors} == {len(tensors)} and len(tensors) > 100
    del model

    def enough(what: str, so_far: float, total: float) -> None:
        assert so_far <= 5
        if what == "tensors" and so_far == 5:
            raise Stopped("enough")

    with pytest.raises(Stopped), watching(enough):
        load_model(str(folder))
    assert len(networks()) == before  # nothing of it is kept
    assert shows_no_hook()


def shows_no_hook() -> bool:
    before = transformers.utils.logging.set_tqdm_hook(None)
    transformers.utils.logging.set_tqdm_hook(before)
    return before is None


def test_bars_of_another_thread_stay_its_own(capsys):
    with watching(lambda *state: None), watched_loading():
        thread = threading.Thread(target=lambda: list(transformers.utils.logging.tqdm(range(3), desc="theirs")))
        thread.start()
        thread.join()
        list(transformers.utils.logging.tqdm(range(3), desc="ours"))
    said = capsys.readouterr().err
    assert "theirs" in said and "ours" not in said
    with watched_loading() as options:
        assert options == {} and shows_no_hook()  # nobody watches


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """A hub on this machine that has ``owner/name``: the small model, whose weights come in pieces of 1 kB."""

    class Hub(BaseHTTPRequestHandler):
        def log_message(self, *args) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(False)

        def do_GET(self) -> None:
            self.answer(True)

        def answer(self, body: bool) -> None:
            path = folder / self.path.split("?")[0].rpartition("/")[2]
            data, code = b"", 404
            if self.path.startswith("/api/models/owner/name/tree"):
                files = [
                    {"type": "file", "path": p.name, "size": p.stat().st_size, "oid": "0" * 40}
                    for p in folder.iterdir()
                ]
                data, code = json.dumps(files).encode(), 200
            elif self.path.startswith("/api/models/owner/name"):
                named = [{"rfilename": p.name} for p in folder.iterdir()]
                data, code = json.dumps({"id": "owner/name", "sha": "a" * 40, "siblings": named}).encode(), 200
            elif "/resolve/" in self.path and path.is_file():
                data, code = path.read_bytes(), 200
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", "a" * 40)
            if code == 404:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            if body:
                with suppress(OSError):  # who asked may have stopped listening
                    self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here, constants = f"http://127.0.0.1:{server.server_port}", huggingface_hub.constants
    for name, value in {
        "ENDPOINT": here, "HUGGINGFACE_CO_URL_TEMPLATE": here + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False, "HF_HUB_CACHE": str(tmp_path / "cache"), "DOWNLOAD_CHUNK_SIZE": 1000,
    }.items():  # fmt: skip
        monkeypatch.setattr(constants, name, value)
    yield tmp_path / "cache"
    server.shutdown()
    server.server_close()


def test_a_watched_download_is_told_and_stops_between_two_pieces(hub, folder):
    size = (folder / "model.safetensors").stat().st_size / 1e6
    seen = []

    def enough(what: str, so_far: float, total: float) -> None:
        if what == "megabytes" and total == size:
            seen.append(so_far)
            if so_far > size / 2:
                raise Stopped("enough")

    with pytest.raises(Stopped), watching(enough):
        load_model("owner/name")
    assert size / 2 < seen[-1] < size and len(seen) > 10
    assert not list(hub.rglob("model.safetensors")) and list(hub.rglob("config.json"))
    with watching(lambda *state: seen.append(state)):
        assert load_model("owner/name").revision == "a" * 40
    assert ("megabytes", size, size) in seen


def test_a_checkpoint_that_others_name_but_does_not_exist():
    with pytest.raises(ModelError, match=r"There is no Salesforce/blip2-flan-t5-base .* Salesforce/blip2-flan-t5-xl"):
        load_model("Salesforce/blip2-flan-t5-base")


def test_a_folder_and_the_embedded_model_have_no_revisions(folder):
    for name in (str(folder), "tiny", "mock"):
        with pytest.raises(InputError, match=r"A revision \('v2'\) was given, but .* leave the revision out"):
            load_model(name, revision="v2")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_keeps_what_must_be_wide(folder, dtype):
    wide, half = load_model(str(folder)), load_model(str(folder), dtype=dtype)
    weights = dict(half.network.named_parameters())
    assert weights["vision_model.encoder.layers.0.mlp.fc1.weight"].dtype == getattr(torch, dtype)
    if dtype == "float16":
        assert weights["language_model.encoder.block.0.layer.1.DenseReluDense.wo.weight"].dtype == torch.float32
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    prompt, answer = wide.prompt("is it red?"), wide.target("a red car")
    v, w = (m.trace([image], prompt, answer, capture=m.sites).v for m in (half, wide))
    np.testing.assert_allclose(v, w, atol=0.5)
    relevance = half.relevance(image, prompt, answer)
    assert all(torch.isfinite(m).all() for m in relevance.values())
    assert half.answer([image], prompt)[0].token_ids


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_are_counted_before_they_are_loaded(folder, dtype):
    loaded = load_model(str(folder), dtype=dtype).network
    with torch.device("meta"):
        network = Blip2ForConditionalGeneration(Blip2Config.from_pretrained(folder))
    expected = sum(w.numel() * w.element_size() for w in loaded.parameters())
    assert placing.weight_bytes(network, Place("cpu", getattr(torch, dtype))) == expected


@pytest.fixture(scope="module")
def xl():
    """Salesforce/blip2-flan-t5-xl in full size, without memory for its weights."""
    config = Blip2Config(
        vision_config={},  # ViT-g/14: 39 layers of 1408, as by default
        qformer_config={"vocab_size": 30523},
        text_config={
            "model_type": "t5", "vocab_size": 32128, "d_model": 2048, "d_kv": 64, "d_ff": 5120, "num_layers": 24,
            "num_decoder_layers": 24, "num_heads": 32, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
        },
        num_query_tokens=32,
    )  # fmt: skip
    with torch.device("meta"):
        return Blip2ForConditionalGeneration(config)


def test_every_site_of_the_full_size_model_is_found(xl):
    family = FAMILIES["blip-2"]
    images = family.images(xl)
    language = family.languages["t5"](xl, images.n_tokens)
    assert (images.grid, images.n_tokens) == ((16, 16), 32)
    try:
        install(xl, {**images.places, **language.places})
        found = [m.stcg_site for m in xl.modules() if hasattr(m, "stcg_site")]
    finally:
        xl.set_attn_implementation("sdpa")
    layers = {"vit": 39, "qformer_self": 12, "qformer_cross": 6, "encoder": 24, "decoder": 24, "cross": 24}
    assert dict(Counter(found)) == layers


def test_what_the_full_size_model_takes(xl):
    """3.94 billion parameters: about 15.8 GB in float32, 7.9 in half precision, 4 in 8 bits, 2.0 to 2.5 in 4 bits.

    Of which T5's output layer, which the checkpoint has beside its embedding of the same size, is counted as tied to it.
    """
    assert sum(w.numel() for w in xl.parameters()) + 32128 * 2048 == pytest.approx(3.94e9, rel=0.001)
    size = {
        name: placing.weight_bytes(xl, place) / 1e9
        for name, place in {
            "float32": Place("cpu", torch.float32),
            "bfloat16": Place("cpu", torch.bfloat16),
            "8bit": Place("cuda", torch.bfloat16, "8bit"),
            "4bit": Place("cuda", torch.bfloat16, "4bit"),
        }.items()
    }
    assert size["float32"] == pytest.approx(15.8, abs=0.3) and size["bfloat16"] == pytest.approx(7.9, abs=0.2)
    assert size["bfloat16"] > size["8bit"] > size["4bit"]


def test_what_does_not_fit_is_refused_with_what_would(xl, monkeypatch):
    monkeypatch.setattr(placing, "free_memory", lambda device: 12 * 10**9)
    place = Place("cpu", torch.float32)
    with pytest.raises(
        ModelError, match=r"needs about 17\.\d GB \(float32\), and 12\.0 GB are free on cpu.*dtype 'bfloat16'"
    ):
        placing.check_fit(xl, place, "xl")
    placing.check_fit(xl, Place("cpu", torch.bfloat16), "xl")
    monkeypatch.setattr(placing, "free_memory", lambda device: 10**9)
    with pytest.raises(ModelError, match=r"No other number format would fit either.*The embedded model, 'tiny'"):
        placing.check_fit(xl, place, "xl")
    monkeypatch.setattr(placing, "free_memory", lambda device: 10**9 if device.type == "cuda" else 12 * 10**9)
    with pytest.raises(ModelError, match=r"free on cuda.*These would fit: dtype 'bfloat16' on device 'cpu'"):
        placing.check_fit(xl, Place("cuda", torch.bfloat16), "xl")
    monkeypatch.setattr(placing, "find_spec", lambda name: None)
    monkeypatch.setattr(placing, "free_memory", lambda device: 10**9 if device.type == "cpu" else 12 * 10**9)
    with pytest.raises(ModelError, match=r"would pass through this machine's memory, of which 1\.0 GB are free"):
        placing.check_fit(xl, Place("cuda", torch.bfloat16), "xl")
    monkeypatch.setattr(placing, "find_spec", lambda name: name)
    placing.check_fit(xl, Place("cuda", torch.bfloat16), "xl")


def test_a_folder_that_does_not_fit_is_refused_before_it_is_read(folder, monkeypatch):
    monkeypatch.setattr(load, "SMALL", 0)
    load_model(str(folder))
    monkeypatch.setattr(placing, "free_memory", lambda device: 1000)
    monkeypatch.setattr(Blip2ForConditionalGeneration, "from_pretrained", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(ModelError, match="small needs about"):
        load_model(str(folder))


@pytest.mark.parametrize(
    ("native", "dtype"), [(True, torch.bfloat16), (False, torch.float16)], ids=["native", "not native"]
)
def test_numbers_follow_the_hardware(monkeypatch, native, dtype):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert placing.choose(Settings()) == Place("cuda", dtype)
    assert placing.choose(Settings(dtype="float32")).dtype == torch.float32
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert placing.choose(Settings()) == Place("cpu", torch.float32)


def test_quantisation_and_device_maps_name_the_packages_that_are_missing(monkeypatch, folder):
    monkeypatch.setattr(placing, "find_spec", lambda name: None)
    with pytest.raises(
        ModelError, match="4bit weights need bitsandbytes and accelerate: pip install bitsandbytes accel"
    ):
        load_model(str(folder), quantisation="4bit")
    with pytest.raises(ModelError, match="A device_map needs accelerate: pip install accelerate"):
        load_model(str(folder), device_map="auto")


def test_options_for_loading(monkeypatch):
    monkeypatch.setattr(placing, "find_spec", lambda name: name)
    assert Place("cuda:1", torch.float16).options() == {"dtype": torch.float16, "device_map": {"": "cuda:1"}}
    assert Place("cuda", torch.float16, device_map="auto").options()["device_map"] == "auto"
    quantised = Place("cuda", torch.bfloat16, "4bit").options()["quantization_config"]
    assert quantised.load_in_4bit and quantised.bnb_4bit_compute_dtype == torch.bfloat16


@pytest.mark.parametrize("quantisation", ["8bit", "4bit"])
def test_quantised_weights(quantisation):
    pytest.importorskip("bitsandbytes")
    pytest.importorskip("accelerate")
    folder = str(files("stcg_nb") / "data" / "tiny")  # the small one's layers are too narrow for 4 bits
    wide, narrow = load_model("tiny"), load_model(folder, quantisation=quantisation, device="cpu")
    image = make_scene(0).image
    prompt, answer = wide.prompt("what color is the car?"), wide.target("a red car")
    v, w = (m.trace([image], prompt, answer, capture=m.sites).v for m in (narrow, wide))
    assert np.abs(v - w).max() < 4 and np.corrcoef(v.ravel(), w.ravel())[0, 1] > 0.9
    with torch.device("meta"):
        network = Blip2ForConditionalGeneration(Blip2Config.from_pretrained(folder))
    taken = sum(w.numel() * w.element_size() for w in narrow.network.parameters())
    shuffled = narrow.randomised(0)
    other = shuffled.trace([image], prompt, answer).v
    assert np.abs(other - v).max() > 1
    np.testing.assert_array_equal(shuffled.trace([image], prompt, answer).v, other)
    np.testing.assert_array_equal(narrow.trace([image], prompt, answer, capture=narrow.sites).v, v)
    for (name, a), b in zip(narrow.network.named_parameters(), shuffled.network.parameters(), strict=True):
        assert torch.equal(a.flatten().sort().values, b.flatten().sort().values), name
    assert placing.weight_bytes(network, Place("cpu", torch.float32, quantisation)) == pytest.approx(taken, rel=0.1)


def test_a_device_map_spreads_the_parts(folder):
    pytest.importorskip("accelerate")
    parts = ("vision_model", "query_tokens", "qformer", "language_projection", "language_model")
    spread = load_model(str(folder), device_map=dict.fromkeys(parts, "cpu"))
    whole = load_model(str(folder))
    image = np.zeros((32, 32, 3), np.uint8)
    prompt, answer = whole.prompt("is it red?"), whole.target("a red car")
    np.testing.assert_allclose(*(m.trace([image], prompt, answer).v for m in (spread, whole)), atol=1e-5)


def test_a_hub_id_is_read_from_the_cache_offline_at_its_revision(folder, tmp_path):
    """As the hub's own variables say, and by the same code as a folder."""
    commits = {"main": "a" * 40, "v1": "b" * 40}
    home = tmp_path / "hf" / "hub" / "models--me--mine"
    for name, commit in commits.items():
        shutil.copytree(folder, home / "snapshots" / commit)
        (home / "refs").mkdir(exist_ok=True)
        (home / "refs" / name).write_text(commit)
    code = (
        "from stcg_nb import load_model\n"
        "for r in (None, 'v1'):\n"
        "    m = load_model('me/mine', revision=r)\n"
        "    print(m.name, m.revision)\n"
        "try:\n"
        "    load_model('me/other')\n"
        "except RuntimeError as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    first, second, refusal = out.strip().splitlines()
    assert (first, second) == (f"me/mine {commits['main']}", f"me/mine {commits['v1']}")
    assert "me/other could not be loaded" in refusal and "HF_HUB_OFFLINE is set" in refusal


def test_flags_of_the_command_line_are_settings_while_it_runs(monkeypatch):
    seen = []

    def asked(name):
        seen.append((name, Settings()))
        raise ModelError("seen enough")

    monkeypatch.setattr("stcg_nb.models.load_model", asked)
    before = Settings()
    flags = ["--device", "cpu", "--dtype", "bfloat16", "--quantisation", "8bit", "--revision", "v1"]
    assert cli.main(["accuracy", "--model", "me/mine", *flags]) == 1
    ((name, now),) = seen
    assert (name, now.device, now.dtype, now.quantisation, now.revision) == ("me/mine", "cpu", "bfloat16", "8bit", "v1")
    assert Settings() == before
