"""How quick the explorer is, in a real JupyterLab in headless Chromium.

    python benchmarks/bench_widgets.py [--moves 30] [--openings 10] [--json OUT]

- ``move``: from a key on the token slider to the redrawn picture, painted (two animation frames later): the way through the browser,
  the kernel, the drawing in Python, and back;
- ``draw``: the part of it that Python's drawing takes;
- ``open``: from running the explorer's cell on a finished explanation to its painted picture.

With 24 regions and 300 links, and with 256 regions and 2,000 links, of the mock: a picture costs the same whatever model made it.
Medians over single moves, with the 95 % interval of that median by bootstrap, and the slowest.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from lab import BROWSER, run_all, running

from stcg_nb import explain
from stcg_nb.graph.selection import View, choose
from stcg_nb.inputs.open_image import open_image
from stcg_nb.viz.graph_svg import Drawing

QUESTION = "what color is the thing left of the yellow car?"
SIZES = {"24 regions, 300 links": ("grid:4x6", 300), "256 regions, 2,000 links": ("grid:16x16", 2000)}
BEGIN = """\
from stcg_nb import widgets
session = widgets.start(model="mock", image="scene:7", question={question!r}, masks=0, regions={regions!r},
                        links="alignment", top={top})
widgets.explorer(session)"""
AGAIN = """\
fresh = widgets.Session(session.state)
fresh.explanations.update(session.explanations)
widgets.explorer(fresh)"""
WATCH = """([canvas, now]) => new Promise(done => {
    const begin = performance.now();
    const seen = new MutationObserver(() => {
        seen.disconnect();
        requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begin)));
    });
    seen.observe(canvas, {attributes: true, attributeFilter: ['data-drawn']});
    const handle = document.activeElement;
    handle.dispatchEvent(new KeyboardEvent('keydown', {key: now, code: now, bubbles: true, cancelable: true}));
})"""
OPENED = """([count, run]) => new Promise(done => {
    const begin = performance.now();
    const look = () => {
        const all = [...document.querySelectorAll(".stcg-canvas [data-pick='step:0']")];
        if (window.stcgSeen !== all[all.length - 1] && all.length === count) {
            window.stcgSeen = all[all.length - 1];
            requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begin)));
        } else setTimeout(look, 5);
    };
    look();
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--moves", type=int, default=30)
    parser.add_argument("--openings", type=int, default=10)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if BROWSER is None:
        raise SystemExit("There is no Chromium or Chrome to measure in.")
    report = {"cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0], "sizes": {}}
    for label, (regions, top) in SIZES.items():
        report["sizes"][label] = measure(regions, top, args.moves, args.openings)
    print(f"{report['cores']} cores, load {report['load']:.1f}")
    for label, rows in report["sizes"].items():
        print(label)
        for name, row in rows.items():
            low, high = row["interval"]
            print(
                f"  {name:<5} {row['median']:.3f} s  [{low:.3f}, {high:.3f}]  slowest {row['slowest']:.3f}  n = {row['n']}"
            )
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


def measure(regions: str, top: int, moves: int, openings: int) -> dict[str, dict]:
    """Seconds of one size of graph."""
    stcg = explain(open_image("scene:7"), QUESTION, "mock", masks=0, regions=regions)
    drawing, drawn = Drawing(stcg), []
    assert len(choose(stcg, View("alignment", top)).drawn) == top
    for i in range(moves):
        begin = time.perf_counter()
        drawing.svg(View("alignment", top, i % 3))
        drawn.append(time.perf_counter() - begin)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as lab:
        tab = lab.open(lab.write("bench.ipynb", BEGIN.format(question=QUESTION, regions=regions, top=top), AGAIN))
        run_all(tab)
        tab.wait_for_function("document.querySelectorAll(\".stcg-canvas [data-pick='step:0']\").length === 2")
        slider = tab.locator(".widget-hslider", has_text="Token").locator("[role=slider]").first
        canvas = tab.locator(".stcg-canvas").first.element_handle()
        moved = []
        slider.focus()
        for i in range(moves):
            slider.focus()
            moved.append(tab.evaluate(WATCH, [canvas, "ArrowRight" if i % 6 < 3 else "ArrowLeft"]) / 1000)
        opened = []
        last = tab.locator(".jp-CodeCell").last
        for _ in range(openings):
            last.locator(".cm-content").click()
            tab.evaluate(
                "() => { window.stcgSeen = [...document.querySelectorAll(\".stcg-canvas [data-pick='step:0']\")].pop() }"
            )
            waiting = tab.evaluate_handle(f"() => {{ window.stcgOpened = ({OPENED})([2, null]) }}")
            tab.keyboard.press("Control+Enter")
            opened.append(tab.evaluate("() => window.stcgOpened") / 1000)
            waiting.dispose()
    return {"move": summary(moved), "draw": summary(drawn), "open": summary(opened)}


def summary(seconds: list[float]) -> dict:
    values = np.array(seconds)
    draws = np.random.default_rng(0).choice(values, (2000, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return {
        "median": float(np.median(values)), "interval": [float(low), float(high)], "slowest": float(values.max()), "n": len(values),
    }  # fmt: skip


if __name__ == "__main__":
    main()
