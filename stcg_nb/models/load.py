"""Load a model by name: the embedded one, the mock, or any BLIP-2 checkpoint; one path for all that have weights."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import torch
import transformers
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars
from packaging.version import Version
from safetensors import SafetensorError

from stcg_nb.errors import ModelError
from stcg_nb.models.base import Model
from stcg_nb.models.engine import Engine
from stcg_nb.models.families import FAMILIES, Family
from stcg_nb.models.mock import Mock
from stcg_nb.settings import Settings

NEEDED = "5.15"
SMALL = 10**9  # bytes of weights that load in a second or so
HELP = "The embedded model needs no download: load_model('tiny')."


def load_model(name: str | None = None, *, device: str | None = None, dtype: str | None = None) -> Model:
    """Load a model.

    Args:
        name: ``"tiny"``, the embedded BLIP-2; ``"mock"``, made-up numbers; a folder in Hugging Face format; or a hub id, such
            as ``"Salesforce/blip2-flan-t5-xl"``. Left out: what the environment asks for (`stcg_nb.settings`), else
            ``"tiny"``.
        device, dtype: Where and in what to compute, as in `stcg_nb.settings`; left out: what the environment asks for.

    Raises:
        InputError: For a device or number format that does not exist.
        ModelError: If there is no such checkpoint, it cannot be reached, its weights are incomplete or not in safetensors,
            or it is no BLIP-2 with a T5 language model. Never another model instead.

    >>> load_model("mock").synthetic
    True
    """
    settings = Settings()
    settings = Settings(
        **{**settings.model_dump(), **{k: v for k, v in (("device", device), ("dtype", dtype)) if v is not None}}
    )
    name = settings.model_name if name is None else str(name)
    if name == "mock":
        return Mock()
    if name == "tiny":
        return _load(str(files("stcg_nb") / "data" / "tiny"), "tiny", settings)
    if name.strip() and os.path.isdir(name):
        return _load(name, Path(name).resolve().name, settings)
    if re.fullmatch(r"[\w.\-]+/[\w.\-]+", name) and not name.startswith((".", "/")):
        return _load(name, name, settings)
    raise ModelError(
        f"{name!r} is neither 'tiny' nor 'mock', nor a folder that exists, nor a hub id (owner/name). {HELP}"
    )


def _load(source: str, label: str, settings: Settings) -> Engine:
    if Version(transformers.__version__) < Version(NEEDED):
        raise ModelError(
            f"transformers {transformers.__version__} keeps T5's attention out of reach; install {NEEDED} or newer: "
            f"pip install 'transformers>={NEEDED}'."
        )
    device = _device(settings.device)
    if settings.dtype == "auto":
        # Flan-T5 was trained in bfloat16 and degrades in float16.
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    else:
        dtype = getattr(torch, settings.dtype)
    here = os.path.isdir(source)
    try:
        with _quiet_if_small(source):
            config = transformers.AutoConfig.from_pretrained(source)
            family = _family(config, label)
            network, report = getattr(transformers, family.network).from_pretrained(
                source, dtype=dtype, use_safetensors=True, output_loading_info=True
            )
            readers = family.readers(source)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if isinstance(error, ModelError):
            raise
        reason = str(error).strip().split("\n")[0]
        advice = (
            "Check that the folder holds config.json, *.safetensors, the tokenizer and preprocessor_config.json."
            if here
            else "Check the id and the network (and `hf auth login` for a private one), or give a local folder."
        )
        raise ModelError(f"{label} could not be loaded ({reason}). {advice} {HELP}") from error
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelError(
            f"The weights of {label} lack {len(missing)} tensors, such as {missing[0]!r}: the checkpoint is incomplete. {HELP}"
        )
    if not all(t.is_fast for t in (readers.tokenizer, readers.query_tokenizer) if t is not None):
        raise ModelError(f"{label} has no fast tokenizer (tokenizer.json), which is needed to find whole words. {HELP}")
    return Engine(network.to(device), family, readers, label, _revision(source, config, here))


def _family(config: transformers.PretrainedConfig, label: str) -> Family:
    """Of which family a checkpoint is."""
    family = FAMILIES.get(config.model_type)
    inner = getattr(getattr(config, "text_config", None), "model_type", None)
    if family is None or inner not in family.languages:
        kind = config.model_type + (f" with {inner}" if inner else "")
        known = ", ".join(f"{name} with {' or '.join(f.languages)}" for name, f in FAMILIES.items())
        raise ModelError(f"{label} is a {kind} model; these are known: {known}. {HELP}")
    return family


def _device(wanted: str) -> str:
    """The device to compute on; ``"auto"`` is CUDA where there is any."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = wanted.partition(":")
    missing = (kind == "cuda" and int(number or 0) >= torch.cuda.device_count()) or (
        kind == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise ModelError(
            f"STCG_DEVICE is {wanted!r}, which this machine or this build of torch does not have; 'cpu' always works, "
            "'auto' takes what there is."
        )
    return wanted


@contextmanager
def _quiet_if_small(source: str) -> Iterator[None]:
    """No progress bars of transformers for a small folder; a download or gigabytes of weights keep theirs."""
    bars = transformers.utils.logging
    small = os.path.isdir(source) and sum(p.stat().st_size for p in Path(source).glob("*.safetensors")) < SMALL
    if not small or not bars.is_progress_bar_enabled():
        yield
        return
    hub_was_quiet = are_progress_bars_disabled()
    bars.disable_progress_bar()  # the hub's as well
    try:
        yield
    finally:
        bars.enable_progress_bar()
        if hub_was_quiet:
            disable_progress_bars()


def _revision(source: str, config: transformers.PretrainedConfig, here: bool) -> str:
    """The hub's commit, or a digest of a folder's weights."""
    if not here:
        return str(getattr(config, "_commit_hash", None) or "unknown")
    digest = hashlib.sha256()
    for path in sorted(Path(source).glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
