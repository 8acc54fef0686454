"""Files: written as a whole or not at all; records that a stopped run goes on from."""

from __future__ import annotations

import errno
import json

import pytest

from stcg_nb.errors import InputError
from stcg_nb.files import Records, differing, replacing, write

HEAD = {"model": "tiny", "seed": 0, "kinds": ("color", "count"), "farbe": "blåu"}


def test_records_are_read_again_as_they_were_returned(tmp_path):
    path = tmp_path / "new" / "deep" / "a.jsonl"
    records = Records(path, HEAD)
    assert records.read() == []
    given = [{"n": 1, "words": ("a", "ü")}, {"n": 0.1}, {"n": None, "text": "two\nlines"}]
    returned = [records.append(record) for record in given]
    assert returned[0] == {"n": 1, "words": ["a", "ü"]}  # through JSON
    assert Records(path, HEAD).read() == returned
    lines = path.read_text(encoding="utf-8").split("\n")
    assert json.loads(lines[0]) == {**HEAD, "kinds": ["color", "count"]} and len(lines) == 5


def test_without_a_path_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    records = Records(None, HEAD)
    assert records.read() == [] and records.append({"a": (1,)}) == {"a": [1]}
    assert records.read() == [] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_last_line_that_was_cut_off_is_dropped(tmp_path, cut):
    path = tmp_path / "a.jsonl"
    records = Records(path, HEAD)
    records.read()
    for n in range(3):
        records.append({"n": n})
    whole = path.read_bytes()
    assert whole.endswith(b'{"n": 2}\n')
    path.write_bytes(whole[:-cut])
    kept = Records(path, HEAD).read()
    assert kept == [{"n": n} for n in range(2 if cut <= 9 else 1)]
    for n in range(len(kept), 3):
        records.append({"n": n})
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"model": "tiny", "seed": 1}\n', "of another run, with seed 1, not 0; delete it"), (b"", "cannot be used"),
        (b"[1]\n", "cannot be used"), (b"my notes", "cannot be used"), (b"\xff\n", "cannot be used"), (b"{oops\n", "cannot be used"),
    ],
)  # fmt: skip
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, content, reason):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        Records(path, {"model": "tiny", "seed": 0}).read()
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_record_that_cannot_be_kept_is_an_error_of_one_sentence(tmp_path, monkeypatch):
    records = Records(tmp_path / "a.jsonl", HEAD)
    records.read()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"a.jsonl' cannot be written \(No space left on device\); check the space"):
        records.append({"n": 1})


def test_a_record_is_on_the_disk_before_append_returns(tmp_path, monkeypatch):
    import os

    records, synced, fsync = Records(tmp_path / "a.jsonl", HEAD), [], os.fsync
    records.read()

    def noted(handle: int) -> None:
        synced.append(os.fstat(handle).st_size)
        fsync(handle)

    monkeypatch.setattr("os.fsync", noted)
    records.append({"n": 1})
    assert synced == [(tmp_path / "a.jsonl").stat().st_size]


def test_where_two_heads_differ():
    assert differing(HEAD, dict(HEAD)) is None
    assert differing({"a": 1}, {"a": 1, "b": 2}) == "b None, not 2"
    assert differing({"a": 1, "b": 2}, {"a": 1}) == "b 2, not None"
    with pytest.raises(TypeError):
        differing([], {})  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError("mine")])
def test_a_block_that_fails_leaves_what_was_there(tmp_path, error):
    path = write(tmp_path / "a.txt", b"old")

    def fail() -> None:
        with replacing(path) as file:
            file.write(b"new")
            file.flush()
            assert path.read_bytes() == b"old"
            raise error

    with pytest.raises(type(error)):
        fail()
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.txt", b"old")]


def test_two_writers_do_not_mix(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"  # that of the block that ended last
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
