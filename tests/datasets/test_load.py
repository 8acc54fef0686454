"""Datasets: the official files of VQA-v2, copies of Hugging Face datasets, tables, scenes and easy-VQA."""

from __future__ import annotations

import csv
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stcg_nb.datasets import Record, load_dataset
from stcg_nb.datasets.base import choose
from stcg_nb.errors import InputError
from stcg_nb.inputs.images import to_png
from stcg_nb.scenes.questions import sample

TEN = [{"answer": a, "answer_confidence": "yes", "answer_id": i + 1} for i, a in enumerate(["red"] * 7 + ["pink"] * 3)]


def picture(shade: int, height: int = 8, width: int = 9) -> np.ndarray:
    return np.full((height, width, 3), shade, np.uint8)


def save_vqa2(folder: Path, n: int = 4, place: str = "val2014") -> Path:
    (folder / place).mkdir(parents=True)
    for i in range(n):
        Image.fromarray(picture(10 * i)).save(folder / place / f"COCO_val2014_{i:012d}.jpg")
    questions = [{"image_id": i, "question": f"What is {i}?", "question_id": 1000 + i} for i in range(n)]
    annotations = [
        {"question_type": "what is", "multiple_choice_answer": "red", "answers": TEN, "image_id": i, "answer_type": "other",
         "question_id": 1000 + i}
        for i in reversed(range(n))
    ]  # fmt: skip
    (folder / "v2_OpenEnded_mscoco_val2014_questions.json").write_text(json.dumps({"questions": questions}))
    (folder / "v2_mscoco_val2014_annotations.json").write_text(json.dumps({"annotations": annotations}))
    return folder


# VQA-v2


@pytest.mark.parametrize("place", ["val2014", "images/val2014", "."])
def test_the_official_files(tmp_path: Path, place: str):
    save_vqa2(tmp_path, place=place) if place != "." else save_vqa2(tmp_path / "x", place=".")
    dataset = load_dataset("vqa-v2", folder=tmp_path if place != "." else tmp_path / "x")
    first, *_, last = records = list(dataset)
    assert len(records) == len(dataset) == 4
    assert (first.id, first.question, first.kind) == ("1000", "What is 0?", "other")
    assert first.answers == ("red",) * 7 + ("pink",) * 3
    assert last.image == "COCO_val2014_000000000003.jpg"
    assert abs(int(last.read().mean()) - 30) < 3


def test_questions_are_drawn_with_a_seed_and_kept_in_order(tmp_path: Path):
    save_vqa2(tmp_path, 12)

    def ids(n: int | None, seed: int) -> list[str]:
        return [r.id for r in load_dataset("vqa-v2", n=n, seed=seed, folder=tmp_path)]

    assert ids(5, 1) == ids(5, 1) == sorted(ids(5, 1))
    assert len({tuple(ids(5, seed)) for seed in range(5)}) > 1
    assert ids(12, 3) == ids(None, 0)
    with pytest.raises(InputError, match="n is 13; vqa-v2 val has 12"):
        ids(13, 0)


def test_official_files_that_are_missing_or_do_not_belong_together(tmp_path: Path):
    save_vqa2(tmp_path)
    annotations = tmp_path / "v2_mscoco_val2014_annotations.json"
    whole = json.loads(annotations.read_text())
    annotations.write_text(json.dumps({"annotations": whole["annotations"][:3]}))
    with pytest.raises(InputError, match="lacks 1 of the questions, such as 1000"):
        load_dataset("vqa-v2", folder=tmp_path)
    annotations.write_text(annotations.read_text()[:50])
    with pytest.raises(InputError, match="is damaged"):
        load_dataset("vqa-v2", folder=tmp_path)
    annotations.unlink()
    with pytest.raises(InputError, match=r"no 'v2_mscoco_val2014_annotations.json'"):
        load_dataset("vqa-v2", folder=tmp_path)
    with pytest.raises(InputError, match="neither 'v2_OpenEnded_mscoco_train2014"):
        load_dataset("vqa-v2", folder=tmp_path, split="train")
    for path in (tmp_path / "val2014").glob("*"):
        path.unlink()
    annotations.write_text(json.dumps(whole))
    with pytest.raises(InputError, match="no pictures COCO_val2014"):
        load_dataset("vqa-v2", folder=tmp_path)


