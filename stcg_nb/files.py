"""Files that survive a run that is killed: replaced as a whole or not at all, or grown record by record.

1. `replacing` writes beside the file's place, forces the content to disk and only then renames it onto the place. `write` does so
   with bytes that are at hand.
2. `Records` keeps a long run question by question in a JSON Lines file. Its first line, the head, says what is measured, so two
   runs are never mixed. A record is on the disk before the next one begins; a last line that was cut off is dropped.
3. `results_folder` removes what it wrote if the work fails.
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
"""How the name of a file ends while it is written."""


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that replaces `path` when the block ends well, and is deleted when the block fails.

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
    """Write a file as a whole or not at all.

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
    """The records of a long run, which goes on where it stopped.

    Args:
        path: Of the JSON Lines file; its folders are made. None keeps nothing.
        head: What is measured, of whom and how.

    >>> folder = tempfile.TemporaryDirectory()
    >>> records = Records(Path(folder.name) / "lengths.jsonl", {"unit": "cm"})
    >>> records.read(), records.append({"length": 3})
    ([], {'length': 3})
    >>> records.read()
    [{'length': 3}]
    """

    def __init__(self, path: Path | None, head: Mapping[str, Any]) -> None:
        self.path = path
        self._head = json.loads(_line(head))  # as it comes out of the file: tuples become lists

    def read(self) -> list[Any]:
        """What was measured already; the file is begun if there is none.

        Raises:
            InputError: If the file is of another run, damaged, or cannot be read or written.
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
        """Keep a record, on the disk, and return it as `read` will: through JSON, so a resumed run gives what a whole one does.

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


def differing(kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """The first entry in which what a run was begun with differs from what is wanted now, in words; None if they agree.

    >>> differing({"model": "tiny", "seed": 0}, {"model": "tiny", "seed": 1})
    'seed 0, not 1'

    Raises:
        TypeError: If `kept` is no mapping.
    """
    if not isinstance(kept, Mapping):
        raise TypeError("it does not say what it is of")
    key = next((k for k in {**kept, **wanted} if kept.get(k) != wanted.get(k)), None)
    return None if key is None else f"{key} {kept.get(key)!r}, not {wanted.get(key)!r}"


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
