"""``stcg figures``: make every figure of the study by running its notebooks."""

from __future__ import annotations

import argparse
from pathlib import Path

from stcg_nb.cli.command import Command, add_model


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder, new or empty, or of the same study stopped earlier"
    )
    parser.add_argument("--n", type=int, help="questions a notebook (default 220)")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes")
    parser.add_argument("--quick", action="store_true", help="the small size that the notebooks are committed with")
    parser.add_argument(
        "--card", type=Path, help="what `stcg card` wrote of the same model, seed and 256 masks: saves hours"
    )


def _run(args: argparse.Namespace) -> None:
    from stcg_nb.study.reproduce import reproduce

    findings = reproduce(args.out, model=args.model, n=args.n, seed=args.seed, quick=args.quick, card=args.card)
    for finding in findings:
        print(finding.line())
    print(args.out)


COMMAND = Command("figures", "make every figure of the study from its notebooks; resumable", _add_arguments, _run)