def test_a_test_split_has_no_annotations(tmp_path: Path):
    (tmp_path / "test2015").mkdir()
    Image.fromarray(picture(9)).save(tmp_path / "test2015" / "COCO_test2015_000000000001.jpg")
    questions = [
        {"image_id": 1, "question": "What?", "question_id": 5},
        {"image_id": "x", "question": None, "question_id": 6},
    ]
    for name in ("test2015", "test-dev2015"):
        (tmp_path / f"v2_OpenEnded_mscoco_{name}_questions.json").write_text(json.dumps({"questions": questions}))
    for split in ("test", "test-dev"):
        good, bad = load_dataset("vqa-v2", folder=tmp_path, split=split)
        assert good.read().shape == (8, 9, 3) and not good.answers
        with pytest.raises(InputError, match="Question 6 has no text or no picture"):
            bad.read()


# Copies of Hugging Face datasets


def rows(n: int) -> pa.Table:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.table(
        {
            "question_id": pa.array(range(n), pa.int64()),
            "image": pa.array([{"bytes": to_png(picture(10 * i)), "path": f"{i}.png"} for i in range(n)], image),
            "question": [f"What is {i}?" for i in range(n)],
            "answers": [TEN] * n,
            "answer_type": ["other"] * n,
        }
    )


@pytest.mark.parametrize("kind", ["hub", "saved"])
def test_a_copy_of_hugging_face_datasets(tmp_path: Path, kind: str):
    table, other = rows(7), rows(2)
    if kind == "hub":
        (tmp_path / "data").mkdir()
        pq.write_table(table[:5], tmp_path / "data" / "validation-00000-of-00002.parquet", row_group_size=2)
        pq.write_table(table[5:], tmp_path / "data" / "validation-00001-of-00002.parquet")
        pq.write_table(other, tmp_path / "data" / "testdev-00000-of-00001.parquet")
    else:
        for split, part in (("validation", table), ("test", other)):
            (tmp_path / split).mkdir()
            with pa.ipc.new_stream(tmp_path / split / "data-00000-of-00001.arrow", part.schema) as stream:
                stream.write_table(part, max_chunksize=3)
    records = list(load_dataset("vqa-v2", folder=tmp_path))
    assert [r.id for r in records] == [str(i) for i in range(7)]
    assert records[3].answers == ("red",) * 7 + ("pink",) * 3
    assert [int(pickle.loads(pickle.dumps(r)).read()[0, 0, 0]) for r in records] == [10 * i for i in range(7)]  # noqa: S301
    drawn = list(load_dataset("vqa-v2", folder=tmp_path, n=3, seed=5))
    assert [r.id for r in drawn] == [str(i) for i in choose(7, 3, 5, "x")]
    assert [int(r.read()[0, 0, 0]) for r in drawn] == [10 * int(r.id) for r in drawn]
    split = "test-dev" if kind == "hub" else "test"
    assert len(load_dataset("vqa-v2", folder=tmp_path, split=split)) == 2
    with pytest.raises(InputError, match="neither"):
        load_dataset("vqa-v2", folder=tmp_path, split="train")


def test_what_the_library_itself_saves(tmp_path: Path):
    datasets = pytest.importorskip("datasets", reason="the library datasets is not installed")
    made = datasets.Dataset.from_dict(
        {"image": [Image.fromarray(picture(50)), Image.fromarray(picture(90))], "question": ["a?", "b?"]},
        features=datasets.Features({"image": datasets.Image(), "question": datasets.Value("string")}),
    )
    made.save_to_disk(str(tmp_path / "saved"))
    datasets.DatasetDict(validation=made).save_to_disk(str(tmp_path / "splits"))
    (tmp_path / "hub").mkdir()
    made.to_parquet(str(tmp_path / "hub" / "validation-00000-of-00001.parquet"))
    for name in ("saved", "splits", "hub"):
        assert [int(r.read()[0, 0, 0]) for r in load_dataset("vqa-v2", folder=tmp_path / name)] == [50, 90]


