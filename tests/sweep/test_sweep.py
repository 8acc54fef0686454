"""Sweeps: what they keep, and that nothing is lost or doubled when they are killed, run out of disk, or find damage."""

from __future__ import annotations

import errno
import json
import random
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stcg_nb import STCG, explain, load_model
from stcg_nb.cli import main
from stcg_nb.datasets import Record
from stcg_nb.errors import InputError
from stcg_nb.models.mock import Mock
from stcg_nb.progress import Stopped, watching
from stcg_nb.sweep import worker
from stcg_nb.sweep.folder import BATCH, SweepFolder, read_rows
from stcg_nb.sweep.manifest import read_manifest
from stcg_nb.sweep.options import PROMPTS, SweepOptions
from stcg_nb.sweep.parts import SweepError, write_whole
from stcg_nb.sweep.rows import VERDICTS, FinishedQuestion, schema
from stcg_nb.sweep.run import sweep
from stcg_nb.sweep.worker import Local, prepared

N = 19  # three batches, the last one not full
FAST = SweepOptions(regions="grid:2x2", perturbations=("color_shift",), masks=0)
FLAGS = ["--model", "mock", "--regions", "grid:2x2", "--perturbations", "color_shift", "--masks", "0"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions about small pictures, some of which are asked about twice; one picture is missing, one question is empty."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    for i in range(N // 2 + 1):
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    lines = [
        {
            "id": f"q{i}",
            "image": f"{i // 2}.png",
            "question": f"what is {i}?",
            "answers": ["the mock answer"] * 10,
            "kind": "k",
        }
        for i in range(N)
    ]
    lines[4]["image"], lines[10]["question"] = "gone.png", "   "
    path = folder / "table.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def whole(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "sweep"
    assert sweep(table, out, "mock", FAST, report=lambda _: None).skipped == 2
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def counting(monkeypatch: pytest.MonkeyPatch, stop_after: int | None = None) -> list[str]:
    """The ids that the model is asked from now on; the sweep is stopped after so many."""
    asked: list[str] = []

    def call(self: Local, records: Iterable[tuple[int, Record]]) -> Iterator[FinishedQuestion]:
        for place, record in islice(records, stop_after):
            asked.append(record.id)
            yield worker.explained(self.model, self.how, place, record)
        if stop_after is not None:
            raise KeyboardInterrupt

    monkeypatch.setattr(Local, "__call__", call)
    return asked


# What is kept


def test_one_row_a_question_and_one_artefact_an_explanation(whole: Path, table: Path):
    rows = pq.read_table(whole / "rows.parquet")
    assert rows.column_names[0] == "id"
    assert rows["id"].to_pylist() == [f"q{i}" for i in range(N)]
    errors = {row["id"]: row["error"] for row in rows.to_pylist() if row["error"] is not None}
    assert set(errors) == {"q4", "q10"}
    assert "no image at" in errors["q4"] and "question is empty" in errors["q10"]
    assert sorted(p.name for p in (whole / "explanations").rglob("*.npz")) == [
        f"{i:06d}.npz" for i in range(N) if i not in (4, 10)
    ]
    row = rows.to_pylist()[7]
    stcg = STCG.load(whole / row["artefact"])
    again = explain(table.parent / "3.png", "what is 7?", "mock", FAST)
    assert stcg == again
    assert row["answer"] == again.answer and row["p"] == again.data["p"].values.tolist()
    assert row["accuracy"] == float(again.answer == "the mock answer")
    assert row["word_effect"] == pytest.approx(again.data["word_effect"].values.mean(0))
    assert row["delta_w_color_shift"] == again.data["delta_w"].values[0]
    assert row["confirmed"] is None and row["trust"] is None and row["masks"] == 0


def test_a_causal_graph_has_verdicts_and_no_answers_no_accuracy(table: Path, tmp_path: Path):
    path = table.parent / "two.csv"
    path.write_text("image,question\n0.png,what is this?\n0.png,and this?\n")
    how = SweepOptions(regions="grid:2x2", perturbations=(), masks=64)
    sweep(path, tmp_path / "out", "mock", how)
    for row in read_rows(tmp_path / "out").to_pylist():
        assert row["accuracy"] is None
        stcg = STCG.load(tmp_path / "out" / row["artefact"])
        said = [v for k in ("word_verdict", "region_verdict", "link_verdict") for v in stcg.data[k].values.flat]
        correlations = [
            np.corrcoef(links, effects)[0, 1]
            for links, effects in zip(
                np.concatenate([stcg.data["step_word"], stcg.data["step_region"]], 1),
                np.concatenate([stcg.data["word_effect"], stcg.data["region_effect"]], 1),
                strict=True,
            )
        ]
        assert row["seed_faithfulness"] == pytest.approx(np.mean(correlations))
        assert {k: row[k] for k in VERDICTS} == {k: said.count(k) for k in VERDICTS}
        assert (row["trust"], row["trust_low"], row["trust_high"]) == stcg.trust
        assert row["masks"] == stcg.data.attrs["masks"]


def test_a_sweep_goes_on_with_masks_until_trust_and_with_further_fills(table: Path, tmp_path: Path):
    path = table.parent / "auto.csv"
    path.write_text("image,question\n0.png,what is this?\n")
    how = SweepOptions(regions="grid:2x2", perturbations=(), masks="auto", fills=("blur",))
    sweep(path, tmp_path / "out", "mock", how)
    assert sweep(path, tmp_path / "out", "mock", how).skipped == 0  # the manifest reads the same
    (row,) = read_rows(tmp_path / "out").to_pylist()
    stcg = STCG.load(tmp_path / "out" / row["artefact"])
    assert stcg.data.attrs["masks_asked"] == "auto" and row["masks"] == stcg.data.attrs["masks"] >= 64
    assert (stcg.data["region_low"] <= stcg.data["region_effect"]).all()


def test_the_manifest_says_what_was_asked_of_whom_and_how(whole: Path):
    manifest = read_manifest(whole)
    assert (manifest["dataset"], manifest["questions"], manifest["model"]) == ("table.jsonl", N, "mock")
    assert manifest["estimator"] == "attention" and manifest["perturbations"] == ["color_shift"]
    assert {"fingerprint", "model_revision", "prompt", "seed", "versions"} <= set(manifest)


def test_prompts_are_those_of_blip2s_evaluation_and_the_plain_one():
    assert (
        prepared("tiny", SweepOptions(prompt="short")).prompt("what is this?").text
        == "Question: what is this? Short answer:"
    )
    assert (
        prepared("tiny", SweepOptions(prompt="plain")).prompt("what is this?").text == "Question: what is this? Answer:"
    )
    assert set(PROMPTS) == {"short", "plain"}


def test_a_prompt_changes_a_copy_of_the_model_and_is_refused_where_the_model_needs_its_own():
    tiny = load_model("tiny")
    before = tiny.prompt("what is this?")
    short = tiny.with_prompt("Q: {}")
    assert short.prompt("what is this?").text == "Q: what is this?"
    assert tiny.prompt("what is this?") == before
    assert short.dtypes == tiny.dtypes == ("float32",) and Mock().dtypes == ()
    tiny.reader = replace(tiny.reader, image_mark="<image>")
    with pytest.raises(InputError, match="tiny has a prompt of its own around its picture"):
        tiny.with_prompt("Q: {}")


# Stopped and started again


@pytest.mark.parametrize("after", [0, 1, 7, 8, 9, 18])
def test_a_sweep_that_is_stopped_goes_on_and_comes_out_the_same(
    whole: Path, table: Path, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        first = counting(patch, after)
        with pytest.raises(KeyboardInterrupt):
            sweep(table, tmp_path, "mock", FAST, report=lambda _: None)
    second = counting(monkeypatch)
    sweep(table, tmp_path, "mock", FAST, report=lambda _: None)
    assert contents(tmp_path) == contents(whole)
    again = set(first) & set(second) - {"q4", "q10"}  # what was skipped is tried again
    assert len(again) < BATCH
    assert {*first, *second} == {f"q{i}" for i in range(N)}


def test_killed_at_random_moments_it_comes_out_the_same(whole: Path, table: Path, tmp_path: Path):
    """kill -9, of a real process, again and again until one run comes to its end."""
    rng = random.Random(0)
    command = [
        sys.executable,
        "-m",
        "stcg_nb",
        "sweep",
        "--dataset",
        str(table),
        *FLAGS,
        "--out",
        str(tmp_path / "out"),
    ]
    parts = tmp_path / "out" / "parts"
    for round_ in range(2):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while process.poll() is None and len(list(parts.glob("*.parquet"))) <= round_ and time.monotonic() < deadline:
            time.sleep(rng.uniform(0, 0.05))
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.wait()
    assert list(parts.glob("*.parquet"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert contents(tmp_path / "out") == contents(whole)
    assert "17 of 19 questions are explained" in done.stdout
    assert "2 were skipped" in done.stderr and "Skipped question q4: " in done.stderr


def test_a_real_model_gives_the_same_bytes_after_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two questions on one picture: encodings that were kept in memory are computed anew after the stop."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    path = tmp_path / "t.csv"
    path.write_text("image,question\na.png,what is this?\na.png,what color is it?\n")
    how = SweepOptions(regions="grid:2x2", perturbations=("gaussian_noise",), masks=0)
    sweep(path, tmp_path / "whole", "tiny", how)
    with monkeypatch.context() as patch:
        counting(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            sweep(path, tmp_path / "stopped", "tiny", how)
    sweep(path, tmp_path / "stopped", "tiny", how)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


@pytest.mark.parametrize("within", [False, True], ids=["between questions", "within one"])
def test_whoever_watches_can_stop_it(
    whole: Path, table: Path, tmp_path: Path, within: bool, monkeypatch: pytest.MonkeyPatch
):
    """Also at a bar inside an explanation, which reports the sweep's progress."""
    asked: list[str] = []
    explained = worker.explained

    def noted(model: object, how: SweepOptions, place: int, record: Record) -> FinishedQuestion:
        asked.append(record.id)
        return explained(model, how, place, record)

    seen: list[float] = []

    def watcher(what: str, done: float, total: float) -> None:
        assert (what, total) == ("sweep", N)
        repeated = bool(seen) and seen[-1] == done
        seen.append(done)
        if done >= 10 and repeated == within:
            raise Stopped("enough")

    with monkeypatch.context() as patch:
        patch.setattr(worker, "explained", noted)
        with pytest.raises(Stopped, match="enough"), watching(watcher):
            sweep(table, tmp_path, "mock", FAST, report=lambda _: None)
    assert len(asked) == (12 if within else 10)  # the eleventh has an empty question and is skipped
    assert seen == sorted(seen)
    sweep(table, tmp_path, "mock", FAST, report=lambda _: None)
    assert contents(tmp_path) == contents(whole)


def test_a_sweep_that_is_done_asks_nothing_again_but_what_was_skipped(
    whole: Path, table: Path, monkeypatch: pytest.MonkeyPatch
):
    before, asked = contents(whole), counting(monkeypatch)
    sweep(table, whole, "mock", FAST, report=lambda _: None)
    assert asked == ["q4", "q10"]
    assert contents(whole) == before


def test_half_characters_are_a_problem_of_their_record_alone(table: Path, tmp_path: Path):
    """JSON can spell half a character, which no Parquet file holds."""
    half = "\ud83d"
    lines = [
        {"question": f"what is {half}?"}, {"question": "what?", "answers": [half, "b"]}, {"question": "what?", "image": f"{half}.png"},
        {"question": 3, "id": half}, {"question": "what?"},
    ]  # fmt: skip
    path = table.parent / "half.jsonl"
    path.write_text("".join(json.dumps({"image": "0.png", **line}) + "\n" for line in lines))
    said: list[str] = []
    assert sweep(path, tmp_path, "mock", FAST, report=said.append).skipped == len(said) == 3
    rows = read_rows(tmp_path).to_pylist()
    assert [row["error"] is None for row in rows] == [False, True, False, False, True]
    assert rows[0]["question"] == "what is \\ud83d?" and rows[1]["answers"] == ["\\ud83d", "b"]


def test_a_picture_that_is_there_at_last_is_explained(table: Path, tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("image,question\na.png,what?\nb.png,what?\n")
    picture = Image.open(table.parent / "0.png")
    picture.save(tmp_path / "a.png")
    assert sweep(path, tmp_path / "out", "mock", FAST, report=lambda _: None).skipped == 1
    picture.save(tmp_path / "b.png")
    assert sweep(path, tmp_path / "out", "mock", FAST).skipped == 0
    assert sweep(path, tmp_path / "at once", "mock", FAST).skipped == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "at once")


# What is refused


OTHER = {
    "estimator": ({"how": FAST.but(estimator="rollout")}, "estimator 'attention', not 'rollout'"),
    "masks": ({"how": FAST.but(masks=64)}, "masks 0, not 64"),
    "model": ({"model": "tiny"}, "model 'mock', not 'tiny'"),
}


@pytest.mark.parametrize("key", OTHER)
def test_another_sweep_in_the_folder_is_refused(whole: Path, table: Path, key: str):
    given, reason = OTHER[key]
    before = contents(whole)
    with pytest.raises(InputError, match=f"begun with {reason}"):
        sweep(table, whole, **{"model": "mock", "how": FAST, **given})
    assert contents(whole) == before


def test_a_dataset_that_has_changed_is_refused(whole: Path, table: Path, tmp_path: Path):
    copy = table.parent / "other" / "table.jsonl"
    copy.parent.mkdir()
    copy.write_text(table.read_text().replace("what is 3?", "what was 3?"))
    with pytest.raises(InputError, match="begun with fingerprint"):
        sweep(copy, whole, "mock", FAST)


def test_a_folder_with_other_things_or_in_use_is_refused(whole: Path, table: Path, tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'mine.txt' and no sweep"):
        sweep(table, tmp_path, "mock", FAST)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    with pytest.raises(InputError, match="cannot be written"):
        sweep(table, tmp_path / "mine.txt", "mock", FAST)

    def within(*_: object) -> None:
        with pytest.raises(InputError, match="Another sweep is at work"):
            sweep(table, whole, "mock", FAST)

    sweep(table, whole, "mock", FAST, report=within)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"estimator": "magic"}, "'magic' is no estimator"), ({"prompt": "long"}, "'long' is no prompt; valid are short, plain"),
        ({"regions": "hexagons"}, "hexagons"), ({"perturbations": ("rain",)}, "rain"), ({"strength": 2.0}, "strength"),
    ],
)  # fmt: skip
def test_settings_are_checked_before_anything_is_asked(given: dict, reason: str):
    with pytest.raises(InputError, match=reason):
        SweepOptions(**given)


# Damage


def test_what_is_damaged_is_found_and_mended(whole: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    good = contents(whole)
    for name, data in good.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    artefact, part = tmp_path / "explanations/000/000002.npz", tmp_path / "parts/000001.parquet"
    flipped = bytearray(artefact.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    artefact.write_bytes(flipped)
    part.write_bytes(part.read_bytes()[:200])
    (tmp_path / "explanations/000/000017.npz").unlink()
    (tmp_path / "rows.parquet").write_bytes(b"")
    for name in ("parts/000002.parquet", "explanations/000/000003.npz", "rows.parquet", "manifest.json"):
        (tmp_path / f"{name}.partial").write_bytes(b"cut off")
    said: list[str] = []
    asked = counting(monkeypatch)
    sweep(table, tmp_path, "mock", FAST, report=said.append)
    assert set(asked) == {"q2", "q17", "q4", *(f"q{i}" for i in range(8, 16))}
    assert [s.split(" ")[0] for s in said if "again" in s] == [
        "explanations/000/000002.npz", "000001.parquet", "explanations/000/000017.npz",
    ]  # fmt: skip
    assert contents(tmp_path) == good


def test_a_flipped_bit_in_a_part_is_found_or_changes_nothing(whole: Path, tmp_path: Path):
    """What is not found is in what nobody reads, such as statistics."""
    good = whole / "parts/000001.parquet"
    rows = pq.read_table(good).to_pylist()
    begun = {k: v for k, v in read_manifest(whole).items() if k not in ("format", "batch")}
    rng = random.Random(0)
    found = 0
    (tmp_path / "parts").mkdir()
    (tmp_path / "manifest.json").write_bytes((whole / "manifest.json").read_bytes())
    with SweepFolder(tmp_path, begun, N, schema(FAST.perturbations)) as folder:
        for _ in range(150):
            data = bytearray(good.read_bytes())
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            (tmp_path / "parts/000001.parquet").write_bytes(data)
            if any("000001.parquet is damaged" in sentence for sentence in folder.todo()[1]):
                found += 1
            else:
                assert pq.read_table(tmp_path / "parts/000001.parquet").to_pylist() == rows
    assert found > 75


def test_a_part_of_another_sweep_and_a_damaged_manifest(whole: Path, table: Path, tmp_path: Path):
    how = FAST.but(estimator="rollout")
    said: list[str] = []
    sweep(table, tmp_path, "mock", how, report=lambda _: None)
    (tmp_path / "parts/000000.parquet").write_bytes((whole / "parts/000000.parquet").read_bytes())
    sweep(table, tmp_path, "mock", how, report=said.append)
    assert "000000.parquet is damaged (it is of another sweep): its questions are done again." in said
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text()[:40])
    with pytest.raises(InputError, match=r"manifest.json' is damaged"):
        sweep(table, tmp_path, "mock", how)


def copied(whole: Path, folder: Path) -> Path:
    return Path(shutil.copytree(whole, folder / "copy"))


def edit(part: Path, change: Callable[[list[dict]], list[dict]]) -> None:
    """Change the rows of a file and keep all that it says of itself."""
    table = pq.read_table(part)
    pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), table.schema), part, write_page_checksum=True)


