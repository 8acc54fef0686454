"""The folder of a sweep, which survives being killed at any moment.

=====================  ====================================================================================================
file                   what it is
=====================  ====================================================================================================
``manifest.json``      what is asked of whom and how; a sweep with another manifest is refused
``explanations/``      one file for each explanation, for `STCG.load`: ``explanations/012/012345.npz``
``parts/``             the rows of a batch of questions each: ``parts/001543.parquet``; here the sweep sees what it has done
``rows.parquet``       all rows, once all questions are done: a copy of the parts, in order
=====================  ====================================================================================================

1. A file is written beside its place, forced to disk and only then renamed, so it is there as a whole or not at all. Whatever
   a killed sweep left beside its place is deleted.
2. A batch's explanations are written before its part. A part that is there vouches, by digests, for its explanations; and for
   itself, by a digest of the manifest, the places of its questions and all values of its rows. ``rows.parquet`` does likewise.
3. A sweep that starts reads all parts and checks all digests. What is missing, damaged, edited or in another's place is reported and
   done again, and nothing else is. So is what was skipped: perhaps its picture is there now.
4. Where a row goes depends on the question's place alone, not on when or by whom it was explained. So the folder comes out the
   same, byte for byte, however often the sweep was stopped, provided that the model computes the same.
5. A lock, which goes with its process, keeps a second sweep out.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from stcg_nb.errors import InputError, StcgError
from stcg_nb.sweep.rows import Row, RowDigest, artefact_name, check_sealed, sealed

BATCH = 8
FORMAT = 3
_AT_ONCE = 125  # batches, in a row group of ``rows.parquet``
_MANIFEST, _ROWS, _LOCK, _PARTIAL = "manifest.json", "rows.parquet", ".lock", ".partial"


class SweepError(StcgError, RuntimeError):
    """A sweep that has to stop; what it has done is kept, and starting it again goes on."""


@dataclass(frozen=True)
class Done:
    """A question that is done: its place in the dataset, its row, and the STCG's bytes if there is one."""

    place: int
    row: Row
    artefact: bytes | None


