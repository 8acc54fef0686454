"""Loading a checkpoint under a watcher (`stcg_nb.progress.watching`): how far it is, and an end at the next step if that is wanted.

transformers and huggingface_hub show their progress in bars of tqdm, of which both take another make
(`transformers.utils.logging.set_tqdm_hook`, ``tqdm_class``). The make here shows nothing, tells the watcher, and lets what the
watcher raises through: a load ends between two tensors, a download between two pieces. Files that came whole stay in the hub's
cache. Only hf_xet, which reports from a thread of its own, goes on to the end of the files that are under way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import transformers
from tqdm import tqdm

from stcg_nb.progress import Watcher, watcher


@contextmanager
def loading_told() -> Iterator[dict[str, Any]]:
    """Tell this thread's watcher of all loading inside the block, and raise what it raises; yields the options that
    ``from_pretrained`` needs for it."""
    to_tell = watcher()
    if to_tell is None:
        yield {}
        return
    raised: list[BaseException] = []

    def told(what: str, done: float, total: float) -> None:
        try:
            to_tell(what, done, total)
        except BaseException as error:
            raised.append(error)
            raise

    bars = _bars(told)

    def bar(factory: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return (factory if watcher() is None else bars)(*args, **kwargs)  # another thread's bars stay its own

    before = transformers.utils.logging.set_tqdm_hook(bar)
    try:
        yield {"tqdm_class": bars}
    except Exception:  # transformers wraps whatever ends a download
        if not raised:
            raise
    finally:
        transformers.utils.logging.set_tqdm_hook(before)
    if raised:
        raise raised.pop()  # kept by nobody: its frames hold what was loaded so far


def _bars(told: Watcher) -> type[Any]:
    """A make of bars that shows nothing and tells `told`: of bytes in megabytes, of all else in tensors."""

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            self.of_bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **{**kwargs, "disable": True})

        def __iter__(self) -> Iterator[Any]:
            for item in self.iterable or ():
                yield item
                self.update()

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            what, unit = ("megabytes", 1e6) if self.of_bytes else ("tensors", 1)
            told(what, self.n / unit, (self.total or 0) / unit)

    return Bar
