"""A table with a question a row: CSV, JSON Lines, Parquet, or the files of a copy from Hugging Face ``datasets``.

=================  ====================================================================================================
column             what it holds
=================  ====================================================================================================
``image``          a path, relative to the table's folder; in Parquet and Arrow also the file's bytes, or ``{bytes, path}``
``question``       in words
``id``             of the question, or ``question_id``; else its row's number, from 1 on
``answer``         the right answer; or ``answers``, those that people gave: texts, or ``{answer: text}`` as in VQA-v2
``kind``           of question, or ``answer_type``; may be left out, as answers may
=================  ====================================================================================================

A row that lacks something becomes a record with a problem, not an error: one bad row is no reason to stop. Pictures in a cell are
read when they are wanted, a row group at a time. A file that has changed since its table was loaded is refused then.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stcg_nb.datasets.base import FilePicture, Picture, Record, choose
from stcg_nb.errors import InputError
from stcg_nb.inputs.images import read_bytes

ENDINGS = (".csv", ".jsonl", ".parquet")
_COLUMNAR = (".parquet", ".arrow")
_ANY_SPLIT = ("train", "validation", "val", "test", "testdev", "test-dev")


@dataclass(frozen=True)
class TableFile:
    """A Parquet or Arrow file as it was when its table was loaded: what is kept of it in memory belongs to this state alone.

    Attributes:
        path: Where it is.
        size: In bytes.
        modified: When its content was last written, in nanoseconds.
    """

    path: Path
    size: int
    modified: int

    @classmethod
    def now(cls, path: Path) -> TableFile:
        """The file in its present state."""
        status = path.stat()
        return cls(path, status.st_size, status.st_mtime_ns)

    def check(self) -> None:
        """Raises `InputError` if the file is in another state by now."""
        if TableFile.now(self.path) != self:
            raise InputError(f"{self.path.name!r} has changed since its table was loaded; load it again.")


@dataclass(frozen=True)
class CellPicture:
    """A picture in a cell of a Parquet or Arrow file: a row of a row group."""

    file: TableFile
    group: int
    row: int

    def read(self) -> np.ndarray:
        name = self.file.path.name
        try:
            self.file.check()  # before anything: pages that are mapped from a file that shrank end the process
            cell = _images(self.file, self.group)[self.row].as_py()
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{name!r} is damaged ({_first_line(error)}); get it again.") from None
        label = f"The picture in row {self.row + 1} of group {self.group + 1} of {name!r}"
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if data:
            return read_bytes(data, label)
        if isinstance(cell, dict) and cell.get("path"):
            return FilePicture(self.file.path.parent / cell["path"]).read()
        raise InputError(f"{label} is empty; give it one.")


def find_parts(folder: Path, split: Sequence[str]) -> list[Path]:
    """The Parquet or Arrow files of a split, by their own names or their folders'; all of them if none is named for a split."""
    files = sorted(
        p for p in folder.rglob("*") if p.suffix in _COLUMNAR and not p.name.startswith("cache-") and p.is_file()
    )

    def named(names: Sequence[str]) -> list[Path]:
        pattern = re.compile(rf"(^|[/_.-])({'|'.join(names)})([/_.-]|$)")
        return [p for p in files if pattern.search(p.relative_to(folder).as_posix())]

    return named(split) if named(_ANY_SPLIT) else files


def read_table(files: Sequence[Path], name: str, n: int | None = None, seed: int = 0) -> list[Record]:
    """All records of the files together, or `n` drawn with a seed.

    Args:
        files: Of one kind, in order.
        name: For errors.
        n: How many.
        seed: Of the draw.

    Raises:
        InputError: For a file that is missing, damaged or has neither images nor questions, or an `n` that is too large.
    """
    for file in files:
        if not file.is_file():
            raise InputError(f"There is no file {str(file)!r}; check the path.")
    try:
        if files[0].suffix.lower() in _COLUMNAR:
            _forget()
            states = [TableFile.now(file) for file in files]
            groups = [(file, i, rows) for file in states for i, rows in enumerate(_group_sizes(file))]
            size = sum(rows for _, _, rows in groups)
            rows = _chosen_cells(groups, choose(size, n, seed, name))
        else:
            listed = [row for file in files for row in (_csv if file.suffix.lower() == ".csv" else _jsonl)(file)]
            rows = ((i, listed[i], None) for i in choose(len(listed), n, seed, name).tolist())
        records = [_record(i, row, picture, files[0].parent) for i, row, picture in rows]
    except InputError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{name} cannot be read ({_first_line(error)}); give a whole CSV, JSON Lines or Parquet file in UTF-8."
        ) from None
    return records


