"""Long work beside the notebook: one job at a time in a thread, watched, and stopped when asked to.

1. A job's function runs in the worker's thread, inside `stcg_nb.progress.watching`. Jobs run one after the other, since a model cannot
   do two things at once.
2. What it reports and returns is passed to the kernel's event loop, so that one thread alone changes widgets.
3. `Job.stop` takes effect at once for whoever waits: the job's result is dropped. Its thread ends at the next step of any progress
   bar. A new job stops an earlier one of the same name.
4. Where nobody watches, as under papermill, the work is done at once in the calling thread (`Worker.run`, ``wait``).
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stcg_nb.errors import StcgError
from stcg_nb.progress import Stopped, watching

INTERVAL = 0.1  # seconds between two reports
_log = logging.getLogger(__name__)


class Job:
    """A piece of work that was started.

    Attributes:
        name: Jobs of one name replace each other.
        waiting: Whether the thread is still busy with other work.
        ended: Whether its end was told, by result, error or stop.
    """

    def __init__(self, name: str, told: Callable[[Job, str, Any], None]) -> None:
        self.name, self._told = name, told
        self.waiting, self.ended = False, False
        self._stop = threading.Event()

    def stop(self) -> None:
        """End it; what it still returns is dropped."""
        self._stop.set()
        self.tell("stopped", None)

    def tell(self, what: str, value: Any) -> None:
        """Tell whoever waits, unless the end was told already."""
        if not self.ended:
            self.ended = what != "progress"
            self._told(self, what, value)

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()


class Worker:
    """Runs jobs.

    Nothing here knows of widgets. `run` and `Job.stop` are called from the thread of the event loop.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="stcg")
        self._jobs: dict[str, Job] = {}

    def run(
        self, name: str, function: Callable[[], Any], told: Callable[[Job, str, Any], None], *, wait: bool | None = None
    ) -> Job:
        """Do a piece of work.

        Args:
            name: A running job of this name is stopped first.
            function: The work.
            told: Called with the job and ``"progress"`` and (what, done, total); then with ``"done"`` and the result,
                ``"failed"`` and a sentence, or ``"stopped"`` and None. Never after the end was told.
            wait: Do it at once in this thread; by default where nobody watches.
        """
        if (running := self._jobs.get(name)) is not None:
            running.stop()
        job = self._jobs[name] = Job(name, told)
        if not someone_watches() if wait is None else wait:
            job.tell(*_attempt(function))
            return job
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()

        def tell(what: str, value: Any) -> None:
            loop.call_soon_threadsafe(job.tell, what, value, context=context)

        def work() -> None:
            job.waiting = False
            if not job.stopping:
                with watching(_Reporter(job, tell)):
                    result = _attempt(function)
                tell(*result)

        job.waiting = True
        self._pool.submit(work)
        return job

    @property
    def busy(self) -> bool:
        return any(not job.ended for job in self._jobs.values())

    def close(self) -> None:
        """Stop everything."""
        for job in self._jobs.values():
            job.stop()
        self._pool.shutdown(wait=False)


class _Reporter:
    """Passes progress on, not too often, and ends the work of a job that was stopped."""

    def __init__(self, job: Job, tell: Callable[[str, Any], None]) -> None:
        self._job, self._tell, self._next = job, tell, 0.0

    def __call__(self, what: str, done: float, total: float) -> None:
        if self._job.stopping:
            raise Stopped("The work was stopped.")
        now = time.monotonic()
        if now >= self._next:
            self._next = now + INTERVAL
            self._tell("progress", (what, done, total))


def _attempt(function: Callable[[], Any]) -> tuple[str, Any]:
    """Do a piece of work, and tell how it ended."""
    try:
        return "done", function()
    except Stopped:
        pass
    except StcgError as error:
        return "failed", str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the panel must say it and stay usable
        _log.exception("A job failed.")
        return "failed", f"Something went wrong ({type(error).__name__}: {error}); the log of the kernel says where."
    gc.collect()  # what was made so far may be gigabytes, and hold itself
    return "stopped", None


def someone_watches() -> bool:
    """Whether what is being executed was asked for by a notebook that can show widgets and send clicks.

    JupyterLab, Notebook and VS Code send the cell's id with a request, and Colab is known by its module; papermill, nbclient and nbval
    send none. A wrong guess costs little: the work is done at once, in the cell.
    """
    kernel = getattr(_shell(), "kernel", None)
    if kernel is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    if "google.colab" in sys.modules:
        return True
    parent = kernel.get_parent() or {}
    return parent.get("msg_type") == "comm_msg" or "cellId" in parent.get("metadata", {})


def _shell() -> Any:
    from IPython import get_ipython

    return get_ipython()
