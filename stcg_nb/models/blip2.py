"""The engine by its former name."""

from stcg_nb.models.engine import Engine as Blip2

__all__ = ["Blip2"]
