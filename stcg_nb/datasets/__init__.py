"""Questions about pictures: drawn scenes, easy-VQA, VQA-v2, or a table of your own, all as `Record`s."""

from stcg_nb.datasets.base import Dataset, Record
from stcg_nb.datasets.load import NAMES, load_dataset

__all__ = ["NAMES", "Dataset", "Record", "load_dataset"]
