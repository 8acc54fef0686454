"""Tables with one question per row: CSV, JSON Lines, Parquet, or what Hugging Face ``datasets`` saves (Parquet or Arrow).

=================  ====================================================================================================
column             what it holds
=================  ====================================================================================================
``image``          a path, relative to the table's folder; in Parquet and Arrow also the file's bytes, or ``{bytes, path}``
``question``       the text of the question
``id``             the question's id; or ``question_id``; if left out, the row's number from 1
``answer``         the right answer; or ``answers``, the answers of several people: texts, or ``{answer: text}`` as in VQA-v2
``kind``           the kind of question; or ``answer_type``; optional, like answers
=================  ====================================================================================================

An incomplete row becomes a record with a problem instead of raising an error, so one bad row does not stop a run. Pictures in
cells are read on demand, one row group at a time; if the file has changed since its table was loaded, reading raises an error.
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
    """The state of a Parquet or Arrow file when its table was loaded. It is the key of what is cached of the file.

    Attributes:
        path: The file's path.
        size: Its size in bytes.
        modified: Time of its last modification, in nanoseconds.
    """

    path: Path
    size: int
    modified: int

    @classmethod
    def now(cls, path: Path) -> TableFile:
        """The file's current state."""
        status = path.stat()
        return cls(path, status.st_size, status.st_mtime_ns)

    def check(self) -> None:
        """Raise `InputError` if the file's state has changed."""
        if TableFile.now(self.path) != self:
            raise InputError(f"{self.path.name!r} has changed since its table was loaded; load it again.")


@dataclass(frozen=True)
class CellPicture:
    """A picture in a cell of a file: the row's index in a row group (Parquet) or record batch (Arrow)."""

    file: TableFile
    group: int
    row: int

    def read(self) -> np.ndarray:
        """Read the picture, uint8 ``[height, width, 3]``. Raises `InputError` if it cannot be read."""
        name = self.file.path.name
        try:
            self.file.check()  # first of all: reading memory mapped from a file that has shrunk kills the process
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
    """The Parquet or Arrow files in a folder whose own or folder's name is one of the split's names, such as ``("val",
    "validation")``; all files if no name mentions a split."""
    files = sorted(
        p for p in folder.rglob("*") if p.suffix in _COLUMNAR and not p.name.startswith("cache-") and p.is_file()
    )

    def named(names: Sequence[str]) -> list[Path]:
        pattern = re.compile(rf"(^|[/_.-])({'|'.join(names)})([/_.-]|$)")
        return [p for p in files if pattern.search(p.relative_to(folder).as_posix())]

    return named(split) if named(_ANY_SPLIT) else files


def read_table(files: Sequence[Path], name: str, n: int | None = None, seed: int = 0) -> list[Record]:
    """The records of several files together, or a random sample of them.

    Args:
        files: Files of one format, in order.
        name: The dataset's name in error messages.
        n: Number of records to draw; None reads all.
        seed: Seeds the draw.

    Raises:
        InputError: If a file is missing or damaged or lacks the columns image and question, or if `n` is too large.
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
    """Make a record of row i: its cells by column, or a sentence that says why it is malformed. Paths start at `folder`."""
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
    """A text or number as text; None for other values."""
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None


def _answers(row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The answers of a row; None if they are not text."""
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
    """The rows of a CSV file; for a malformed row, a sentence that says what is wrong."""
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
    """The rows of a JSON Lines file; for a malformed line, a sentence that says what is wrong."""
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
    """Number of rows in each row group of a Parquet file, or in each record batch of an Arrow file."""
    if file.path.suffix == ".arrow":
        _check_columns(_batches(file)[0].schema.names if _batches(file) else (), file.path)
        return [batch.num_rows for batch in _batches(file)]
    with pq.ParquetFile(file.path) as parquet:
        _check_columns(parquet.schema_arrow.names, file.path)
        return [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)]


def _chosen_cells(
    groups: Sequence[tuple[TableFile, int, int]], chosen: np.ndarray
) -> Iterator[tuple[int, Mapping[str, Any], Picture | None]]:
    """The chosen rows, int ``[row]``, without the bytes of their pictures: index, cells, and the picture if it is in a cell.
    A group is a file, an index in it and a number of rows."""
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
    """Whether a column of this type holds the bytes of pictures; otherwise it holds paths."""
    binary = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return pa.types.is_struct(kind) or any(is_kind(kind) for is_kind in binary)


def _schema(file: TableFile) -> pa.Schema:
    return _batches(file)[0].schema if file.path.suffix == ".arrow" else pq.read_schema(file.path)


def _group(file: TableFile, group: int, columns: Sequence[str]) -> pa.Table:
    """Read columns of a row group. Raises `InputError` if the file changed before or during reading."""
    if file.path.suffix == ".arrow":
        table = pa.Table.from_batches([_batches(file)[group]]).select(list(columns))
    else:
        with pq.ParquetFile(file.path) as parquet:
            table = parquet.read_row_group(group, columns=list(columns))
    file.check()
    return table


# These caches serve consecutive records. They belong to the process that reads, so records stay small when sent to a worker.


@lru_cache(maxsize=1)
def _images(file: TableFile, group: int) -> pa.ChunkedArray:
    """The image column of a row group, ``[row]``."""
    return _group(file, group, ["image"]).column("image")


@lru_cache(maxsize=4)
def _batches(file: TableFile) -> list[pa.RecordBatch]:
    """The record batches of an Arrow file in the stream format of ``datasets``; memory-mapped, not read."""
    return list(pa.ipc.open_stream(pa.memory_map(str(file.path))))


def _forget() -> None:
    """Clear the caches before loading, because a rewritten file can have the same size and modification time as before."""
    _images.cache_clear()
    _batches.cache_clear()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
