"""The command line: ``stcg explain``, ``stcg run``, ``stcg accuracy``.

Exit codes: 0 done; 1 what was asked could not be done, with one sentence on stderr; 2 the command itself was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from stcg_nb import __version__
from stcg_nb.errors import StcgError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = _parser().parse_args(argv)
    # Download and loading bars of the libraries are not ours; errors still show.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        args.act(args)
    except StcgError as error:
        print(f"stcg: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stcg: stopped.", file=sys.stderr)
        return 130
    return 0


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
    explain.add_argument("--estimator", default="gradient", help="attention, rollout or gradient (default)")
    explain.add_argument("--regions", default="slic", help="slic (default), slic:30, grid, grid:8x8")
    explain.add_argument("--perturbations", help="names, separated by commas (default: all six)")
    explain.add_argument("--strength", type=float, default=0.5, help="of the perturbations, 0 to 1 (default 0.5)")
    explain.add_argument("--seed", type=int, default=0)
    explain.add_argument("--out", type=Path, default=Path("stcg-results"), help="results folder, new or empty")
    explain.set_defaults(act=_explain)

    run = commands.add_parser("run", help="run a notebook with parameters")
    run.add_argument("notebook", metavar="NOTEBOOK")
    run.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"))
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
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", help="tiny, mock, a hub id or a folder (default: what the environment asks for, else tiny)"
    )


def _explain(args: argparse.Namespace) -> None:
    from stcg_nb.explain import explain
    from stcg_nb.models import load_model
    from stcg_nb.perturb import DEFAULT
    from stcg_nb.runs import prepare_folder

    existed = args.out.is_dir()
    prepare_folder(args.out)
    try:
        names = (
            DEFAULT if args.perturbations is None else [n.strip() for n in args.perturbations.split(",") if n.strip()]
        )
        stcg = explain(
            args.image, args.question, load_model(args.model),
            estimator=args.estimator, regions=args.regions, perturbations=names, strength=args.strength, seed=args.seed,
        )  # fmt: skip
        written = [
            stcg.to_json(args.out / "stcg.json"),
            stcg.to_graphml(args.out / "graph.graphml"),
            stcg.to_html(args.out / "stcg.html"),
            stcg.save(args.out / "stcg.npz"),
        ]
    except BaseException:
        for path in args.out.iterdir():
            path.unlink()
        if not existed:
            args.out.rmdir()
        raise
    print(f"{stcg.model}: {stcg.question} -> {stcg.answer} (p = {stcg.data.attrs['p_answer']:.2f})")
    if stcg.synthetic:
        print("SYNTHETIC: these numbers come from the mock, not from a model.")
    for path in written:
        print(path)


def _run(args: argparse.Namespace) -> None:
    from stcg_nb.runs import run_notebook

    print(run_notebook(args.notebook, {key: _value(value) for key, value in args.parameter}, args.out))


def _value(text: str) -> Any:
    """A parameter as YAML reads it: numbers, true, null, lists; anything else is text."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _accuracy(args: argparse.Namespace) -> None:
    from stcg_nb.accuracy import measure
    from stcg_nb.models import load_model

    report = measure(load_model(args.model), args.dataset, n=args.n, seed=args.seed, without=args.without)
    if args.json:
        print(json.dumps(report, indent=1))
        return
    print(f"{report['model']} on {report['dataset']}" + (f" without the {args.without}" if args.without else ""))
    for name, entry in (("overall", {**report, "accuracy": report["overall"]}), *report["kinds"].items()):
        low, high = entry["interval"]
        print(f"  {name:<10} {entry['accuracy']:.3f}  [{low:.3f}, {high:.3f}]  n = {entry['n']}")
