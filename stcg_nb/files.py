"""Files that are written as a whole or not at all: first beside their place, then moved onto it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

from stcg_nb.errors import InputError


def write(path: str | PathLike[str], data: bytes) -> Path:
    """Write a file as a whole or not at all.

    Raises:
        InputError: If the folder does not exist or cannot be written.
    """
    path = Path(path)
    try:
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(
            f"{str(path)!r} cannot be written ({error.strerror}); choose a folder that exists and is yours."
        ) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except OSError as error:
        raise InputError(
            f"{str(path)!r} cannot be written ({error.strerror}); check the space and that it is no folder."
        ) from None
    finally:
        Path(partial).unlink(missing_ok=True)
    return path


def prepare_folder(folder: Path) -> list[Path]:
    """Make a results folder, or take an empty one.

    Returns:
        The folders that were made, the innermost first.

    Raises:
        InputError: If it holds files, is a file, or cannot be made or written; then nothing is made.
    """
    made: list[Path] = []
    try:
        if folder.is_file():
            raise InputError(f"{str(folder)!r} is a file; name a folder for the results.")
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"The folder {str(folder)!r} holds files already; name a new one, or empty it.")
        for part in reversed([p for p in (folder, *folder.parents) if not os.path.lexists(p)]):
            part.mkdir()
            made.insert(0, part)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        _remove([], made)
        raise InputError(
            f"The folder {str(folder)!r} cannot be written ({error.strerror}); choose one that is yours."
        ) from None
    return made


@contextmanager
def results_folder(folder: Path) -> Iterator[list[Path]]:
    """A results folder, new or empty, for a block that puts each file it has written on the list.

    If the block fails, its files and the folders that were made for it are removed, and nothing else.

    Raises:
        InputError: As `prepare_folder`.
    """
    made = prepare_folder(folder)
    written: list[Path] = []
    try:
        yield written
    except BaseException:
        _remove(written, made)
        raise


def _remove(files: Sequence[Path], folders: Sequence[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)
    for path in folders:
        with suppress(OSError):  # somebody else has put something there: it stays
            path.rmdir()
