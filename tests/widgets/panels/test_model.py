"""The model panel: a checkpoint waits for a click, and loading can be cancelled."""

from __future__ import annotations

import asyncio
import gc
import re
import time

from on_screen import QUICK, click, control, labels, of_kind, said, shown
from small_blip2 import save_small
from transformers import Blip2ForConditionalGeneration
from transformers.core_model_loading import WeightRenaming

from stcg_nb import widgets


def test_a_checkpoint_that_is_loading_is_cancelled_and_nothing_of_it_stays(monkeypatch, tmp_path):
    """The weights are read slowly here, as those of a large checkpoint are."""
    monkeypatch.setattr("stcg_nb.widgets.worker.someone_watches", lambda: True)
    monkeypatch.setattr("stcg_nb.widgets.panel.someone_watches", lambda: True)
    folder, read = save_small(tmp_path / "checkpoint"), []
    convert = WeightRenaming.convert
    monkeypatch.setattr(
        WeightRenaming, "convert", lambda *a, **k: (read.append(1), time.sleep(0.01), convert(*a, **k))[2]
    )
    before = len(networks())

    async def run() -> None:
        session = widgets.start(**{**QUICK, "model": str(folder)})
        panel = widgets.model_panel(session)
        assert "not loaded yet" in shown(panel) and not panel.busy.running  # a checkpoint waits for a click
        click(panel, "Load")
        while not of_kind(panel, "FloatProgress")[0].value:
            await asyncio.sleep(0.01)
        assert re.search(r"Loading: tensors, \d+ of \d\d\d", said(panel))
        click(panel, "Cancel")
        assert "Cancel" not in labels(panel) and "Stopped" in said(panel)
        so_far = len(read)
        control(panel, "Model").value = "Mock (made-up numbers)"
        click(panel, "Load")
        while panel.busy.running:
            await asyncio.sleep(0.01)
        assert "SYNTHETIC" in shown(panel)  # the thread was free for it
        assert len(read) <= so_far + 30 and len(networks()) == before
        session.close()

    asyncio.run(run())


def networks() -> list:
    gc.collect()
    return [o for o in gc.get_objects() if type(o) is Blip2ForConditionalGeneration]
