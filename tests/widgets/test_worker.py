"""Work beside the notebook: it tells how it goes, stops when asked to, and ends in a result or a sentence."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest
from on_screen import every

from stcg_nb.errors import InputError
from stcg_nb.progress import progress
from stcg_nb.widgets.panel import Busy
from stcg_nb.widgets.worker import Worker, someone_watches


class Heard:
    """What a job told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []
        self.threads: set[int] = set()

    def __call__(self, job, what, value):
        self.events.append((what, value))
        self.threads.add(threading.get_ident())

    async def end(self) -> tuple[str, object]:
        while not self.events or self.events[-1][0] == "progress":
            await asyncio.sleep(0.01)
        return self.events[-1]


def steps(n: int, each: float = 0.0, done: list | None = None):
    def work() -> str:
        with progress("steps", n, "step") as advance:
            for i in range(n):
                time.sleep(each)
                if done is not None:
                    done.append(i)
                advance(1)
        return "result"

    return work


def test_work_runs_beside_the_loop_and_tells_it():
    async def run() -> None:
        heard = Heard()
        Worker().run("a", steps(3), heard, wait=False)
        assert await heard.end() == ("done", "result")
        assert heard.events[0] == ("progress", ("steps", 0, 3))
        assert heard.threads == {threading.get_ident()}

    asyncio.run(run())


def test_a_stopped_job_says_so_at_once_and_its_thread_ends_soon():
    async def run() -> None:
        heard, done, worker = Heard(), [], Worker()
        job = worker.run("a", steps(1000, 0.005, done), heard, wait=False)
        while not done:
            await asyncio.sleep(0.005)
        job.stop()
        assert heard.events[-1] == ("stopped", None) and not worker.busy
        other = Heard()
        worker.run("b", steps(1), other, wait=False)
        assert await other.end() == ("done", "result")  # the thread is free again
        assert len(done) < 900
        assert heard.events[-1] == ("stopped", None)

    asyncio.run(run())


def test_a_later_job_of_the_same_name_replaces_the_one_before():
    async def run() -> None:
        first, second, worker = Heard(), Heard(), Worker()
        worker.run("a", steps(1000, 0.005), first, wait=False)
        worker.run("a", steps(1), second, wait=False)
        assert await second.end() == ("done", "result")
        assert [what for what, _ in first.events if what != "progress"] == ["stopped"]

    asyncio.run(run())


def test_errors_are_sentences():
    def own() -> None:
        raise InputError("This is wrong.")

    def other() -> None:
        raise RuntimeError("odd")

    for work, said in ((own, "This is wrong."), (other, "RuntimeError: odd")):
        heard = Heard()
        Worker().run("a", work, heard, wait=True)
        ((what, value),) = heard.events
        assert what == "failed" and said in str(value)


def test_work_that_waits_for_other_work_says_so(monkeypatch):
    monkeypatch.setattr("stcg_nb.widgets.worker.someone_watches", lambda: True)

    async def run() -> None:
        worker, busy, done = Worker(), Busy(), []
        worker.run("a", steps(1000, 0.005, done), Heard())
        while not done:
            await asyncio.sleep(0.005)
        busy.start(lambda told: worker.run("b", steps(1), told), "Asking", lambda _: None)
        until = time.monotonic() + 4
        while "after what else is under way" not in what_it_says(busy):
            assert time.monotonic() < until
            await asyncio.sleep(0.05)
        worker.close()

    asyncio.run(run())


def test_outside_a_notebook_nobody_watches():
    assert someone_watches() is False


@pytest.mark.parametrize(
    ("parent", "watched"),
    [
        ({"msg_type": "execute_request", "metadata": {"cellId": "x"}}, True), ({"msg_type": "comm_msg", "metadata": {}}, True),
        ({"msg_type": "execute_request", "metadata": {}}, False), ({}, False),
    ],
)  # fmt: skip
def test_a_notebook_is_watched_if_its_request_names_a_cell(parent, watched, monkeypatch):
    shell = SimpleNamespace(kernel=SimpleNamespace(get_parent=lambda: parent))
    monkeypatch.setattr("stcg_nb.widgets.worker._shell", lambda: shell)

    async def ask() -> bool:
        return someone_watches()

    assert asyncio.run(ask()) is watched
    assert someone_watches() is False  # no loop to come back to


def what_it_says(busy: Busy) -> str:
    return "".join(w.value for w in every(busy.widget) if type(w).__name__ == "HTML")
