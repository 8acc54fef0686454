"""What is said of a chosen node or link."""

from __future__ import annotations

import re

from sample import sample_dataset

from stcg_nb.attention.knockout import can_cut
from stcg_nb.graph.selection import View, link_name
from stcg_nb.graph.stcg import STCG
from stcg_nb.widgets.details import details, link_choices


def test_details_of_three_that_work_together():
    stcg = STCG(sample_dataset())
    (three,) = (e for e in stcg.edges() if e.kind == "triple")
    view = View("interaction")
    others = [n for n in (three.source, three.target) if n != three.third]
    for node in (*others, three.third):
        assert " and " in details(stcg, view, node) and "+0.50 to +1.00" in details(stcg, view, node)
    name = link_name(three)
    assert "three together (nats)" in details(stcg, view, name)
    (label,) = (label for label, value in link_choices(stcg, view) if value == name)
    assert label.count(" + ") == 2 and label.endswith("+0.75")
    assert not can_cut(name)


def test_a_verdict_stands_beside_the_attention_that_it_was_drawn_from():
    stcg = STCG(sample_dataset(causal=True))
    edge = next(e for e in stcg.edges() if e.kind == "counterfactual" and e.verdict == "hidden" and e.rank > 1)
    said = details(stcg, View(), link_name(edge))
    assert "range over fills" in said
    assert all(head in said for head in ("share of attention", "rank", "verdict"))
    (row,) = (part for part in said.split("<tr") if "lost without it" in part)
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", row)
    assert cells[-3:] == [f"{edge.share:.2f}", str(edge.rank), "◌ hidden"]
