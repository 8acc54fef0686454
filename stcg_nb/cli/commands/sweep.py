"""``stcg sweep``: explain many questions; resumes where it was stopped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stcg_nb.cli.command import Command, add_dataset, add_model, add_options, given_options


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    from stcg_nb.sweep import SweepOptions

    add_model(parser)
    add_dataset(parser)
    parser.add_argument("--n", type=int, help="questions (default: 200 of the scenes', else all)")
    parser.add_argument("--folder", type=Path, help="of VQA-v2's files, official or a copy of Hugging Face datasets")
    parser.add_argument("--split", default="val", help="of VQA-v2: val (default), train, test, test-dev")
    add_options(parser, SweepOptions)
    parser.add_argument("--workers", type=int, help="processes with a model each, by Ray (default: this process alone)")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder: new, empty, or of the same sweep, which goes on"
    )


def _run(args: argparse.Namespace) -> int:
    from stcg_nb.datasets import load_dataset
    from stcg_nb.sweep import SweepOptions, sweep

    options = given_options(args, SweepOptions)
    dataset = load_dataset(args.dataset, n=args.n, seed=options.seed, folder=args.folder, split=args.split)
    done = sweep(dataset, args.out, args.model, options, workers=args.workers)
    print(f"{done.questions - done.skipped:,} of {done.questions:,} questions are explained in {done.folder}")
    if done.skipped:
        print(f"stcg: {done.skipped:,} were skipped; the column 'error' of rows.parquet says why.", file=sys.stderr)
    return 3 if done.skipped else 0


COMMAND = Command("sweep", "explain many questions, and go on where it was stopped", _add_arguments, _run)
