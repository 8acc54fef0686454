"""A sweep on two workers of a Ray on this machine."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from stcg_nb.errors import InputError
from stcg_nb.models import Model
from stcg_nb.sweep import run as module
from stcg_nb.sweep.folder import BATCH, SweepFolder
from stcg_nb.sweep.options import SweepOptions
from stcg_nb.sweep.parts import SweepError
from stcg_nb.sweep.rows import FinishedQuestion
from stcg_nb.sweep.run import sweep
from stcg_nb.sweep.worker import prepared

ray = pytest.importorskip("ray", reason="Ray is not installed (the extra 'ray')")
from stcg_nb.sweep.ray_pool import OnRay  # noqa: E402

N = 5 * BATCH - 3
FAST = SweepOptions(regions="grid:2x2", perturbations=(), masks=0)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One for all tests, since starting one takes seconds."""
    from stcg_nb.sweep.ray_pool import _start

    _start(2)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(folder / "a.png")
    lines = [
        {"image": "a.png" if i != 11 else "gone.png", "question": f"what is {i}?", "answer": "x"} for i in range(N)
    ]
    (folder / "t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "t.jsonl"


@pytest.fixture(scope="module")
def alone(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone")
    sweep(table, out, "mock", FAST, report=lambda _: None)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def workers() -> list[psutil.Process]:
    """The processes that hold a model."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "MapWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue  # it has just ended
    return found


def test_a_worker_that_is_killed_loses_nothing_and_the_folder_is_that_of_one_process(
    table: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    killed: list[int] = []
    places: list[int] = []
    keep = SweepFolder.keep

    def kill_once(self: SweepFolder, done: FinishedQuestion) -> None:
        if not killed:
            victims = workers()
            assert len(victims) == 2
            victims[0].kill()
            killed.append(victims[0].pid)
        places.append(done.place)
        keep(self, done)

    monkeypatch.setattr(SweepFolder, "keep", kill_once)
    assert sweep(table, tmp_path, "mock", FAST, workers=2, report=lambda _: None).skipped == 1
    assert killed
    assert sorted(places) == list(range(N))
    assert contents(tmp_path) == contents(alone)


def test_it_goes_on_with_what_a_single_process_has_begun(
    table: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        keep, count = SweepFolder.keep, []

        def stop(self: SweepFolder, done: FinishedQuestion) -> None:
            keep(self, done)
            count.append(done.place)
            if len(count) == BATCH + 2:
                raise KeyboardInterrupt

        patch.setattr(SweepFolder, "keep", stop)
        with pytest.raises(KeyboardInterrupt):
            sweep(table, tmp_path, "mock", FAST, report=lambda _: None)
    sweep(table, tmp_path, "mock", FAST, workers=1, report=lambda _: None)
    assert contents(tmp_path) == contents(alone)


def test_no_model_lies_beside_those_of_the_workers(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A small GPU has room for one."""
    loaded: list[weakref.ref] = []

    def noted(model: str | None, how: SweepOptions) -> Model:
        vlm = prepared(model, how)
        loaded.append(weakref.ref(vlm))
        return vlm

    def within(*_: object) -> Iterator[FinishedQuestion]:
        assert [model() for model in loaded] == [None]
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(module, "prepared", noted)
    monkeypatch.setattr(OnRay, "__call__", within)
    with pytest.raises(KeyboardInterrupt):
        sweep(table, tmp_path, "tiny", FAST, workers=1)


def test_more_workers_than_there_is_room_for(tmp_path: Path, table: Path):
    with pytest.raises(InputError, match="5 workers need 5 CPUs, and Ray has 2"):
        sweep(table, tmp_path / "a", "mock", FAST, workers=5)
    with pytest.raises(InputError, match="0 workers"):
        sweep(table, tmp_path / "b", "mock", FAST, workers=0)


def test_a_cluster_that_cannot_be_joined_is_named(monkeypatch: pytest.MonkeyPatch):
    from stcg_nb.sweep.ray_pool import _start

    def never(**_: object) -> None:
        raise Exception("The node timed out.\nmore")

    monkeypatch.setattr(ray, "init", never)
    with pytest.raises(SweepError, match=r"Ray could not be started \(The node timed out.\)"):
        _start(2)
