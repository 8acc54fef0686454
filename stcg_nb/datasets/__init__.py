"""Questions about pictures: drawn scenes, easy-VQA, VQA-v2, or a table of your own, all as `Record`s."""

from stcg_nb.datasets.base import DATASETS, Dataset, Record, dataset
from stcg_nb.datasets.load import load_dataset

__all__ = ["DATASETS", "Dataset", "Record", "dataset", "load_dataset"]
