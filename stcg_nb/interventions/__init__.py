"""Effects of removing words and regions on the answer: masked forward passes, the surrogate fitted to them, the causal graph."""

from stcg_nb.interventions.causal_graph import Causes, find_causes
from stcg_nb.interventions.masking import Game
from stcg_nb.interventions.perturbation_effects import Sensitivity, sensitivities
from stcg_nb.interventions.surrogate import Surrogate
from stcg_nb.interventions.verdicts import VERDICTS

__all__ = ["VERDICTS", "Causes", "Game", "Sensitivity", "Surrogate", "find_causes", "sensitivities"]