def test_an_empty_or_damaged_cell(tmp_path: Path):
    cells = [
        {"bytes": b"not a picture", "path": None},
        {"bytes": None, "path": None},
        {"bytes": to_png(picture(1)), "path": ""},
    ]
    pq.write_table(pa.table({"image": cells, "question": ["a?"] * 3}), tmp_path / "t.parquet")
    a, b, c = load_dataset(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"row 1 of group 1 of 't.parquet' is no image"):
        a.read()
    with pytest.raises(InputError, match=r"row 2 of group 1 of 't.parquet' is empty"):
        b.read()
    assert c.read().shape == (8, 9, 3)


def save_cells(path: Path, shades: list[int], group: int = 2) -> None:
    """A table of one-shade pictures in its cells, `group` rows in a row group."""
    table = pa.table({"image": [to_png(picture(s)) for s in shades], "question": ["a?"] * len(shades)})
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=group)
    else:
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table, max_chunksize=group)


def shades(records: list[Record]) -> list[int]:
    return [int(r.read()[0, 0, 0]) for r in records]


def loaded(path: Path) -> list[Record]:
    """The records of a Parquet table, or of a folder that holds an Arrow file."""
    return list(load_dataset(path) if path.suffix == ".parquet" else load_dataset("vqa-v2", folder=path.parent))


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_table_that_is_overwritten_gives_its_own_pictures_to_its_questions(tmp_path: Path, kind: str):
    path = tmp_path / f"t.{kind}"
    save_cells(path, [10, 20, 30])
    before, old = path.stat(), loaded(path)
    assert shades(old) == [10, 20, 30]
    save_cells(path, [40, 50, 60])
    assert path.stat().st_size == before.st_size  # the hard case: the time alone tells them apart
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert shades(loaded(path)) == [40, 50, 60]
    for record in old:
        with pytest.raises(InputError, match=rf"'t.{kind}' has changed since its table was loaded; load it again."):
            record.read()
    save_cells(path, [70, 80, 90])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))  # a coarse clock: nothing tells them apart
    assert shades(loaded(path)) == [70, 80, 90]


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_file_that_shrinks_under_a_loaded_table_is_refused(tmp_path: Path, kind: str):
    path = tmp_path / f"t.{kind}"
    save_cells(path, [10, 20])
    first, second = pickle.loads(pickle.dumps(loaded(path)))  # noqa: S301
    assert shades([first]) == [10]
    path.write_bytes(b"")
    with pytest.raises(InputError, match="has changed since"):
        second.read()
    path.unlink()
    with pytest.raises(InputError, match="No such file"):
        second.read()


def test_records_of_one_row_group_read_it_once_also_as_a_worker_gets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save_cells(tmp_path / "t.parquet", [10, 20, 30, 40, 50])
    sent = [pickle.dumps(r) for r in load_dataset(tmp_path / "t.parquet")]  # one by one, as Ray sends them
    assert max(map(len, sent)) < 1000
    read: list[int] = []
    group = pq.ParquetFile.read_row_group

    def counted(self: pq.ParquetFile, i: int, **given: object) -> pa.Table:
        read.append(i)
        return group(self, i, **given)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    assert shades([pickle.loads(s) for s in sent]) == [10, 20, 30, 40, 50]  # noqa: S301
    assert read == [0, 1, 2]


# Tables


