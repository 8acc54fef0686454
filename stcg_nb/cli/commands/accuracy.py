"""``stcg accuracy``: measure how often a model answers correctly."""

from __future__ import annotations

import argparse
import json

from stcg_nb.cli.command import Command, add_dataset, add_model


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_dataset(parser, default="scenes")
    parser.add_argument(
        "--n", type=int, help="questions (default: what the dataset says, 1,100 of the scenes', else all)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the scenes, or of the draw (default 0)")
    parser.add_argument("--without", help="leave out the image or the question")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _run(args: argparse.Namespace) -> None:
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


COMMAND = Command(
    "accuracy",
    "measure how often a model answers right, where each question has one answer",
    _add_arguments,
    _run,
)
