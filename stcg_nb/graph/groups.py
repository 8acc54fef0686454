"""Groups of regions in words: those that act as one, and those that stand in for each other (`stcg_nb.interventions.groups`)."""

from __future__ import annotations

import numpy as np

from stcg_nb.graph.stcg import STCG

AS_ONE, STAND_INS = "as one", "stand-ins"
SAID = {
    AS_ONE: "Regions {regions} act as one: without all of them “{token}” loses {effect:.1f} nats, and about as much without any.",
    STAND_INS: "Regions {regions} stand in for each other: without either “{token}” loses little, without both {effect:.1f} nats.",
}


def groups_said(stcg: STCG) -> list[str]:
    """A sentence for each group, those with the largest effects first."""
    data = stcg.data
    said = []
    for g in np.argsort(-data["group_effect"].values, kind="stable"):
        names = [stcg.regions[r] for r in np.flatnonzero(data["group_region"].values[g])]
        said.append(
            SAID[str(data["group_kind"].values[g])].format(
                regions=", ".join(names[:-1]) + f" and {names[-1]}",
                token=stcg.steps[int(data["group_step"].values[g])],
                effect=data["group_effect"].values[g],
            )
        )
    return said


def merged_labels(stcg: STCG) -> np.ndarray:
    """Region labels, int ``[height, width]``, in which regions that act as one at some step have the smallest of their numbers."""
    data = stcg.data
    number = np.arange(len(stcg.regions))
    for members, kind in zip(data["group_region"].values, data["group_kind"].values, strict=True):
        if kind == AS_ONE:
            joined = np.isin(number, number[members])
            number[joined] = number[joined].min()
    return np.asarray(number[data["region_labels"].values])