def _record(i: int, row: Mapping[str, Any] | str, picture: Picture | None, folder: Path) -> Record:
    """A row as a record; a row that is text says what is wrong with it."""
    if isinstance(row, str):
        return Record(str(i + 1), None, "", "", problem=row)
    key = _plain(_first(row, "id", "question_id"))
    key = str(i + 1) if key is None else key
    question, image = row.get("question"), row.get("image")
    answers = _answers(row)
    problem = ""
    if not isinstance(question, str):
        problem = f"Question {key} has no text in the column 'question'."
    elif picture is None and not (isinstance(image, str) and image):
        problem = f"Question {key} has no path in the column 'image'."
    elif answers is None:
        problem = f"Question {key} has answers that are not text."
    if picture is None and isinstance(image, str) and image:
        picture = FilePicture(folder / image)
    name = image if isinstance(image, str) else str(row.get("image_id") or "")
    text = question if isinstance(question, str) else ""
    return Record(key, picture, name, text, answers or (), _plain(_first(row, "kind", "answer_type")) or "", problem)


def _first(row: Mapping[str, Any], *names: str) -> Any:
    return next((row[k] for k in names if row.get(k) not in (None, "")), None)


def _plain(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None


def _answers(row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Those of a row; None if they are not text."""
    given = row.get("answers")
    if isinstance(given, dict):  # a list of structs, column by column
        given = given.get("answer")
    if given is None:
        given = [] if row.get("answer") in (None, "") else [row["answer"]]
    if not isinstance(given, list):
        return None
    texts = [_plain(a.get("answer") if isinstance(a, dict) else a) for a in given]
    return None if None in texts else tuple(t for t in texts if t is not None)


def _csv(file: Path) -> Iterator[Mapping[str, Any] | str]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        columns = reader.fieldnames or ()
        _check_columns(columns, file)
        if len(set(columns)) < len(columns):
            raise InputError(f"{file.name!r} has two columns of one name ({', '.join(columns)}); make them differ.")
        for row in reader:
            if None in row or None in row.values():
                yield f"The row that ends in line {reader.line_num} of {file.name!r} has not as many cells as there are columns."
            else:
                yield row


def _jsonl(file: Path) -> Iterator[Mapping[str, Any] | str]:
    columns: set[str] = set()
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if isinstance(row, dict):
                columns |= set(row)
                yield row
            else:
                yield f"Line {number} of {file.name!r} is no JSON object."
    if columns:
        _check_columns(columns, file)


def _check_columns(columns: Sequence[str] | set[str], file: Path) -> None:
    for needed in ("image", "question"):
        if needed not in columns:
            raise InputError(
                f"{file.name!r} has no column {needed!r}, but {', '.join(sorted(map(str, columns))) or 'none'}; name its columns "
                "image and question."
            )


def _group_sizes(file: TableFile) -> list[int]:
    """How many rows each row group of a Parquet file has, or each batch of an Arrow file."""
    if file.path.suffix == ".arrow":
        _check_columns(_batches(file)[0].schema.names if _batches(file) else (), file.path)
        return [batch.num_rows for batch in _batches(file)]
    with pq.ParquetFile(file.path) as parquet:
        _check_columns(parquet.schema_arrow.names, file.path)
        return [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)]


def _chosen_cells(
    groups: Sequence[tuple[TableFile, int, int]], chosen: np.ndarray
) -> Iterator[tuple[int, Mapping[str, Any], Picture | None]]:
    """The chosen rows without their pictures' bytes, each with where its picture is."""
    start = 0
    for file, group, rows in groups:
        within = chosen[(chosen >= start) & (chosen < start + rows)] - start
        if within.size:
            schema = _schema(file)
            in_cell = _holds_pictures(schema.field("image").type)
            light = [name for name in schema.names if not (in_cell and name == "image")]
            table = _group(file, group, light).take(pa.array(within))
            for place, row in zip(within.tolist(), table.to_pylist(), strict=True):
                yield start + place, row, CellPicture(file, group, place) if in_cell else None
        start += rows


def _holds_pictures(kind: pa.DataType) -> bool:
    """Whether a column holds pictures' bytes; else it holds paths, as whatever kind of text."""
    bare = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return pa.types.is_struct(kind) or any(is_kind(kind) for is_kind in bare)


def _schema(file: TableFile) -> pa.Schema:
    return _batches(file)[0].schema if file.path.suffix == ".arrow" else pq.read_schema(file.path)


def _group(file: TableFile, group: int, columns: Sequence[str]) -> pa.Table:
    """Raises `InputError` if the file was changed before or while it was read."""
    if file.path.suffix == ".arrow":
        table = pa.Table.from_batches([_batches(file)[group]]).select(list(columns))
    else:
        with pq.ParquetFile(file.path) as parquet:
            table = parquet.read_row_group(group, columns=list(columns))
    file.check()
    return table


# Kept for the records that follow each other, in whatever process reads them: a record that is sent to a worker stays light.


@lru_cache(maxsize=1)
def _images(file: TableFile, group: int) -> pa.ChunkedArray:
    return _group(file, group, ["image"]).column("image")


@lru_cache(maxsize=4)
def _batches(file: TableFile) -> list[pa.RecordBatch]:
    """Of an Arrow file as ``datasets`` writes them (a stream); mapped, not read."""
    return list(pa.ipc.open_stream(pa.memory_map(str(file.path))))


def _forget() -> None:
    """Forget what is kept: a file's size and time may come out the same when it is written anew, and loading reads it anew."""
    _images.cache_clear()
    _batches.cache_clear()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
