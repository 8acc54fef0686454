"""The estimators of alignment, one per module. Each module registers its own in `stcg_nb.attention.token_links.ESTIMATORS`."""

from stcg_nb.registry import import_all

import_all(__name__)
