"""The same sweep on many workers, each with a model of its own, by Ray Data (docs.ray.io/en/latest/data; an optional extra).

1. Records are light, so this process sends them out in batches; a worker reads the pictures itself. On several machines the
   pictures must be where all of them see them.
2. A worker loads the model once, and returns rows and the STCGs' bytes. This process alone writes, so folder and manifest
   are those of a sweep without Ray. It loads the model too, to write down which one it is, and frees it before the workers start.
3. If a worker dies, Ray starts another one and gives it the batch again. If this process dies, starting the sweep again goes on;
   at most one batch for each worker is lost.

A worker takes one GPU where the cluster has any, else one CPU core. A cluster that runs is joined (``RAY_ADDRESS``); else one
is started on this machine, for as long as the sweep takes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from stcg_nb.datasets import Record
from stcg_nb.errors import InputError, StcgError
from stcg_nb.sweep.folder import BATCH
from stcg_nb.sweep.options import SweepOptions
from stcg_nb.sweep.parts import SweepError
from stcg_nb.sweep.rows import FinishedQuestion
from stcg_nb.sweep.worker import explained, prepared

_SETTINGS = ("STCG_", "USE_MOCK_MODEL", "HF_", "OMP_NUM_THREADS")  # of the environment, that workers need


@dataclass(frozen=True)
class OnRay:
    """Workers on Ray.

    Attributes:
        model: A name for `load_model`.
        how: How to explain.
        workers: How many.

    Raises:
        InputError: If Ray is not installed.
    """

    model: str | None
    how: SweepOptions
    workers: int

    def __post_init__(self) -> None:
        try:
            import ray.data  # noqa: F401
        except ImportError:
            raise InputError(
                "Several workers need Ray, which is not installed; install it (pip install 'stcg-nb[ray]'), or leave the number of "
                "workers out."
            ) from None

    def __call__(self, records: Iterable[tuple[int, Record]]) -> Iterator[FinishedQuestion]:
        """Explain the records, in any order.

        Raises:
            SweepError: If a worker's model fails, or the cluster has no room for the workers.
        """
        import ray
        import ray.data

        items = [{"place": place, "record": record} for place, record in records]
        ours = not ray.is_initialized()
        if ours:
            _start(self.workers)
        try:
            there = ray.cluster_resources()
            kind = "GPU" if there.get("GPU") else "CPU"
            if there.get(kind, 0) < self.workers:
                raise InputError(
                    f"{self.workers} workers need {self.workers} {kind}s, and Ray has {there.get(kind, 0):.0f}; ask for fewer."
                )
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False  # the sweep has its own
            context.print_on_execution_start = False
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            dataset = ray.data.from_items(items, override_num_blocks=-(-len(items) // BATCH)).map_batches(
                _Worker,
                fn_constructor_args=(self.model, self.how),
                batch_size=BATCH,
                compute=ray.data.ActorPoolStrategy(size=self.workers),
                num_gpus=1 if kind == "GPU" else None,
                num_cpus=1 if kind == "CPU" else None,
            )
            for row in dataset.iter_rows():
                yield row["finished"]
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error.__cause__
            if isinstance(cause, StcgError):
                raise SweepError(str(cause)) from None
            raise SweepError(
                f"Ray stopped ({type(error).__name__}: {str(error).strip().splitlines()[-1]}); what is done is kept, and starting the "
                "same sweep again goes on."
            ) from error
        finally:
            if ours:
                ray.shutdown()


def _start(workers: int) -> None:
    """Join the cluster, or start one here that has room for the workers."""
    import ray

    address = os.environ.get("RAY_ADDRESS")
    try:
        ray.init(
            address=address,
            num_cpus=None if address else workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {k: v for k, v in os.environ.items() if k.startswith(_SETTINGS)}},
        )
    except Exception as error:  # a start that takes too long is a plain Exception
        raise SweepError(
            f"Ray could not be started ({str(error).strip().splitlines()[0]}); what is done is kept: start the same sweep again."
        ) from error


class _Worker:
    """A process with a model."""

    def __init__(self, model: str | None, how: SweepOptions) -> None:
        self._model, self._how = prepared(model, how), how

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        pairs = zip(batch["place"].tolist(), batch["record"], strict=True)
        return {"finished": [explained(self._model, self._how, place, record) for place, record in pairs]}
