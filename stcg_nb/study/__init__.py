"""The study's findings anew: measure many questions, test what was claimed, draw each figure (`stcg_nb.study.reproduce`)."""

from stcg_nb.study.findings import FAMILY, Finding, conclude, load_finding, save_finding
from stcg_nb.study.parameters import check_claimed, check_names, check_number
from stcg_nb.study.records import Study, read_card

__all__ = [
    "FAMILY",
    "Finding",
    "Study",
    "check_claimed",
    "check_names",
    "check_number",
    "conclude",
    "load_finding",
    "read_card",
    "save_finding",
]
