"""The estimators of alignment, one a module; each registers itself in `stcg_nb.attention.token_links.ESTIMATORS`."""

from stcg_nb.registry import import_all

import_all(__name__)
