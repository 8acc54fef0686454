"""The command line: ``stcg explain``, ``stcg run``, ``stcg accuracy``, ``stcg card``, ``stcg sweep``.

Exit codes: 0 done; 1 what was asked could not be done, with one sentence on stderr; 2 the command itself was wrong; 3 a sweep is
done, but questions were skipped.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stcg_nb import __version__
from stcg_nb.errors import StcgError
from stcg_nb.notebooks.parameters import read_value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without emoji is no reason to fail
    # Download and loading bars of the libraries are not ours; errors still show.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        with _as_settings(args):
            return args.act(args) or 0
    except StcgError as error:
        print(f"stcg: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stcg: stopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stcg", description="What the answer of a vision-language model rests on, as a graph of causes."
    )
    parser.add_argument("--version", action="version", version=f"stcg {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    explain = commands.add_parser("explain", help="explain the answer to a question about an image")
    explain.add_argument("image", metavar="IMAGE")
    explain.add_argument("question", metavar="QUESTION")
    _add_model(explain)
    explain.add_argument("--estimator", default="causal", help="causal (default), attention, rollout or gradient")
    explain.add_argument("--regions", default="slic", help="slic (default), slic:30, grid, grid:8x8")
    explain.add_argument("--perturbations", help="names, separated by commas (default: all six)")
    explain.add_argument("--strength", type=float, default=0.5, help="of the perturbations, 0 to 1 (default 0.5)")
    explain.add_argument("--seed", type=int, default=0)
    explain.add_argument("--masks", type=int, default=256, help="that the causal estimator tries (default 256)")
    explain.add_argument(
        "--absent", default="median", help="an absent region: median (default), mean, blur, inpaint, cut"
    )
    explain.add_argument("--out", type=Path, default=Path("stcg-results"), help="results folder, new or empty")
    explain.set_defaults(act=_explain)

    run = commands.add_parser("run", help="run a notebook with parameters")
    run.add_argument("notebook", metavar="NOTEBOOK")
    run.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("KEY", "VALUE"),
        help="may be given several times; VALUE as JSON, else it is text",
    )
    run.add_argument("--out", type=Path, help="run folder, new or empty (default: runs/NAME-TIME)")
    run.set_defaults(act=_run)

    accuracy = commands.add_parser("accuracy", help="measure a model on fresh scenes or on easy-VQA's test split")
    _add_model(accuracy)
    accuracy.add_argument("--dataset", default="scenes", help="scenes (default) or easy-vqa")
    accuracy.add_argument("--n", type=int, help="questions (default: 1,100 of the scenes', or all 9,673 of easy-VQA's)")
    accuracy.add_argument("--seed", type=int, default=0, help="of the scenes")
    accuracy.add_argument("--without", help="leave out the image or the question")
    accuracy.add_argument("--json", action="store_true", help="print JSON")
    accuracy.set_defaults(act=_accuracy)

    card = commands.add_parser(
        "card", help="measure how faithful causal graphs of a model's answers are, on fresh scenes"
    )
    _add_model(card)
    card.add_argument("--n", type=int, default=200, help="questions that the model answers correctly (default 200)")
    card.add_argument("--seed", type=int, default=0, help="of the scenes")
    card.add_argument("--masks", type=int, default=256, help="for each causal graph (default 256)")
    card.add_argument(
        "--json", type=Path, default=Path("card.json"), metavar="OUT", help="the card (default card.json)"
    )
    card.set_defaults(act=_card)

    sweep = commands.add_parser("sweep", help="explain many questions, and go on where it was stopped")
    _add_model(sweep)
    sweep.add_argument("--dataset", required=True, help="scenes, easy-vqa, vqa-v2, or a .csv, .jsonl or .parquet file")
    sweep.add_argument("--n", type=int, help="questions (default: 200 of the scenes', else all)")
    sweep.add_argument("--seed", type=int, default=0, help="of the draw and of the explanations (default 0)")
    sweep.add_argument("--folder", type=Path, help="of VQA-v2's files, official or a copy of Hugging Face datasets")
    sweep.add_argument("--split", default="val", help="of VQA-v2: val (default), train, test, test-dev")
    sweep.add_argument("--prompt", default="", help="short or plain, of BLIP-2 (default: the model's own)")
    sweep.add_argument("--estimator", help="attention, rollout, gradient or causal (default: as explain)")
    sweep.add_argument("--regions", default="slic", help="slic (default), slic:30, grid, grid:8x8")
    sweep.add_argument("--perturbations", help="names, separated by commas (default: all six)")
    sweep.add_argument("--strength", type=float, default=0.5, help="of the perturbations, 0 to 1 (default 0.5)")
    sweep.add_argument("--masks", type=int, default=256, help="that the causal estimator tries (default 256)")
    sweep.add_argument(
        "--absent", default="median", help="an absent region: median (default), mean, blur, inpaint, cut"
    )
    sweep.add_argument("--workers", type=int, help="processes with a model each, by Ray (default: this process alone)")
    sweep.add_argument(
        "--out", type=Path, required=True, help="folder: new, empty, or of the same sweep, which goes on"
    )
    sweep.set_defaults(act=_sweep)

    figures = commands.add_parser("figures", help="make every figure of the study from its notebooks; resumable")
    _add_model(figures)
    figures.add_argument(
        "--out", type=Path, required=True, help="folder, new or empty, or of the same study stopped earlier"
    )
    figures.add_argument("--n", type=int, help="questions a notebook (default 220)")
    figures.add_argument("--seed", type=int, default=0, help="of the scenes")
    figures.add_argument("--quick", action="store_true", help="the small size that the notebooks are committed with")
    figures.add_argument(
        "--card", type=Path, help="what `stcg card` wrote of the same model, seed and 256 masks: saves hours"
    )
    figures.set_defaults(act=_figures)
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", help="tiny, mock, a hub id or a folder (default: what the environment asks for, else tiny)"
    )
    parser.add_argument("--device", help="auto, cpu, cuda:0 ... (default: what the environment asks for, else auto)")
    parser.add_argument("--dtype", help="auto, float32, bfloat16, float16 (likewise)")
    parser.add_argument("--quantisation", help="none, 8bit, 4bit (likewise)")
    parser.add_argument("--revision", help="a branch, tag or commit of the hub (default: the newest)")


@contextmanager
def _as_settings(args: argparse.Namespace) -> Iterator[None]:
    """The model's flags as variables of `stcg_nb.settings`, which reach notebooks and other processes too."""
    flags = {name: getattr(args, name, None) for name in ("device", "dtype", "quantisation", "revision")}
    given = {f"STCG_{name.upper()}": value for name, value in flags.items() if value is not None}
    before = {name: os.environ[name] for name in given if name in os.environ}
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            del os.environ[name]
        os.environ.update(before)


