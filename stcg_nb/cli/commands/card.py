"""``stcg card``: how faithful the causal graphs of a model's answers are."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from stcg_nb.cli.command import Command, add_model


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    from stcg_nb.interventions.causal_graph import MASKS

    add_model(parser)
    parser.add_argument("--n", type=int, default=200, help="questions that the model answers correctly (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes")
    parser.add_argument("--masks", type=int, default=MASKS, help=f"for each causal graph (default {MASKS})")
    parser.add_argument(
        "--json", type=Path, default=Path("card.json"), metavar="OUT", help="the card (default card.json)"
    )


def _run(args: argparse.Namespace) -> None:
    from stcg_nb.errors import InputError
    from stcg_nb.faithfulness.card import measure_card
    from stcg_nb.files import write
    from stcg_nb.models import load_model

    if args.json.exists():
        raise InputError(f"{str(args.json)!r} exists already; name another file, or delete it.")
    partial = args.json.with_name(f"{args.json.name}.partial")  # a stopped run resumes from this file
    card = measure_card(load_model(args.model), n=args.n, seed=args.seed, masks=args.masks, partial=partial)
    write(args.json, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())
    partial.unlink(missing_ok=True)
    for key, entry in card["measures"].items():
        if entry["value"] is None:
            print(f"  {key:<25} -")
            continue
        span = "" if entry["low"] is None else f"[{entry['low']:+.3f}, {entry['high']:+.3f}]"
        print(f"  {key:<25} {entry['value']:+.3f}  {span}  n = {entry['n']}")
    print(args.json)


COMMAND = Command(
    "card", "measure how faithful causal graphs of a model's answers are, on fresh scenes", _add_arguments, _run
)
