"""Progress of long work, which whoever started it can watch and stop.

Long loops run inside `progress`. Seen by nobody they show a bar (tqdm, after a second). Inside `watching` they show none and tell
the watcher instead; what the watcher raises, such as `Stopped`, ends the work at that point, so that stopping needs no
cooperation beyond the bar. A bar inside another one reports the outer one's progress.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tqdm.auto import tqdm

from stcg_nb.errors import StcgError

Watcher = Callable[[str, float, float], None]
"""Told what is going on, how much of it is done, and of how much."""

_watcher: ContextVar[Watcher | None] = ContextVar("stcg_watcher", default=None)


class Stopped(StcgError):
    """Raised by a watcher to end what it watches."""


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Tell `watcher` of all progress inside the block, in this thread.

    >>> seen = []
    >>> with watching(lambda *state: seen.append(state)), progress("masks", 3, "mask") as advance:
    ...     advance(2)
    >>> seen
    [('masks', 0, 3), ('masks', 2, 3)]
    """
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def watcher() -> Watcher | None:
    """Who watches this thread, if anybody does."""
    return _watcher.get()


@contextmanager
def progress(what: str, total: float, unit: str) -> Iterator[Callable[[float], object]]:
    """A loop's progress: call what it yields with how many `unit` more of `total` are done."""
    told = _watcher.get()
    if told is None:
        with tqdm(total=total, desc=what, unit=unit, delay=1, leave=False) as bar:
            yield bar.update
        return
    done: float = 0

    def report(*inner: object) -> None:
        told(what, done, total)

    def advance(n: float) -> None:
        nonlocal done
        done += n
        report()

    report()
    token = _watcher.set(report)
    try:
        yield advance
    finally:
        _watcher.reset(token)
