"""The study's findings anew: measure many questions, test what was claimed, draw each figure."""

from stcg_nb.study.findings import FAMILY, Finding, conclude, load_finding, save_finding
from stcg_nb.study.records import Study
from stcg_nb.study.reproduce import reproduce

__all__ = ["FAMILY", "Finding", "Study", "conclude", "load_finding", "reproduce", "save_finding"]
