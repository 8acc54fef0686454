"""Progress of loading a checkpoint, reported to a watcher (`stcg_nb.progress.watching`), which can also stop it.

transformers and huggingface_hub show progress in tqdm bars, and both accept a substitute tqdm class
(`transformers.utils.logging.set_tqdm_hook`, ``tqdm_class``). The class here draws nothing. It reports to the watcher, and passes
on what the watcher raises: loading stops between two tensors, a download between two chunks. Files that are complete stay in the
hub's cache. A download by hf_xet, which reports from its own thread, goes on to the end of the files that it has begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import transformers
from tqdm import tqdm

from stcg_nb.progress import Watcher, watcher


@contextmanager
def watched_loading() -> Iterator[dict[str, Any]]:
    """Report all loading inside the block to this thread's watcher, and raise what it raises.

    Yields the options that ``from_pretrained`` needs for this; none without a watcher.
    """
    current = watcher()
    if current is None:
        yield {}
        return
    raised: list[BaseException] = []

    def report(what: str, done: float, total: float) -> None:
        try:
            current(what, done, total)
        except BaseException as error:
            raised.append(error)
            raise

    bar_class = _bar_class(report)

    def bar(factory: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return (factory if watcher() is None else bar_class)(
            *args, **kwargs
        )  # a thread without a watcher keeps its bars

    before = transformers.utils.logging.set_tqdm_hook(bar)
    try:
        yield {"tqdm_class": bar_class}
    except Exception:  # transformers wraps what stops a download; the original is raised below
        if not raised:
            raise
    finally:
        transformers.utils.logging.set_tqdm_hook(before)
    if raised:
        raise raised.pop()  # popped, so that nothing keeps its frames, which hold the loaded tensors


def _bar_class(report: Watcher) -> type[Any]:
    """A tqdm class that draws nothing and calls `report`, with megabytes for bars of bytes and tensors for all others."""

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            self.counts_bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **{**kwargs, "disable": True})

        def __iter__(self) -> Iterator[Any]:
            for item in self.iterable or ():
                yield item
                self.update()

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            what, unit = ("megabytes", 1e6) if self.counts_bytes else ("tensors", 1)
            report(what, self.n / unit, (self.total or 0) / unit)

    return Bar