def swap(a: Path, b: Path) -> None:
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)


def but(i: int, **changes: object) -> Callable[[list[dict]], list[dict]]:
    return lambda rows: [{**row, **changes} if j == i else row for j, row in enumerate(rows)]


def with_names_of_each_other(rows: list[dict]) -> list[dict]:
    keys = ("artefact", "artefact_sha256")
    first, second = ({k: row[k] for k in keys} for row in rows[:2])
    return [rows[0] | second, rows[1] | first, *rows[2:]]


PART, BEFORE = "parts/000001.parquet", "parts/000000.parquet"
ARTEFACTS = ("explanations/000/000002.npz", "explanations/000/000003.npz")
SECOND = {f"q{i}" for i in range(8, 16)}
FALSE = {
    "a copy of another part": (lambda f: shutil.copy(f / BEFORE, f / PART), SECOND, r"row of place 0 where that of 8"),
    "two parts swapped": (lambda f: swap(f / BEFORE, f / PART), SECOND | {f"q{i}" for i in range(8)}, "000001.* row of place 0"),
    "rows reversed": (lambda f: edit(f / PART, lambda rows: rows[::-1]), SECOND, "row of place 15 where that of 8"),
    "two questions swapped, places kept": (
        lambda f: edit(f / PART, lambda rows: [rows[1] | {"place": 8}, rows[0] | {"place": 9}, *rows[2:]]), SECOND,
        "its row of place 8 names the explanation explanations/000/000009.npz",
    ),
    "a probability edited": (lambda f: edit(f / PART, but(3, p_answer=0.5)), SECOND, "not those that its digest is of"),
    "a probability edited in its last digit": (
        lambda f: edit(f / PART, lambda r: but(3, p_answer=float(np.nextafter(r[3]["p_answer"], 2)))(r)), SECOND, "its digest"),
    "an answer put in place of an error": (lambda f: edit(f / PART, but(2, answer="red", error=None)), SECOND, "explanation None"),
    "another's explanation named": (lambda f: edit(f / PART, with_names_of_each_other), SECOND, "names the explanation"),
    "a row left out": (lambda f: edit(f / PART, lambda rows: rows[:-1]), SECOND, "its digest"),
    "a column left out": (lambda f: pq.write_table(pq.read_table(f / PART).drop(["error"]), f / PART), SECOND, "000001.parquet is"),
    "two explanations swapped": (lambda f: swap(*(f / a for a in ARTEFACTS)), {"q2", "q3"}, "000003.npz is damaged: question q3"),
    "a part too many": (lambda f: shutil.copy(f / PART, f / "parts/000003.parquet"), set(), "000003.parquet is no part"),
    "rows.parquet edited": (lambda f: edit(f / "rows.parquet", but(7, p_answer=0.5)), set(), "rows.parquet is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FALSE)
def test_what_is_false_is_reported_and_done_again(
    whole: Path, table: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
):
    falsify, again, reason = FALSE[kind]
    folder = copied(whole, tmp_path)
    falsify(folder)
    assert contents(folder) != contents(whole)
    said: list[str] = []
    asked = counting(monkeypatch)
    sweep(table, folder, "mock", FAST, report=said.append)
    assert set(asked) == again | {"q4", "q10"}
    assert re.search(reason, "\n".join(s for s in said if "Skipped" not in s))
    assert contents(folder) == contents(whole)


def test_rows_that_are_false_are_not_read(whole: Path, tmp_path: Path):
    folder = copied(whole, tmp_path)
    edit(folder / "rows.parquet", but(7, p_answer=0.5))
    with pytest.raises(InputError, match=r"are damaged \(rows.parquet: .*start the sweep again to mend them"):
        read_rows(folder)
    (folder / "rows.parquet").unlink()
    assert read_rows(folder).equals(read_rows(whole))
    shutil.copy(folder / BEFORE, folder / PART)
    with pytest.raises(InputError, match=r"are damaged \(000001.parquet: it has the row of place 0"):
        read_rows(folder)


def test_a_part_that_is_falsified_while_the_sweep_runs(
    whole: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder, finish = copied(whole, tmp_path), SweepFolder.finish

    def falsified(self: SweepFolder) -> int:
        shutil.copy(folder / BEFORE, folder / PART)
        return finish(self)

    with monkeypatch.context() as patch:
        patch.setattr(SweepFolder, "finish", falsified)
        with pytest.raises(SweepError, match=r"000001.parquet was damaged while the sweep ran .* start the same sweep"):
            sweep(table, folder, "mock", FAST, report=lambda _: None)
    sweep(table, folder, "mock", FAST, report=lambda _: None)
    assert contents(folder) == contents(whole)


def test_a_folder_of_an_older_format_is_refused(whole: Path, table: Path, tmp_path: Path):
    folder = copied(whole, tmp_path)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 5', '"format": 2'))
    before = contents(folder)
    for use in (lambda: sweep(table, folder, "mock", FAST), lambda: read_manifest(folder), lambda: read_rows(folder)):
        with pytest.raises(
            InputError, match="is of format 2, and this version of stcg-nb reads and writes format 5 alone"
        ):
            use()
    assert contents(folder) == before


# No space


def test_a_full_disk_stops_the_sweep_with_a_sentence_and_it_goes_on_later(
    whole: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A limit on the size of files stands for a full disk: the system refuses to write the second half of one."""
    largest = max(len(data) for name, data in contents(whole).items() if name.endswith(".npz"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, before[1]))
        with pytest.raises(SweepError, match=r"cannot be written \(File too large\); check the space .* is kept"):
            sweep(table, tmp_path, "mock", FAST, report=lambda _: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.rglob("*.partial"))
    sweep(table, tmp_path, "mock", FAST, report=lambda _: None)
    assert contents(tmp_path) == contents(whole)


@pytest.mark.parametrize("kind", ["fsync", "rename"])
def test_no_space_at_any_point_of_a_write_leaves_what_was_there(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"os.{'fsync' if kind == 'fsync' else 'replace'}", full)
    with pytest.raises(SweepError, match=r"No space left on device\); check the space"):
        write_whole(path, b"new")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_a_model_that_fails_stops_the_sweep_and_nothing_is_skipped(
    table: Path, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("device-side assert\nmore")

    with monkeypatch.context() as patch:
        patch.setattr(Mock, "trace", broken)
        with pytest.raises(SweepError, match=r"Question q0 made mock fail \(RuntimeError: device-side assert\)"):
            sweep(table, tmp_path, load_model("mock").name, FAST)
    sweep(table, tmp_path, "mock", FAST, report=lambda _: None)
    assert contents(tmp_path) == contents(whole)


# The command


def test_the_command_says_what_was_done_and_its_exit_code_whether_anything_was_skipped(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    good = table.parent / "good.csv"
    good.write_text("image,question\n0.png,what is this?\n")
    for dataset, code in ((good, 0), (table, 3)):
        out = tmp_path / dataset.stem
        assert main(["sweep", "--dataset", str(dataset), *FLAGS, "--out", str(out)]) == code
    said = capsys.readouterr()
    assert f"1 of 1 questions are explained in {tmp_path / 'good'}" in said.out
    assert "stcg: 2 were skipped; the column 'error' of rows.parquet says why." in said.err
    assert main(["sweep", "--dataset", "nothing", *FLAGS, "--out", str(tmp_path / "x")]) == 1
    assert "'nothing' is no dataset" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    assert (
        main(["sweep", "--dataset", str(good), *FLAGS, "--n", "1", "--seed", "9", "--out", str(tmp_path / "good")]) == 1
    )
    assert "was begun with seed 0, not 9" in capsys.readouterr().err


def test_rows_can_be_read_while_the_sweep_runs(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    counting(monkeypatch, 9)
    with pytest.raises(KeyboardInterrupt):
        sweep(table, tmp_path, "mock", FAST, report=lambda _: None)
    assert read_rows(tmp_path)["id"].to_pylist() == [f"q{i}" for i in range(BATCH)]
    with pytest.raises(InputError, match="no rows of a sweep"):
        read_rows(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no folder of a sweep"):
        read_manifest(tmp_path / "nowhere")
