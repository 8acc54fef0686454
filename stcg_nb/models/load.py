"""Load a model by name: the embedded one, the mock, or a checkpoint of any class that answers questions about pictures.

BLIP-2, InstructBLIP and LLaVA have adapters of their own (`stcg_nb.models.families`). Any other class of transformers'
image-text-to-text models goes through one generic adapter (`stcg_nb.models.generic`), which checks itself.

All models with weights are loaded by the same code. It reads weights from safetensors only, and never runs code that a
checkpoint brings. huggingface_hub reads its usual environment variables (``HF_HOME``, ``HF_HUB_OFFLINE``, ``HF_TOKEN``, ...).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
import transformers
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars
from packaging.version import Version
from safetensors import SafetensorError
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as CLASSES

from stcg_nb.errors import InputError, ModelError
from stcg_nb.models.engine import Engine
from stcg_nb.models.families import FAMILIES, Family
from stcg_nb.models.generic.checks import load_generic
from stcg_nb.models.generic.processors import load_processor
from stcg_nb.models.loading_progress import watched_loading
from stcg_nb.models.memory import DeviceMap, check_fit, choose
from stcg_nb.models.mock import Mock
from stcg_nb.models.protocol import Model
from stcg_nb.progress import progress
from stcg_nb.settings import Settings

NEEDED = "5.15"
SMALL = 10**9  # bytes; fewer weights load in about a second
# Ids that other projects name but the hub does not have, and ids that it has.
NOT_ON_HUB = ("salesforce/blip2-flan-t5-base", "salesforce/blip2-flan-t5-large")
ON_HUB = (
    "Salesforce/blip2-flan-t5-xl", "Salesforce/blip2-flan-t5-xxl", "Salesforce/blip2-opt-2.7b", "Salesforce/blip2-opt-6.7b",
    "Salesforce/instructblip-flan-t5-xl", "Salesforce/instructblip-vicuna-7b", "llava-hf/llava-1.5-7b-hf",
)  # fmt: skip
HELP = "The embedded model, 'tiny', needs no download."


def load_model(
    name: str | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    quantisation: str | None = None,
    revision: str | None = None,
    device_map: DeviceMap | None = None,
) -> Model:
    """Load a model.

    Args:
        name: ``"tiny"``, the embedded BLIP-2; ``"mock"``, made-up numbers; a folder in Hugging Face format; or a hub id, such
            as ``"Salesforce/blip2-flan-t5-xl"``. Default: the environment's setting (`stcg_nb.settings`), else ``"tiny"``.
        device, dtype: The device and the number format in which to compute, as in `stcg_nb.settings`. Default: the
            environment's setting.
        quantisation: ``"none"``, ``"8bit"`` or ``"4bit"`` (by bitsandbytes). Default: the environment's setting.
        revision: A branch, tag or commit of the hub. Default: the environment's setting, else the newest commit.
        device_map: As in transformers, such as ``"auto"``, to spread a model over several devices (by accelerate).

    Raises:
        InputError: For a device, number format or quantisation that does not exist, or a revision of a model that is not on
            the hub.
        ModelError: If the checkpoint does not exist, cannot be reached, is incomplete, has no weights in safetensors, is of no class
            that answers questions about pictures, fails the checks on loading (`stcg_nb.models.generic.checks`), or does not fit into
            memory. No other model is loaded instead.

    >>> load_model("mock").synthetic
    True
    """
    settings = Settings()
    given = {"device": device, "dtype": dtype, "quantisation": quantisation, "revision": revision}
    settings = Settings(**{**settings.model_dump(), **{k: v for k, v in given.items() if v is not None}})
    name = settings.model_name if name is None else str(name)
    if settings.revision is not None and (name in ("mock", "tiny") or os.path.isdir(name)):
        raise InputError(
            f"A revision ({settings.revision!r}) was given, but {name!r} is not on the hub; leave the revision out."
        )
    if name == "mock":
        return Mock()
    if name == "tiny":
        return _load(str(files("stcg_nb") / "data" / "tiny"), "tiny", settings, device_map)
    if name.strip() and os.path.isdir(name):
        return _load(name, Path(name).resolve().name, settings, device_map)
    if name.lower() in NOT_ON_HUB:
        raise ModelError(
            f"There is no {name} on the hub, though it is often named. There are {', '.join(ON_HUB)}. {HELP}"
        )
    if re.fullmatch(r"[\w.\-]+/[\w.\-]+", name) and not name.startswith((".", "/")):
        return _load(name, name, settings, device_map)
    raise ModelError(
        f"{name!r} is neither 'tiny' nor 'mock', nor a folder that exists, nor a hub id (owner/name). {HELP}"
    )


def _load(source: str, label: str, settings: Settings, device_map: DeviceMap | None) -> Model:
    if Version(transformers.__version__) < Version(NEEDED):
        raise ModelError(
            f"transformers {transformers.__version__} keeps T5's attention out of reach; install {NEEDED} or newer: "
            f"pip install 'transformers>={NEEDED}'."
        )
    place = choose(settings, device_map)
    local = os.path.isdir(source)
    origin: dict[str, Any] = {} if local else {"revision": settings.revision or "main"}
    try:
        with _quiet_if_small(source):
            raw, _ = transformers.PretrainedConfig.get_config_dict(source, **origin)
            if raw.get("model_type", "blip-2") not in CLASSES:  # a config without model_type is refused below
                raise _unknown(raw["model_type"], label, own_code="auto_map" in raw)
            config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False, **origin)
            family = _family(config, label)
            if pickles := _pickles(source):
                raise ModelError(
                    f"{label} holds its weights as pickle ({pickles[0]}), which can run code when read; save them as safetensors: "
                    f"model.save_pretrained(folder) of transformers does. {HELP}"
                )
            network_class = getattr(transformers, CLASSES[config.model_type])
            if not _small(source):
                with torch.device("meta"):
                    check_fit(network_class(config), place, label)
            with watched_loading() as options:
                network, report = network_class.from_pretrained(
                    source, use_safetensors=True, output_loading_info=True, **place.options(), **origin, **options
                )
            read = family.processor if family else partial(load_processor, model_type=config.model_type)
            processor = read(source, **origin)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        if isinstance(error, ModelError):
            raise
        reason = str(error).strip().split("\n")[0]
        if local:
            advice = (
                "Check that the folder holds config.json, *.safetensors, the tokenizer and preprocessor_config.json."
            )
        elif huggingface_hub.constants.HF_HUB_OFFLINE:
            advice = (
                "HF_HUB_OFFLINE is set, so only what the cache (HF_HOME) holds can be loaded; unset it to download."
            )
        else:
            advice = "Check the id and the network (and `hf auth login` for a private one), or give a local folder."
        raise ModelError(f"{label} could not be loaded ({reason}). {advice} {HELP}") from error
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelError(
            f"The weights of {label} lack {len(missing)} tensors, such as {missing[0]!r}: the checkpoint is incomplete. {HELP}"
        )
    if not all(t.is_fast for t in (processor.tokenizer, getattr(processor, "query_tokenizer", None)) if t is not None):
        raise ModelError(f"{label} has no fast tokenizer (tokenizer.json), which is needed to find whole words. {HELP}")
    if "device_map" not in place.options():
        network = network.to(place.device)
    revision = _revision(source, origin.get("revision"))
    if family is None:
        return load_generic(network, processor, label, revision)
    return Engine(network, family, processor, label, revision)


def _family(config: transformers.PretrainedConfig, label: str) -> Family | None:
    """The family of a checkpoint that has adapters of its own; None: the generic adapter takes it.

    Raises:
        ModelError: If its language model is neither known nor decoder-only.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        return None
    fits = family.vision in (None, config.vision_config.model_type)
    if fits and config.text_config.model_type in family.languages:
        return family
    if family.vision is not None:
        return None
    raise _unknown(f"{config.model_type} with {config.text_config.model_type}", label)