def _explain(args: argparse.Namespace) -> None:
    from stcg_nb.explanation import explain
    from stcg_nb.files import results_folder
    from stcg_nb.inputs.perturbations import DEFAULT
    from stcg_nb.models import load_model
    from stcg_nb.viz.report import write_html

    names = DEFAULT if args.perturbations is None else [n.strip() for n in args.perturbations.split(",") if n.strip()]
    with results_folder(args.out) as written:
        stcg = explain(
            args.image, args.question, load_model(args.model),
            estimator=args.estimator, regions=args.regions, perturbations=names, strength=args.strength, seed=args.seed,
            masks=args.masks, absent=args.absent,
        )  # fmt: skip
        written.append(stcg.to_json(args.out / "stcg.json"))
        written.append(stcg.to_graphml(args.out / "graph.graphml"))
        written.append(write_html(stcg, args.out / "stcg.html"))
        written.append(stcg.save(args.out / "stcg.npz"))
    print(f"{stcg.model}: {stcg.question} -> {stcg.answer} (p = {stcg.data.attrs['p_answer']:.2f})")
    if stcg.synthetic:
        print("SYNTHETIC: these numbers come from the mock, not from a model.")
    for path in written:
        print(path)


def _run(args: argparse.Namespace) -> None:
    from stcg_nb.notebooks.run import run_notebook

    print(run_notebook(args.notebook, {key: read_value(value) for key, value in args.parameter}, args.out))


def _accuracy(args: argparse.Namespace) -> None:
    from stcg_nb.datasets.accuracy import measure
    from stcg_nb.models import load_model

    report = measure(load_model(args.model), args.dataset, n=args.n, seed=args.seed, without=args.without)
    if args.json:
        print(json.dumps(report, indent=1))
        return
    print(f"{report['model']} on {report['dataset']}" + (f" without the {args.without}" if args.without else ""))
    for name, entry in (("overall", {**report, "accuracy": report["overall"]}), *report["kinds"].items()):
        low, high = entry["interval"]
        print(f"  {name:<10} {entry['accuracy']:.3f}  [{low:.3f}, {high:.3f}]  n = {entry['n']}")


def _card(args: argparse.Namespace) -> None:
    from stcg_nb.errors import InputError
    from stcg_nb.faithfulness.card import KEYS, measure_card
    from stcg_nb.files import write
    from stcg_nb.models import load_model

    if args.json.exists():
        raise InputError(f"{str(args.json)!r} exists already; name another file, or delete it.")
    partial = args.json.with_name(f"{args.json.name}.partial")  # a run that is stopped goes on from here
    card = measure_card(load_model(args.model), n=args.n, seed=args.seed, masks=args.masks, partial=partial)
    write(args.json, (json.dumps(card, indent=1) + "\n").encode())
    partial.unlink(missing_ok=True)
    for key in KEYS:
        entry = card[key]
        if entry["value"] is None:
            print(f"  {key:<25} -")
            continue
        span = "" if entry["low"] is None else f"[{entry['low']:+.3f}, {entry['high']:+.3f}]"
        print(f"  {key:<25} {entry['value']:+.3f}  {span}  n = {entry['n']}")
    print(args.json)


def _figures(args: argparse.Namespace) -> None:
    from stcg_nb.study.reproduce import reproduce

    findings = reproduce(args.out, model=args.model, n=args.n, seed=args.seed, quick=args.quick, card=args.card)
    for finding in findings:
        print(finding.line())
    print(args.out)


def _sweep(args: argparse.Namespace) -> int:
    from stcg_nb.datasets import load_dataset
    from stcg_nb.inputs.perturbations import DEFAULT
    from stcg_nb.sweep.run import How, sweep

    names = DEFAULT if args.perturbations is None else [n.strip() for n in args.perturbations.split(",") if n.strip()]
    chosen = {} if args.estimator is None else {"estimator": args.estimator}
    how = How(
        args.prompt, regions=args.regions, perturbations=tuple(names), strength=args.strength, seed=args.seed,
        masks=args.masks, absent=args.absent, **chosen,
    )  # fmt: skip
    dataset = load_dataset(args.dataset, n=args.n, seed=args.seed, folder=args.folder, split=args.split)
    done = sweep(dataset, args.out, args.model, how, workers=args.workers)
    print(f"{done.questions - done.skipped:,} of {done.questions:,} questions are explained in {done.folder}")
    if done.skipped:
        print(f"stcg: {done.skipped:,} were skipped; the column 'error' of rows.parquet says why.", file=sys.stderr)
    return 3 if done.skipped else 0
