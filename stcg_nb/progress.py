"""Progress of long loops, which a caller can watch and stop.

Long loops run inside `progress`. Without a watcher they show a bar (tqdm, after one second). Inside `watching` they call the
watcher instead. An exception that the watcher raises, such as `Stopped`, ends the loop there, so a loop needs no further code to
be stoppable. A loop inside another loop reports the outer loop's progress.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tqdm.auto import tqdm

from stcg_nb.errors import StcgError

Watcher = Callable[[str, float, float], None]
"""Called with the name of the work, how much is done, and how much there is in total."""

_watcher: ContextVar[Watcher | None] = ContextVar("stcg_watcher", default=None)


class Stopped(StcgError):
    """A watcher raises this to end the work it watches."""


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Report all progress inside the block to `watcher`, in this thread.

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
    """This thread's watcher, or None."""
    return _watcher.get()


@contextmanager
def without_bars() -> Iterator[None]:
    """Show no bars inside the block, because the caller shows one of its own; this thread's watcher is still called."""
    current = _watcher.get()
    with watching((lambda *_: None) if current is None else current):
        yield


def say(sentence: str) -> None:
    """Write a sentence to stderr, above any bars."""
    tqdm.write(sentence, file=sys.stderr)


@contextmanager
def progress(what: str, total: float, unit: str, done: float = 0) -> Iterator[Callable[[float], object]]:
    """The progress of a loop. Yields a function to call with the amount of work that was just done.

    Args:
        what: The name of the work.
        total: The total amount of work.
        unit: The unit of `total`, in the singular.
        done: The amount that an earlier run has done.
    """
    outer = _watcher.get()
    if outer is None:
        with tqdm(total=total, initial=done, desc=what, unit=unit, delay=1, leave=False) as bar:
            yield bar.update
        return

    def report(*inner: object) -> None:
        outer(what, done, total)

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