def save_table(folder: Path, kind: str) -> Path:
    for i in range(3):
        Image.fromarray(picture(20 * i)).save(folder / f"{i}.png")
    table = [
        {"id": f"q{i}", "image": f"{i}.png", "question": f"what, is {i}?", "answer": 'a "b"', "kind": "k"}
        for i in range(3)
    ]
    path = folder / f"table.{kind}"
    if kind == "csv":
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table))
    else:
        pq.write_table(pa.Table.from_pylist(table), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table(tmp_path: Path, kind: str):
    records = list(load_dataset(save_table(tmp_path, kind)))
    assert [(r.id, r.question, r.answers, r.kind, r.image) for r in records] == [
        (f"q{i}", f"what, is {i}?", ('a "b"',), "k", f"{i}.png") for i in range(3)
    ]
    assert [int(r.read()[0, 0, 0]) for r in records] == [0, 20, 40]


def test_the_fingerprint_follows_the_records(tmp_path: Path):
    prints = {load_dataset(save_table(tmp_path, kind)).fingerprint for kind in ("csv", "jsonl", "parquet")}
    assert len(prints) == 1
    path = tmp_path / "table.csv"
    path.write_text(path.read_text().replace("is 1", "was 1"))
    assert load_dataset(path).fingerprint not in prints


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_paths_in_parquet_as_any_kind_of_text(tmp_path: Path, kind: pa.DataType):
    """pandas writes large strings and categories."""
    Image.fromarray(picture(7)).save(tmp_path / "a.png")
    text = pa.array(["a.png", "gone.png"]).cast(kind)
    pq.write_table(pa.table({"image": text, "question": pa.array(["a?", "b?"]).cast(kind)}), tmp_path / "t.parquet")
    there, gone = load_dataset(tmp_path / "t.parquet")
    assert there.read()[0, 0, 0] == 7 and (there.image, there.question) == ("a.png", "a?")
    with pytest.raises(InputError, match="no image at"):
        gone.read()
    pq.write_table(pa.table({"image": [1], "question": ["a?"]}), tmp_path / "u.parquet")
    (numbered,) = load_dataset(tmp_path / "u.parquet")
    with pytest.raises(InputError, match="no path in the column 'image'"):
        numbered.read()


def test_bad_rows_become_records_with_a_problem(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    lines = [
        '{"image": "a.png", "question": "a?"}', "{oops", '["list"]', '{"question": "b?"}', '{"image": "a.png", "question": 3}',
        '{"image": "a.png", "question": "c?", "answers": [{"answer": {}}]}', "", '{"image": "gone.png", "question": "d?", "id": 9}',
    ]  # fmt: skip
    path.write_text("\n".join(lines))
    records = list(load_dataset(path))
    expected = {
        "1": "no image at", "2": "Line 2 of 't.jsonl' is no JSON object", "3": "Line 3", "4": "no path in the column 'image'",
        "5": "no text in the column 'question'", "6": "answers that are not text", "9": "no image at",
    }  # fmt: skip
    assert [r.id for r in records] == list(expected)
    for record in records:
        with pytest.raises(InputError, match=expected[record.id]):
            record.read()
    path = tmp_path / "t.csv"
    path.write_text("image,question\na.png,what?\nb.png\nc.png,what?,more\n")
    assert [bool(r.problem) for r in load_dataset(path)] == [False, True, True]


REFUSED = {
    "t.csv": ("picture,question\na,b\n", "has no column 'image', but picture, question"),
    "u.jsonl": ('{"image": "a"}\n', "has no column 'question'"),
    "v.parquet": ("PAR1 not at all", "cannot be read"),
    "w.csv": ("image,question\n", "holds no questions"),
    "x.csv": ("id,image,question\n1,a,b\n1,a,c\n", "id '1' twice, as its questions 1 and 2"),
    "y.txt": ("", "is no dataset; valid are "),
    "s.csv": ("image,question,question\na,b,c\n", "two columns of one name"),
    "z.csv": ('image,question\n"a,b\n', "cannot be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, name: str):
    text, reason = REFUSED[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=reason):
        load_dataset(tmp_path / name)


def test_a_table_that_is_not_text_or_not_there(tmp_path: Path):
    (tmp_path / "t.csv").write_bytes("image,question\nä,b\n".encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read"):
        load_dataset(tmp_path / "t.csv")
    with pytest.raises(InputError, match="no file"):
        load_dataset(tmp_path / "none.csv")
    with pytest.raises(InputError, match="A folder is for 'vqa-v2'"):
        load_dataset(tmp_path / "t.csv", folder=tmp_path)


# Scenes and easy-VQA


def test_scenes_are_those_of_sample():
    (record,) = load_dataset("scenes", n=1, seed=3)
    ((scene, question),) = sample(1, 3)
    assert np.array_equal(record.read(), scene.image)
    assert (record.question, record.answers, record.kind) == (question.text, (question.answer,), question.kind)
    with pytest.raises(InputError, match="seed is -1"):
        load_dataset("scenes", seed=-1)
    with pytest.raises(InputError, match="n is 0"):
        load_dataset("scenes", n=0)


def test_easy_vqa():
    records = list(load_dataset("easy-vqa", n=20))
    assert {r.kind for r in records} <= {"yes/no", "color", "shape"}
    assert records[0].read().shape == (64, 64, 3)
    assert len(load_dataset("easy-vqa")) == 9673