class SweepFolder:
    """A sweep's folder, held by this process while the context lasts.

    Args:
        folder: New, empty, or of the same sweep.
        manifest: What is asked of whom and how.
        size: SweepOptions many questions.
        schema: Of the rows.

    Raises:
        InputError: If the folder holds anything else or another sweep, is in use, or cannot be written.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], size: int, schema: pa.Schema) -> None:
        self.folder, self.size = folder, size
        self._manifest = {"format": FORMAT, "batch": BATCH, **manifest}
        self._schema, self._said = schema, _json(self._manifest)
        self._open: dict[int, dict[int, Row]] = {}
        self._missing: dict[int, set[int]] = {}
        self._lock = FileLock(folder / _LOCK)

    def __enter__(self) -> SweepFolder:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"Another sweep is at work in {str(self.folder)!r}; wait for it, or name another folder."
            ) from None
        except OSError as error:
            raise InputError(
                f"The folder {str(self.folder)!r} cannot be written ({error.strerror}); choose one that is yours."
            ) from None
        try:
            self._check_manifest()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def _check_manifest(self) -> None:
        path = self.folder / _MANIFEST
        if not path.exists():
            strangers = sorted(p.name for p in self.folder.iterdir() if p.name not in (_LOCK, f"{_MANIFEST}{_PARTIAL}"))
            if strangers:
                raise InputError(
                    f"The folder {str(self.folder)!r} holds {strangers[0]!r} and no sweep; name a new folder, or empty it."
                )
            write_whole(path, self._said.encode())
            return
        try:
            begun = json.loads(path.read_text(encoding="utf-8"))
            differing = [k for k in {**begun, **self._manifest} if begun.get(k) != self._manifest.get(k)]
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{str(path)!r} is damaged ({error}); name another folder, and the sweep begins anew."
            ) from None
        _check_format(self.folder, begun)
        if differing:
            key = differing[0]
            raise InputError(
                f"The sweep in {str(self.folder)!r} was begun with {key} {begun.get(key)!r}, not {self._manifest.get(key)!r}; "
                "go on as it was begun, or name another folder."
            )

    # What is there

    def todo(self) -> tuple[set[int], list[str]]:
        """The places of the questions that are not done, and a sentence for each thing that was damaged."""
        for cut_off in self.folder.rglob(f"*{_PARTIAL}"):
            with suppress(OSError):  # it is in nobody's way
                cut_off.unlink()
        todo: set[int] = set()
        damages = []
        for batch in range(self._batches):
            places = self._places(batch)
            kept: dict[int, Row] = {}
            if self._part(batch).exists():
                try:
                    rows = self._read_part(batch).to_pylist()
                except (pa.ArrowException, OSError, ValueError) as error:
                    damages.append(
                        f"{self._part(batch).name} is damaged ({_why(error)}): its questions are done again."
                    )
                else:
                    for place, row in zip(places, rows, strict=True):
                        problem = "" if row["error"] is not None else self._damage(row)
                        if problem:
                            damages.append(f"{row['artefact']} {problem}: question {row['id']} is done again.")
                        elif row["error"] is None:
                            kept[place] = row
            missing = set(places) - set(kept)
            if missing:
                self._open[batch], self._missing[batch] = kept, missing
                todo |= missing
        return todo, damages + self._strangers() + self._damage_of_rows()

    def _strangers(self) -> list[str]:
        """Delete parts that are nobody's: who reads the rows while the sweep runs would take them for some of it."""
        ours = {self._part(batch) for batch in range(self._batches)}
        strangers = sorted(set((self.folder / "parts").glob("*.parquet")) - ours)
        for path in strangers:
            path.unlink()
        return [f"{path.name} is no part of this sweep: it is deleted." for path in strangers]

    def _damage_of_rows(self) -> list[str]:
        path = self.folder / _ROWS
        try:
            if path.exists():
                check_sealed(_read(path), self._said, 0)
        except (pa.ArrowException, OSError, ValueError) as error:
            return [f"{_ROWS} is damaged ({_why(error)}): it is written anew."]
        return []

    def _read_part(self, batch: int) -> pa.Table:
        """Raises `ValueError`, or what reading raises, for a part that is not as it was written."""
        table, places = _read(self._part(batch)), self._places(batch)
        check_sealed(table, self._said, places.start)
        if not table.schema.equals(self._schema):  # digests are of values and columns' names, not of their types
            raise ValueError("its columns are not those of a sweep")
        if table.num_rows != len(places):
            raise ValueError(f"it has {table.num_rows} rows instead of {len(places)}")
        return table

    def _damage(self, row: Row) -> str:
        try:
            with (self.folder / row["artefact"]).open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == row["artefact_sha256"]
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        return "" if same else "is damaged"

    # What is added

    def keep(self, done: Done) -> None:
        """Keep a question's explanation, and its batch's part once that is complete."""
        batch = done.place // BATCH
        row = {**done.row, "place": done.place}
        if done.artefact is not None:
            name = artefact_name(done.place)
            write_whole(self.folder / name, done.artefact)
            row = {**row, "artefact": name, "artefact_sha256": hashlib.sha256(done.artefact).hexdigest()}
        self._open[batch][done.place] = row
        self._missing[batch].discard(done.place)
        if not self._missing[batch]:
            del self._missing[batch]
            rows = self._open.pop(batch)
            buffer = io.BytesIO()
            table = sealed([rows[p] for p in sorted(rows)], self._schema, self._said, self._places(batch).start)
            pq.write_table(table, buffer, write_page_checksum=True)
            write_whole(self._part(batch), buffer.getvalue())

    def finish(self) -> int:
        """Write ``rows.parquet``, and say how many questions were skipped.

        Raises:
            SweepError: If a part was damaged while the sweep ran.
        """
        digest, skipped = RowDigest(self._said, 0), 0
        for batch in range(self._batches):
            try:
                rows = self._read_part(batch).to_pylist()
            except (pa.ArrowException, OSError, ValueError) as error:
                raise SweepError(
                    f"{self._part(batch).name} was damaged while the sweep ran ({_why(error)}); start the same sweep again, and its "
                    "questions are done again."
                ) from None
            digest.add(rows)
            skipped += sum(row["error"] is not None for row in rows)
        columns = self._schema.with_metadata(digest.metadata)
        with (
            _Whole(self.folder / _ROWS) as partial,
            pq.ParquetWriter(partial, columns, write_page_checksum=True) as writer,
        ):
            for start in range(0, self._batches, _AT_ONCE):
                parts = [_read(self._part(b)) for b in range(start, min(start + _AT_ONCE, self._batches))]
                table = pa.concat_tables([part.replace_schema_metadata(digest.metadata) for part in parts])
                writer.write_table(table.combine_chunks())
        return skipped

    @property
    def _batches(self) -> int:
        return -(-self.size // BATCH)

    def _places(self, batch: int) -> range:
        """Of a batch's questions in the dataset."""
        return range(batch * BATCH, min((batch + 1) * BATCH, self.size))

    def _part(self, batch: int) -> Path:
        return self.folder / "parts" / f"{batch:06d}.parquet"


def read_rows(folder: str | os.PathLike[str]) -> pa.Table:
    """The rows of a sweep's folder: all, or while it is not done those of its batches that are.

    Raises:
        InputError: If there is no sweep, none of its questions are done, or the rows are damaged.
    """
    root = Path(folder)
    files = [root / _ROWS] if (root / _ROWS).is_file() else sorted((root / "parts").glob("*.parquet"))
    if not files:
        raise InputError(f"There are no rows of a sweep in {str(root)!r}; name the folder that 'stcg sweep' wrote.")
    said, tables = _json(read_manifest(root)), []
    try:
        for file in files:
            tables.append(_read(file))
            check_sealed(tables[-1], said, 0 if file.name == _ROWS else int(file.stem) * BATCH)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"The rows in {str(root)!r} are damaged ({file.name}: {_why(error)}); start the sweep again to mend them."
        ) from None
    return pa.concat_tables([table.replace_schema_metadata(None) for table in tables])


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What a sweep asked of whom and how.

    Raises:
        InputError: If there is no sweep, its manifest is damaged, or the folder is of another format.
    """
    try:
        manifest = dict(json.loads((Path(folder) / _MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{str(folder)!r} is no folder of a sweep ({error}); name one that 'stcg sweep' wrote."
        ) from None
    _check_format(folder, manifest)
    return manifest


def _check_format(folder: str | os.PathLike[str], manifest: Mapping[str, Any]) -> None:
    if manifest.get("format") != FORMAT:
        raise InputError(
            f"The sweep in {str(folder)!r} is of format {manifest.get('format')}, and this version of stcg-nb reads and writes "
            f"format {FORMAT} alone; sweep anew into another folder, or use the version that began it."
        )


def _why(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _read(path: Path) -> pa.Table:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read()


class _Whole:
    """A binary file that replaces `path` when the block ends well, and is gone when it does not.

    Raises:
        SweepError: If the disk is full, or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._partial = path, path.with_name(path.name + _PARTIAL)

    def __enter__(self) -> io.BufferedWriter:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._partial.open("wb")
        except OSError as error:
            raise self._explained(error) from None
        return self._file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._file:
                if error is None:
                    self._file.flush()
                    os.fsync(self._file.fileno())
            if error is None:
                os.replace(self._partial, self._path)
                return
        except OSError as full:
            error = error or full
        with suppress(OSError):
            self._partial.unlink()
        if isinstance(error, OSError):
            raise self._explained(error) from None

    def _explained(self, error: OSError) -> SweepError:
        return SweepError(
            f"{str(self._path)!r} cannot be written ({error.strerror or error}); check the space and the permissions, then "
            "start the same sweep again: what it has done is kept."
        )


def write_whole(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all, and onto the disk."""
    with _Whole(path) as file:
        file.write(data)


def _json(manifest: Mapping[str, Any]) -> str:
    return json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
