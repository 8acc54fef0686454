"""The files of a sweep's folder: written as a whole, and sealed so that damage and edits are found.

A file of rows is sealed by its metadata: the manifest, and a digest of the manifest, the places of its questions and all values of
its rows (`RowDigest`). Whoever reads the file computes the digest again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from stcg_nb.errors import StcgError
from stcg_nb.files import replacing
from stcg_nb.sweep.rows import Row

_MANIFEST, _DIGEST = b"stcg_sweep", b"stcg_rows_sha256"
_CHUNK = 1000
DAMAGES = (pa.ArrowException, OSError, ValueError)
"""What reading a damaged file of rows raises."""


class SweepError(StcgError, RuntimeError):
    """A sweep that has to stop; what it has done is kept, and starting it again goes on."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that replaces `path` when the block ends well, and is deleted when the block fails.

    Raises:
        SweepError: If the disk is full, or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            yield file
    except OSError as error:
        raise SweepError(
            f"{str(path)!r} cannot be written ({error.strerror or error}); check the space and the permissions, then "
            "start the same sweep again: what it has done is kept."
        ) from None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all; raises `SweepError` as `whole_file` does."""
    with whole_file(path) as file:
        file.write(data)


def artefact_name(place: int) -> str:
    """The path of a question's STCG in the sweep's folder.

    >>> artefact_name(12345)
    'explanations/012/012345.npz'
    """
    return f"explanations/{place // 1000:03d}/{place:06d}.npz"


class RowDigest:
    """The digest of a manifest and of consecutive rows; numbers count with all their digits.

    Args:
        manifest: Under which the rows were made.
        place: Of the first row.
    """

    def __init__(self, manifest: str, place: int) -> None:
        self.manifest = manifest
        self._place = place
        self._digest = hashlib.sha256(manifest.encode())

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows, each with all columns in the order of the table; raises `ValueError` for one that belongs elsewhere."""
        for row in rows:
            if row.get("place") != self._place:
                raise ValueError(f"it has the row of place {row.get('place')} where that of {self._place} belongs")
            if row.get("artefact") != (artefact_name(self._place) if row.get("error") is None else None):
                raise ValueError(f"its row of place {self._place} names the explanation {row.get('artefact')}")
            self._digest.update(json.dumps(row).encode() + b"\n")
            self._place += 1

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """The seal of a file of these rows."""
        return {_MANIFEST: self.manifest.encode(), _DIGEST: self._digest.hexdigest().encode()}


def sealed(rows: list[Row], columns: pa.Schema, manifest: str, place: int) -> pa.Table:
    """Rows from a place on as a sealed table."""
    table = pa.Table.from_pylist(rows, columns)
    digest = RowDigest(manifest, place)
    digest.add(table.to_pylist())
    return table.replace_schema_metadata(digest.metadata)


def check_sealed(table: pa.Table, manifest: str, place: int) -> None:
    """Raises `ValueError`, which says why, if a table is not as `sealed` made it under this manifest and for this place."""
    digest = RowDigest(manifest, place)
    found = table.schema.metadata or {}
    if found.get(_MANIFEST) != manifest.encode():
        raise ValueError("it is of another sweep")
    for start in range(0, table.num_rows, _CHUNK):
        digest.add(table.slice(start, _CHUNK).to_pylist())
    if found != digest.metadata:
        raise ValueError("its rows are not those that its digest is of")


def read_table(path: Path) -> pa.Table:
    """Read a file of rows; raises one of `DAMAGES` for pages that are damaged."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read()


def reason(error: Exception) -> str:
    """The first line of an error."""
    return str(error).strip().split("\n")[0]
