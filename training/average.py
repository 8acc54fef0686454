"""Average the weights of finished models that came from one another (model soups, Wortsman et al. 2022, arXiv 2203.05482).

    python training/average.py FOLDER FOLDER --out runs/mean

What is not weights (configuration, tokenizer, processor) is the first folder's.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist")
    args = parser.parse_args()
    models = [load_file(folder / WEIGHTS) for folder in args.folders]
    mean = {name: sum(model[name] for model in models) / len(models) for name in models[0]}
    shutil.copytree(args.folders[0], args.out)
    save_file(mean, args.out / WEIGHTS, metadata={"format": "pt"})
    print(f"The model is in {args.out}.")


if __name__ == "__main__":
    main()
