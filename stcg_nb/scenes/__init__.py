"""Drawn scenes with questions whose evidence is known: ground truth for explanations."""

from stcg_nb.scenes.pictures import Scene, SceneObject, make_scene
from stcg_nb.scenes.questions import KINDS, Question, make_questions, sample
from stcg_nb.scenes.sprites import COLORS, SHAPES

__all__ = ["COLORS", "KINDS", "SHAPES", "Question", "Scene", "SceneObject", "make_questions", "make_scene", "sample"]
