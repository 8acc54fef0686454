"""The folder of a sweep, which survives being killed at any moment.

=====================  ====================================================================================================
file                   what it is
=====================  ====================================================================================================
``manifest.json``      what is asked of whom and how; a sweep with another manifest is refused
``explanations/``      one file for each explanation, for `STCG.load`: ``explanations/012/012345.npz``
``parts/``             the rows of a batch of questions each: ``parts/001543.parquet``; here the sweep sees what it has done
``rows.parquet``       all rows, once all questions are done: a copy of the parts, in order
=====================  ====================================================================================================

1. A file is written beside its place, forced to disk and only then renamed, so it is there as a whole or not at all. Files that
   a killed sweep left half written are deleted.
2. A batch's explanations are written before its part. A part holds digests of its explanations and is itself sealed
   (`stcg_nb.sweep.parts`); so is ``rows.parquet``.
3. A sweep that starts reads all parts and checks all digests. A question whose row or explanation is missing, damaged, edited or
   in another's place is reported and explained again, and no other is. Skipped questions are tried again: perhaps their picture
   is there now.
4. A row's place in the files depends on the question's place in the dataset alone, not on when or by which worker it was explained.
   So the folder comes out the same, byte for byte, however often the sweep was stopped, provided that the model computes the same.
5. A lock, which the system releases when its process ends, keeps a second sweep out.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from stcg_nb.errors import InputError
from stcg_nb.files import PARTIAL
from stcg_nb.sweep.manifest import FORMAT, LOCK, as_text, begin_or_check, read_manifest
from stcg_nb.sweep.parts import (
    DAMAGES,
    RowDigest,
    SweepError,
    artefact_name,
    check_sealed,
    read_table,
    reason,
    sealed,
    whole_file,
    write_whole,
)
from stcg_nb.sweep.rows import FinishedQuestion, Row

BATCH = 8
_AT_ONCE = 125  # batches, in a row group of ``rows.parquet``
_ROWS = "rows.parquet"


class SweepFolder:
    """A sweep's folder, held by this process while the context lasts.

    Args:
        folder: New, empty, or of the same sweep.
        manifest: What is asked of whom and how.
        size: How many questions.
        schema: Of the rows.

    Raises:
        InputError: If the folder holds anything else or another sweep, is in use, or cannot be written.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], size: int, schema: pa.Schema) -> None:
        self.folder, self.size = folder, size
        self._manifest = {"format": FORMAT, "batch": BATCH, **manifest}
        self._schema, self._sealed_by = schema, as_text(self._manifest)
        self._open: dict[int, dict[int, Row]] = {}
        self._missing: dict[int, set[int]] = {}
        self._lock = FileLock(folder / LOCK)

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
            begin_or_check(self.folder, self._manifest)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    # What is done

    def todo(self) -> tuple[set[int], list[str]]:
        """The places of the questions that are not done, and a sentence for each thing that was damaged."""
        for cut_off in self.folder.rglob(f"*{PARTIAL}"):
            with suppress(OSError):  # it does no harm
                cut_off.unlink()
        todo: set[int] = set()
        damages: list[str] = []
        for batch in range(self._batches):
            kept = self._explained(batch, damages)
            missing = set(self._places(batch)) - set(kept)
            if missing:
                self._open[batch], self._missing[batch] = kept, missing
                todo |= missing
        return todo, damages + self._strangers() + self._damage_of_rows()

    def _explained(self, batch: int, damages: list[str]) -> dict[int, Row]:
        """The rows by place of a batch's questions whose explanation is there and whole; what is damaged joins the list."""
        kept: dict[int, Row] = {}
        part = self._part(batch)
        if not part.exists():
            return kept
        try:
            rows = self._read_part(batch).to_pylist()
        except DAMAGES as error:
            damages.append(f"{part.name} is damaged ({reason(error)}): its questions are done again.")
            return kept
        for place, row in zip(self._places(batch), rows, strict=True):
            if row["error"] is not None:
                continue
            if problem := self._damage(row):
                damages.append(f"{row['artefact']} {problem}: question {row['id']} is done again.")
            else:
                kept[place] = row
        return kept

    def _strangers(self) -> list[str]:
        """Delete parts of no batch: whoever reads the rows while the sweep runs would count them in."""
        ours = {self._part(batch) for batch in range(self._batches)}
        strangers = sorted(set((self.folder / "parts").glob("*.parquet")) - ours)
        for path in strangers:
            path.unlink()
        return [f"{path.name} is no part of this sweep: it is deleted." for path in strangers]

    def _damage_of_rows(self) -> list[str]:
        path = self.folder / _ROWS
        try:
            if path.exists():
                check_sealed(read_table(path), self._sealed_by, 0)
        except DAMAGES as error:
            return [f"{_ROWS} is damaged ({reason(error)}): it is written anew."]
        return []

    def _read_part(self, batch: int) -> pa.Table:
        """The part of a batch; raises one of `DAMAGES` if it is not as it was written."""
        table, places = read_table(self._part(batch)), self._places(batch)
        check_sealed(table, self._sealed_by, places.start)
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

    def keep(self, done: FinishedQuestion) -> None:
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
            table = sealed([rows[p] for p in sorted(rows)], self._schema, self._sealed_by, self._places(batch).start)
            pq.write_table(table, buffer, write_page_checksum=True)
            write_whole(self._part(batch), buffer.getvalue())

    def finish(self) -> int:
        """Write ``rows.parquet``, and say how many questions were skipped.

        Raises:
            SweepError: If a part was damaged while the sweep ran.
        """
        digest, skipped = RowDigest(self._sealed_by, 0), 0
        for batch in range(self._batches):
            try:
                rows = self._read_part(batch).to_pylist()
            except DAMAGES as error:
                raise SweepError(
                    f"{self._part(batch).name} was damaged while the sweep ran ({reason(error)}); start the same sweep again, and its "
                    "questions are done again."
                ) from None
            digest.add(rows)
            skipped += sum(row["error"] is not None for row in rows)
        columns = self._schema.with_metadata(digest.metadata)
        with (
            whole_file(self.folder / _ROWS) as partial,
            pq.ParquetWriter(partial, columns, write_page_checksum=True) as writer,
        ):
            for start in range(0, self._batches, _AT_ONCE):
                parts = [read_table(self._part(b)) for b in range(start, min(start + _AT_ONCE, self._batches))]
                table = pa.concat_tables([part.replace_schema_metadata(digest.metadata) for part in parts])
                writer.write_table(table.combine_chunks())
        return skipped

    @property
    def _batches(self) -> int:
        return -(-self.size // BATCH)

    def _places(self, batch: int) -> range:
        """The places of a batch's questions in the dataset."""
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
    manifest, tables = as_text(read_manifest(root)), []
    try:
        for file in files:
            tables.append(read_table(file))
            check_sealed(tables[-1], manifest, 0 if file.name == _ROWS else int(file.stem) * BATCH)
    except DAMAGES as error:
        raise InputError(
            f"The rows in {str(root)!r} are damaged ({file.name}: {reason(error)}); start the sweep again to mend them."
        ) from None
    return pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
