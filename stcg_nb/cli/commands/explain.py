"""``stcg explain``: explain the answer to one question about one image; write a results folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from stcg_nb.cli.command import Command, add_model, add_options, given_options


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    from stcg_nb.options import Options

    parser.add_argument("image", metavar="IMAGE", help="a file")
    parser.add_argument("question", metavar="QUESTION")
    add_model(parser)
    add_options(parser, Options)
    parser.add_argument("--out", type=Path, default=Path("stcg-results"), help="results folder, new or empty")


def _run(args: argparse.Namespace) -> None:
    from stcg_nb.explanation import explain
    from stcg_nb.files import results_folder
    from stcg_nb.graph.trust import trust_said
    from stcg_nb.models import load_model
    from stcg_nb.options import Options
    from stcg_nb.viz import write_html

    options = given_options(args, Options)
    with results_folder(args.out) as written:
        stcg = explain(args.image, args.question, load_model(args.model), options)
        written.append(stcg.to_json(args.out / "stcg.json"))
        written.append(stcg.to_graphml(args.out / "graph.graphml"))
        written.append(write_html(stcg, args.out / "stcg.html"))
        written.append(stcg.save(args.out / "stcg.npz"))
    print(f"{stcg.model}: {stcg.question} -> {stcg.answer} (p = {stcg.data.attrs['p_answer']:.2f})")
    if stcg.causal:
        print(trust_said(stcg))
    if stcg.synthetic:
        print("SYNTHETIC: these numbers come from the mock, not from a model.")
    for path in written:
        print(path)


COMMAND = Command("explain", "explain the answer to a question about an image", _add_arguments, _run)
