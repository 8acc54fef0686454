"""Models behind one protocol: the embedded BLIP-2, checkpoints of BLIP-2 and of decoder-only vision-language models, and a mock."""

from stcg_nb.models.load import load_model
from stcg_nb.models.protocol import SITES, Answer, Model, Prompt, Trace

__all__ = ["SITES", "Answer", "Model", "Prompt", "Trace", "load_model"]
