"""``stcg run``: run a notebook with parameters; write a run folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from stcg_nb.cli.command import Command


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("notebook", metavar="NOTEBOOK")
    parser.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("KEY", "VALUE"),
        help="may be given several times; VALUE as JSON, else it is text",
    )
    parser.add_argument("--out", type=Path, help="run folder, new or empty (default: runs/NAME-TIME)")


def _run(args: argparse.Namespace) -> None:
    from stcg_nb.notebooks import read_value, run_notebook

    print(run_notebook(args.notebook, {key: read_value(value) for key, value in args.parameter}, args.out))


COMMAND = Command("run", "run a notebook with parameters", _add_arguments, _run)
