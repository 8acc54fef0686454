"""Statistics that do not depend on models: cluster bootstrap, permutation tests, Jensen-Shannon distance, overlap of edges."""

from stcg_nb.stats.bootstrap import Estimate, bootstrap_means, cluster_bootstrap
from stcg_nb.stats.comparisons import Comparison, against_orders, between, holm, paired
from stcg_nb.stats.divergence import js_distance, normalised
from stcg_nb.stats.overlap import jaccard_top, strongest

__all__ = [
    "Comparison",
    "Estimate",
    "against_orders",
    "between",
    "bootstrap_means",
    "cluster_bootstrap",
    "holm",
    "jaccard_top",
    "js_distance",
    "normalised",
    "paired",
    "strongest",
]
