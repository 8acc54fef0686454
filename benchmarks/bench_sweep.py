"""What a sweep costs besides its model, what a kill costs, what a second worker brings, and whether memory stays flat.

    python benchmarks/bench_sweep.py [--parts overhead,resume,ray,memory] [--n 2] [--masks 256] [--tokens 4] [--records 10000]

Every part prints a ratio:

overhead   On a BLIP-2 of 250 million random weights: the share of the run that is not spent in the model's methods, and the share that
           is not spent in `explain` (what the sweep adds to it). To reach: at most 0.03. Default explanations, of 256 masks.
           Random weights never stop, so answers are cut after --tokens; nine in ten of VQA's have one word (Antol et al. 2015).
resume     A sweep in a process of its own is killed (-9) at random moments: questions explained again / a batch. To reach: at most 1.
ray        Questions a second of two workers, each pinned to a core of its own / those of one pinned worker, on the embedded
           model; from when every worker has delivered. To reach: at least 1.7. Needs two idle cores.
memory     Resident memory while the mock is swept over many small records: at the end / after the first tenth. To reach: 1, flat.

On two idle cores they take about four minutes, one, two and four.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from bench_engine import LARGE_TOKENS, save_large
from PIL import Image

from stcg_nb.datasets import load_dataset
from stcg_nb.models import engine
from stcg_nb.models.engine import Engine
from stcg_nb.sweep import worker
from stcg_nb.sweep.folder import BATCH, SweepFolder
from stcg_nb.sweep.options import SweepOptions
from stcg_nb.sweep.rows import FinishedQuestion
from stcg_nb.sweep.run import sweep

LIGHT = SweepOptions(regions="grid:2x2", perturbations=(), masks=0)
METHODS = ("prompt", "answer", "target", "trace", "relevance")


def overhead(n: int, masks: int, tokens: int) -> str:
    """Shares of a sweep outside the model, and outside `explain`."""
    spent: Counter[str] = Counter()
    depth: Counter[str] = Counter()

    def timed(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            depth[what] += 1
            start = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                depth[what] -= 1
                if not depth[what]:  # a method that calls another counts once
                    spent[what] += time.perf_counter() - start

        return run

    engine.MAX_NEW_TOKENS = tokens
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        save_large(root / "model")
        for name in METHODS:
            setattr(Engine, name, timed("model", getattr(Engine, name)))
        worker.explain = timed("explain", worker.explain)
        finish, run = SweepFolder.finish, worker.Local.__call__

        def started(*args: Any) -> Any:
            spent.clear()  # of what loading and checking the settings took
            spent["start"] = time.perf_counter()
            yield from run(*args)

        def finished(self: SweepFolder) -> int:
            skipped = finish(self)
            spent["whole"] = time.perf_counter() - spent["start"]
            return skipped

        worker.Local.__call__, SweepFolder.finish = started, finished
        sweep(load_dataset("scenes", n=n), root / "out", str(root / "model"), SweepOptions(masks=masks))
    whole = spent["whole"]
    return (
        f"outside the model / the run {1 - spent['model'] / whole:.4f} (to reach: at most 0.03), outside explain / the run "
        f"{1 - spent['explain'] / whole:.4f}; the run {whole:.0f} s (n = {n}, answers of {tokens} tokens)"
    )


def small_table(folder: Path, n: int) -> Path:
    picture = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(picture).save(folder / "a.png")
    path = folder / "t.jsonl"
    path.write_text("".join(json.dumps({"image": "a.png", "question": f"what is {i}?"}) + "\n" for i in range(n)))
    return path


def swept_in_a_process(table: str, out: str, log: str) -> None:
    """A sweep that notes every question that it asks."""
    explained = worker.explained

    def noted(model: Any, how: SweepOptions, place: int, record: Any) -> FinishedQuestion:
        with Path(log).open("a") as file:
            file.write(f"{place}\n")
        return explained(model, how, place, record)

    worker.explained = noted
    sweep(table, out, "mock", LIGHT)


def resume(kills: int = 5, n: int = 120) -> str:
    """Questions that are asked again after each of several kills."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        table, log = small_table(root, n), root / "asked"
        command = [sys.executable, __file__, "--child", str(table), str(root / "out"), str(log)]
        again, seen = [], 0
        for kill in range(kills + 1):
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            if kill < kills:
                until = seen + rng.randint(1, n // (kills + 1))
                while process.poll() is None and (not log.exists() or log.read_text().count("\n") < until):
                    time.sleep(0.002)
                process.kill()
            process.wait()
            asked = log.read_text().split()
            again.append(len(set(asked[:seen]) & set(asked[seen:])))
            seen = len(asked)
        whole = sorted(set(map(int, log.read_text().split()))) == list(range(n))
    again = again[1:]
    return (
        f"asked again / a batch {max(again) / BATCH:.2f} (to reach: at most 1); after each of {kills} kills {again} questions "
        f"were asked again, a batch is {BATCH}; all {n} were asked: {whole}"
    )


def ray(n: int) -> str:
    """Throughput of two pinned workers over that of one."""
    from stcg_nb.sweep import ray_pool as sweep_ray

    # Ray makes its workers nice, so that whatever else runs on their cores, the sweep's own writing included, goes first.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112

    class Pinned(sweep_ray._Worker):
        def __init__(self, model: str | None, how: SweepOptions) -> None:
            import torch

            cores = sorted(os.sched_getaffinity(0))
            for core in cores:  # the first that no other worker has taken
                try:
                    os.close(os.open(f"{os.environ['STCG_PINS']}/{core}", os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    continue
                os.sched_setaffinity(0, {core})
                break
            torch.set_num_threads(1)
            super().__init__(model, how)

    sweep_ray._Worker = Pinned  # type: ignore[misc]
    keep, arrived = SweepFolder.keep, []

    def noted(self: SweepFolder, done: FinishedQuestion) -> None:
        arrived.append(time.perf_counter())
        keep(self, done)

    SweepFolder.keep = noted  # type: ignore[method-assign]
    rates = {}
    for workers in (1, 2):
        arrived.clear()
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "pins").mkdir()
            os.environ["STCG_PINS"] = f"{folder}/pins"
            sweep(load_dataset("scenes", n=n), Path(folder) / "out", "tiny", SweepOptions(masks=0), workers=workers)
        first = arrived[workers * BATCH - 1]
        rates[workers] = (n - workers * BATCH) / (arrived[-1] - first)
    return (
        f"two workers / one {rates[2] / rates[1]:.2f} (to reach: at least 1.7); {rates[2]:.2f} and {rates[1]:.2f} questions a second "
        f"(n = {n})"
    )


def memory(records: int) -> str:
    """Resident memory in MB along a sweep of the mock."""
    process, sizes = psutil.Process(), []
    keep = SweepFolder.keep

    def noted(self: SweepFolder, done: FinishedQuestion) -> None:
        keep(self, done)
        if (done.place + 1) % (records // 10) == 0:
            sizes.append(process.memory_info().rss / 1e6)

    SweepFolder.keep = noted  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        sweep(small_table(Path(folder), records), Path(folder) / "out", "mock", LIGHT)
    return (
        f"at the end / after a tenth {sizes[-1] / sizes[0]:.3f} (to reach: 1); every {records // 10:,} records "
        f"{', '.join(f'{s:.0f}' for s in sizes)} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", default="overhead,resume,ray,memory")
    parser.add_argument("--n", type=int, default=2, help="questions of the part overhead")
    parser.add_argument("--masks", type=int, default=256, help="of the part overhead")
    parser.add_argument("--tokens", type=int, default=LARGE_TOKENS, help="of an answer, of the part overhead")
    parser.add_argument("--questions", type=int, default=10 * BATCH, help="of the part ray")
    parser.add_argument("--records", type=int, default=10_000, help="of the part memory")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        swept_in_a_process(*args.child)
        return
    parts = {
        "overhead": lambda: overhead(args.n, args.masks, args.tokens), "resume": resume, "ray": lambda: ray(args.questions),
        "memory": lambda: memory(args.records),
    }  # fmt: skip
    chosen = args.parts.split(",")
    for name in chosen:
        if len(chosen) == 1:
            print(f"{name:<9} {parts[name]()}", flush=True)
        else:  # each in a process of its own, since they take measure in different ways
            sizes = [f"--{key}={getattr(args, key)}" for key in ("n", "masks", "tokens", "questions", "records")]
            subprocess.run([sys.executable, __file__, "--parts", name, *sizes], check=True)


if __name__ == "__main__":
    main()
