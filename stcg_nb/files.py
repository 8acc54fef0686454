"""Writing files so that a killed run leaves no broken ones: atomically, or record by record.

1. `replacing` writes a temporary file in the same folder, flushes it to disk and then renames it onto the target. `write` does this
   for given bytes.
2. `Records` stores the results of a long run in a JSON Lines file, one line per question. Its first line, the head, says what is
   measured, so two runs are never mixed. Each record is on disk before the next one begins; an incomplete last line is dropped.
3. `results_folder` removes the files of a block that fails.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import IO, Any

from stcg_nb.errors import InputError

PARTIAL = ".partial"
"""Suffix of a file's name while it is being written."""


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that replaces `path` when the block succeeds and is deleted when the block fails.

    Raises:
        OSError: If the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to report
            partial.unlink()
        raise


def write(path: str | PathLike[str], data: bytes) -> Path:
    """Write a file atomically: completely or not at all.

    Raises:
        InputError: If the folder does not exist or cannot be written.
    """
    path = Path(path)
    try:
        with replacing(path) as file:
            file.write(data)
    except OSError as error:
        raise InputError(
            f"{str(path)!r} cannot be written ({error.strerror}); choose a folder that exists, is yours and has space, and a name "
            "that is no folder's."
        ) from None
    return path


class Records:
    """The records of a long run, so that a stopped run can resume.

    Args:
        path: The JSON Lines file; its folders are created. None stores nothing.
        head: The settings of the run, such as model, seed and sizes.

    >>> folder = tempfile.TemporaryDirectory()
    >>> records = Records(Path(folder.name) / "lengths.jsonl", {"unit": "cm"})
    >>> records.read(), records.append({"length": 3})
    ([], {'length': 3})
    >>> records.read()
    [{'length': 3}]
    """

    def __init__(self, path: Path | None, head: Mapping[str, Any]) -> None:
        self.path = path
        self._head = json.loads(_line(head))  # as read back from the file: tuples become lists

    def read(self) -> list[Any]:
        """Read the records of an earlier run; creates the file if there is none.

        Raises:
            InputError: If the file belongs to another run, is damaged, or cannot be read or written.
        """
        if self.path is None:
            return []
        try:
            if not self.path.is_file():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                write(self.path, _line(self._head))
                return []
            content = self.path.read_bytes()
            whole = content.rfind(b"\n") + 1
            head, *records = [json.loads(line) for line in content[:whole].splitlines()] or [None]
            difference = differing(head, self._head)
        except InputError:
            raise
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"{str(self.path)!r} cannot be used ({error}); delete it, or name another folder."
            ) from None
        if difference is not None:
            raise InputError(
                f"{str(self.path)!r} is of another run, with {difference}; delete it, or name another folder."
            )
        if whole < len(content):
            os.truncate(self.path, whole)
        return records

    def append(self, record: Any) -> Any:
        """Store a record on disk, and return it as `read` returns it (through JSON), so that a resumed run equals an unbroken one.

        Raises:
            InputError: If the file cannot be written.
        """
        line = _line(record)
        if self.path is not None:
            try:
                with self.path.open("ab") as file:
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise InputError(f"{str(self.path)!r} cannot be written ({error.strerror}); check the space.") from None
        return json.loads(line)


def _line(content: Any) -> bytes:
    return (json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n").encode()


def differing(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """The first entry in which the head of a stored run differs from the wanted head, in words; None if they are equal.

    >>> differing({"model": "tiny", "seed": 0}, {"model": "tiny", "seed": 1})
    'seed 0, not 1'

    Raises:
        TypeError: If `stored` is not a mapping.
    """
    if not isinstance(stored, Mapping):
        raise TypeError("it does not say what it is of")
    key = next((k for k in {**stored, **wanted} if stored.get(k) != wanted.get(k)), None)
    return None if key is None else f"{key} {stored.get(key)!r}, not {wanted.get(key)!r}"


def prepare_folder(folder: Path) -> list[Path]:
    """Create a results folder, or use an empty one.

    Returns:
        The folders that were created, innermost first.

    Raises:
        InputError: If the folder holds files, is a file, or cannot be created or written; nothing is created then.
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
    """A new or empty results folder. The block appends every file it writes to the yielded list.

    If the block fails, these files and the folders that were created are removed, and nothing else.

    Raises:
        InputError: As for `prepare_folder`.
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
        with suppress(OSError):  # not empty: somebody else's files stay
            path.rmdir()
