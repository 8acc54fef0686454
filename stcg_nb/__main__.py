"""``python -m stcg_nb`` runs the command ``stcg``."""

import sys

from stcg_nb.cli import main

if __name__ == "__main__":
    sys.exit(main())