def _unknown(kind: str, label: str, *, own_code: bool = False) -> ModelError:
    code = " It brings code of its own, which is never run." if own_code else ""
    return ModelError(
        f"{label} is a {kind} model, which transformers {transformers.__version__} does not know as one that answers questions about "
        f"pictures; docs/families.md lists the model types that were tried.{code} {HELP}"
    )


def _pickles(source: str) -> list[str]:
    """Names of the pickled weights in a folder that has no safetensors."""
    if not os.path.isdir(source) or any(Path(source).glob("*.safetensors")):
        return []
    return sorted(p.name for ending in ("bin", "pt", "pth") for p in Path(source).glob(f"*.{ending}"))


def _small(source: str) -> bool:
    """Whether the source is a folder with less than `SMALL` bytes of weights."""
    return os.path.isdir(source) and sum(p.stat().st_size for p in Path(source).glob("*.safetensors")) < SMALL


@contextmanager
def _quiet_if_small(source: str) -> Iterator[None]:
    """Hide the progress bars of transformers while a small folder is loaded."""
    bars = transformers.utils.logging
    if not _small(source) or not bars.is_progress_bar_enabled():
        yield
        return
    hub_was_quiet = are_progress_bars_disabled()
    bars.disable_progress_bar()  # also disables those of huggingface_hub
    try:
        yield
    finally:
        bars.enable_progress_bar()
        if hub_was_quiet:
            disable_progress_bars()


def _revision(source: str, revision: str | None) -> str:
    """The hub's commit, or a digest of the folder's weights where `revision` is None."""
    if revision is not None:
        cached = huggingface_hub.try_to_load_from_cache(source, "config.json", revision=revision)
        return Path(str(cached)).parent.name  # snapshots/COMMIT/config.json
    digest, paths = hashlib.sha256(), sorted(Path(source).glob("*.safetensors"))
    with progress("checksums", len(paths), "file") as advance:
        for path in paths:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
            advance(1)
    return digest.hexdigest()[:12]
