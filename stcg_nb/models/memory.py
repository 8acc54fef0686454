"""Device, number format and memory of a checkpoint, decided before any weight is loaded.

To predict memory, the network is built on torch's meta device, which allocates nothing, and its weights are counted, each in the
format that it will have once loaded: the chosen one; float32 for modules that transformers keeps so in half precision (T5's
``wo``, BLIP-2's Q-Former); for linear layers that bitsandbytes quantises, 1 byte (8 bits), or half a byte and a share of a scale
(4 bits).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import torch
import transformers
from torch import nn

from stcg_nb.errors import ModelError
from stcg_nb.models.batching import free_memory
from stcg_nb.settings import Settings

# Bytes per quantised weight. With 4 bits, every 64 weights share a float32 scale.
QUANTISED = {"8bit": 1.0, "4bit": 0.5 + 4 / 64}
SLACK = 1.1  # framework overhead, relative to weights
ONE_ROW = 256 << 20  # bytes for the activations of one row

DeviceMap = str | Mapping[str, int | str]


@dataclass(frozen=True)
class Place:
    """Device and number format of a model to be loaded.

    Attributes:
        device: Such as ``"cpu"`` or ``"cuda:0"``.
        dtype: Number format of unquantised weights and of activations.
        quantisation: ``"none"``, ``"8bit"`` or ``"4bit"``.
        device_map: How to spread the model over several devices; None: all of it on `device`.
    """

    device: str
    dtype: torch.dtype
    quantisation: str = "none"
    device_map: DeviceMap | None = None

    def options(self) -> dict[str, Any]:
        """Options for ``from_pretrained``. With accelerate, weights go straight to their device, shard by shard."""
        options: dict[str, Any] = {"dtype": self.dtype}
        if self.device_map is not None:
            options["device_map"] = self.device_map
        elif _installed("accelerate"):
            options["device_map"] = {"": self.device}
        if self.quantisation != "none":
            options["quantization_config"] = transformers.BitsAndBytesConfig(
                load_in_8bit=self.quantisation == "8bit", load_in_4bit=self.quantisation == "4bit",
                bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=self.dtype,
            )  # fmt: skip
        return options


def choose(settings: Settings, device_map: DeviceMap | None = None) -> Place:
    """Turn settings into a `Place`, resolving ``"auto"`` for this machine.

    The automatic number format is bfloat16 on CUDA hardware that supports it, float16 on other CUDA hardware, else float32.

    Raises:
        ModelError: If the device does not exist, or the packages for quantisation or a device map are not installed.
    """
    device = _device(settings.device)
    if settings.dtype != "auto":
        dtype = getattr(torch, settings.dtype)
    elif device.startswith("cuda"):
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    else:
        dtype = torch.float32
    if settings.quantisation != "none":
        _require(f"{settings.quantisation} weights need", "bitsandbytes", "accelerate")
    if device_map is not None:
        _require("A device_map needs", "accelerate")
    return Place(device, dtype, settings.quantisation, device_map)


def weight_bytes(network: nn.Module, place: Place) -> int:
    """Bytes that the weights of a network take once loaded; the network may be on the meta device."""
    float32_names: set[str] = set()
    if place.dtype == torch.float16 or place.quantisation != "none":
        float32_names = {
            name for module in network.modules() for name in getattr(module, "_keep_in_fp32_modules", None) or ()
        }
    output_layer = network.get_output_embeddings()  # type: ignore[operator]
    quantised: set[int] = set()
    if place.quantisation != "none":
        for name, module in network.named_modules():
            if (
                isinstance(module, nn.Linear)
                and module is not output_layer
                and not float32_names & set(name.split("."))
            ):
                quantised.add(id(module.weight))
    total = 0.0
    for name, weight in network.named_parameters():
        if id(weight) in quantised:
            total += weight.numel() * QUANTISED[place.quantisation]
        else:
            in_float32 = float32_names & set(name.split("."))
            total += weight.numel() * (torch.float32 if in_float32 else place.dtype).itemsize
    return round(total)


def needed_bytes(network: nn.Module, place: Place) -> int:
    """Bytes that it takes to load a network and run one row."""
    return round(weight_bytes(network, place) * SLACK) + ONE_ROW


def check_fit(network: nn.Module, place: Place, label: str) -> None:
    """Refuse a model that does not fit into memory, and name the number formats and devices that would.

    Args:
        network: The network, on the meta device.
        place: Where it is to be loaded.
        label: The model's name in the error.

    Raises:
        ModelError: If the model does not fit.
    """
    host = free_memory(torch.device("cpu"))
    through_host = place.device != "cpu" and "device_map" not in place.options()
    if through_host and weight_bytes(network, place) * SLACK > host:
        raise ModelError(
            f"{label} would pass through this machine's memory, of which {_gb(host)} are free, on its way to {place.device}; "
            "with accelerate it goes there piece by piece: pip install accelerate."
        )
    free = free_bytes(place)
    if needed_bytes(network, place) <= free:
        return
    others = [replace(place, quantisation="none", dtype=torch.bfloat16)]
    others += [replace(place, quantisation=name) for name in QUANTISED]
    fitting = [o for o in others if o != place and needed_bytes(network, o) <= free_bytes(o)]
    if place.device != "cpu" and place.device_map is None:
        on_host = Place("cpu", torch.bfloat16)
        fitting += [on_host] if needed_bytes(network, on_host) <= free_bytes(on_host) else []
    ways = ", ".join(f"{_named(o, place)} ({_gb(needed_bytes(network, o))})" for o in fitting)
    advice = (
        f"These would fit: {ways}." if fitting else "No other number format would fit either: take a larger machine."
    )
    where = "the devices together" if place.device_map is not None else place.device
    raise ModelError(
        f"{label} needs about {_gb(needed_bytes(network, place))} ({_format(place)}), and {_gb(free)} are free on {where}. "
        f"{advice} The embedded model, 'tiny', needs a few MB."
    )


def free_bytes(place: Place) -> int:
    """Free bytes at a place; with a device map, those of all GPUs and the host together."""
    if place.device_map is None:
        return free_memory(torch.device(place.device))
    gpus = [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
    return sum(free_memory(d) for d in [*gpus, torch.device("cpu")])


def _format(place: Place) -> str:
    return str(place.dtype).removeprefix("torch.") if place.quantisation == "none" else place.quantisation


def _named(other: Place, place: Place) -> str:
    way = f"quantisation {other.quantisation!r}" if other.quantisation != "none" else f"dtype {_format(other)!r}"
    return way if other.device == place.device else f"{way} on device {other.device!r}"


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def _installed(package: str) -> bool:
    return find_spec(package) is not None


def _require(what: str, *packages: str) -> None:
    missing = [p for p in packages if not _installed(p)]
    if missing:
        raise ModelError(f"{what} {' and '.join(missing)}: pip install {' '.join(missing)}.")


def _device(wanted: str) -> str:
    """The device to compute on; ``"auto"`` is CUDA where available, else the CPU."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = wanted.partition(":")
    missing = (kind == "cuda" and int(number or 0) >= torch.cuda.device_count()) or (
        kind == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise ModelError(
            f"The device asked for is {wanted!r}, which this machine or this build of torch does not have; 'cpu' always works, "
            "'auto' takes what there is."
        )
    return wanted
