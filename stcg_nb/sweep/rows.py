"""What a sweep keeps of an explanation as one row of a table: the numbers that a study averages over questions.

=====================  ======================================================================================================
column                 meaning
=====================  ======================================================================================================
``id``, ``question``,  of the record (`stcg_nb.datasets`), with ``image``, ``kind`` and ``answers``
``place``              of the question in the dataset, from 0 on
``image_sha256``       of the picture's pixels and shape, as the model saw them
``answer``             the model's; ``accuracy`` in [0, 1] is `vqa_accuracy`, empty where nobody said what is right
``p_answer``           probability of the whole answer; ``tokens`` and ``p`` are those of its steps
``words``              with ``word_effect``: what the answer loses in log-odds without each, mean over steps, nats
``word_link``          how strongly each word is linked: the sum of its links over regions; ``word_entropy``: how widely, nats, 0 if
                       with a single region, empty if with none
``region_effect``      as ``word_effect`` for each region, in the order of ``regions``
``seed_faithfulness``  correlation of links from steps with effects (`stcg_nb.faithfulness.measures`); empty for the causal
                       estimator, whose links are effects
``visual_reliance``    per step, nats, and ``entropy``, nats (`stcg_nb.graph.stcg`); ``order_p``: of the order of the steps
``masks``              forward passes that the causal graph took, 0 without one; ``trust`` from ``trust_low`` to ``trust_high``: the
                       estimated LDS of the graph with its 95 % interval, empty without a graph and where it is not defined
``confirmed`` ...      how many edges have each verdict, with ``hidden``, ``spurious`` and ``unclear``; empty without a causal graph
``delta_w_NAME`` ...   for each perturbation, with ``delta_w_js_``, ``delta_p_``, ``flipped_`` and ``pixel_distance_``
``artefact``           the STCG's file in the sweep's folder, for `STCG.load`, and ``artefact_sha256``
``error``              why there is no explanation; then what an explanation would have given is empty
=====================  ======================================================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import xarray as xr

from stcg_nb.datasets import Record
from stcg_nb.datasets.vqa_accuracy import vqa_accuracy
from stcg_nb.faithfulness.measures import seed_faithfulness
from stcg_nb.graph.stcg import STCG
from stcg_nb.graph.temporal import entropy

Row = dict[str, Any]

_TEXTS, _NUMBERS = pa.list_(pa.string()), pa.list_(pa.float64())
_RECORD = {
    "id": pa.string(), "place": pa.int64(), "question": pa.string(), "image": pa.string(), "kind": pa.string(), "answers": _TEXTS,
}  # fmt: skip
_EXPLANATION = {
    "image_sha256": pa.string(), "answer": pa.string(), "accuracy": pa.float64(), "p_answer": pa.float64(), "tokens": _TEXTS,
    "p": _NUMBERS, "words": _TEXTS, "word_effect": _NUMBERS, "word_link": _NUMBERS,
    "word_entropy": _NUMBERS, "regions": _TEXTS, "region_effect": _NUMBERS, "seed_faithfulness": pa.float64(),
    "visual_reliance": _NUMBERS, "entropy": _NUMBERS, "order_p": pa.float64(),
    "masks": pa.int64(), "trust": pa.float64(), "trust_low": pa.float64(), "trust_high": pa.float64(),
    "confirmed": pa.int64(), "hidden": pa.int64(), "spurious": pa.int64(), "unclear": pa.int64(),
}  # fmt: skip
_PERTURBATION = {
    "delta_w": pa.float64(), "delta_w_js": pa.float64(), "delta_p": pa.float64(), "flipped": pa.bool_(),
    "pixel_distance": pa.float64(),
}  # fmt: skip
_FILES = {"artefact": pa.string(), "artefact_sha256": pa.string(), "error": pa.string()}
VERDICTS = ("confirmed", "hidden", "spurious", "unclear")


@dataclass(frozen=True)
class FinishedQuestion:
    """A question that is explained or skipped.

    Attributes:
        place: Of the question in the dataset, from 0 on.
        row: Its row, but for the columns that say where the row and the STCG are kept.
        artefact: The STCG's bytes; None if the question was skipped.
    """

    place: int
    row: Row
    artefact: bytes | None


def schema(perturbations: Sequence[str]) -> pa.Schema:
    """The table's columns.

    >>> schema(["color_shift"]).names[-5:]
    ['flipped_color_shift', 'pixel_distance_color_shift', 'artefact', 'artefact_sha256', 'error']
    """
    by_name = {f"{key}_{name}": kind for name in perturbations for key, kind in _PERTURBATION.items()}
    return pa.schema({**_RECORD, **_EXPLANATION, **by_name, **_FILES})


def row_of_record(record: Record) -> Row:
    """The columns that are known before the model is asked; lone surrogates are escaped, since UTF-8 cannot hold them.

    >>> row_of_record(Record("1", None, "a.png", "what is \\ud83d?"))["question"]
    'what is \\\\ud83d?'
    """
    texts = {"id": record.id, "question": record.question, "image": record.image, "kind": record.kind}
    return {**{k: storable(text) for k, text in texts.items()}, "answers": [storable(a) for a in record.answers]}


def storable(text: str) -> str:
    """A text with its lone surrogates escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def row_of_stcg(stcg: STCG, record: Record) -> Row:
    """The columns that an explanation gives."""
    data = stcg.data

    def listed(name: str) -> list[float]:
        return data[name].values.tolist()

    verdicts = [str(v) for key in ("word_verdict", "region_verdict", "link_verdict") for v in data[key].values.flat]
    judged, links = any(verdicts), stcg.links().word_region
    strength = links.sum(1).tolist()
    row: Row = {
        "image_sha256": picture_digest(stcg.image),
        "answer": stcg.answer,
        "accuracy": vqa_accuracy(stcg.answer, record.answers) if record.answers else None,
        "p_answer": float(data.attrs["p_answer"]),
        "tokens": list(stcg.steps),
        "p": listed("p"),
        "words": list(stcg.words),
        "word_effect": data["word_effect"].values.mean(0).tolist(),
        "word_link": strength,
        "word_entropy": [e if s else None for e, s in zip(entropy(links).tolist(), strength, strict=True)],
        "regions": list(stcg.regions),
        "region_effect": data["region_effect"].values.mean(0).tolist(),
        "seed_faithfulness": _agreement(data),
        "visual_reliance": listed("visual_reliance"),
        "entropy": listed("entropy"),
        "order_p": float(data.attrs["order_p"]),
        "masks": data.attrs["masks"],
        **{name: data.attrs.get(name) for name in ("trust", "trust_low", "trust_high")},
        **{verdict: verdicts.count(verdict) if judged else None for verdict in VERDICTS},
    }
    for i, name in enumerate(data["perturbation"].values.tolist()):
        row |= {f"{key}_{name}": data[key].values[i].item() for key in _PERTURBATION}
    return row


def _agreement(data: xr.Dataset) -> float | None:
    """The correlation of links from steps with effects; None where it is not defined."""
    links, effects = (
        np.concatenate([data[word].values, data[region].values], axis=1)
        for word, region in (("step_word", "step_region"), ("word_effect", "region_effect"))
    )
    found = seed_faithfulness(links, effects)
    return None if np.isnan(found) else found


def picture_digest(image: np.ndarray) -> str:
    """The SHA-256 of a picture's shape and pixels, uint8 ``[height, width, 3]``."""
    return hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest()
