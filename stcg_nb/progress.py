"""Progress of long work, which whoever started it can watch and stop.

Long loops run inside `progress`. Seen by nobody they show a bar (tqdm, after a second). Inside `watching` they show none and tell
the watcher instead; what the watcher raises, such as `Stopped`, ends the work at that point, so that stopping needs no
cooperation beyond the bar. A bar inside another one reports the outer one's progress.
"""

from __future__ import annotations

import sys
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
def without_bars() -> Iterator[None]:
    """Show no bar inside the block, for work whose caller has a bar already; whoever watches this thread still does."""
    told = _watcher.get()
    with watching((lambda *_: None) if told is None else told):
        yield


def say(sentence: str) -> None:
    """Write a sentence to stderr, above the bars that are shown there."""
    tqdm.write(sentence, file=sys.stderr)


@contextmanager
def progress(what: str, total: float, unit: str, done: float = 0) -> Iterator[Callable[[float], object]]:
    """A loop's progress: call what it yields with how many `unit` more of `total` are done.

    Args:
        what: The work's name.
        total: How much there is to do.
        unit: Of the total, in the singular.
        done: How much an earlier run has done already.
    """
    told = _watcher.get()
    if told is None:
        with tqdm(total=total, initial=done, desc=what, unit=unit, delay=1, leave=False) as bar:
            yield bar.update
        return

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
