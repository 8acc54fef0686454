"""Lines of Python, and parameters of the notebook, that make what the panels show.

The lines call the package and no widgets. A test runs them and compares the result with what the panels hold.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from stcg_nb.inputs.open_image import unperturbed
from stcg_nb.options import Options
from stcg_nb.widgets.state import State

NOTEBOOK = "notebooks/00_explore.ipynb"


def code(state: State) -> str:
    """Python that makes what a state shows: ``stcg``, ``svg``, and ``without`` where links are cut.

    >>> print(code(State(model="mock", boxes=((0, 0, 64, 64),)))[:31])
    from stcg_nb import explain, lo
    """
    imports, lines = _explaining(state)
    imports["stcg_nb.viz.graph_svg"] = ["graph_svg"]
    lines.append("print(stcg.answer)")
    if state.site is not None:
        imports["stcg_nb.attention"] = ["head_alignment", "of_head"]
        lines += [
            *_case(imports, lines),
            f"heads = head_alignment(case, {state.site!r})",
            f"stcg = of_head(stcg, heads, layer={state.layer!r}, head={state.head!r})",
        ]
    shown = _arguments(
        "stcg", links=repr(state.links), top=repr(state.top), step=repr(state.step), min_effect=repr(state.min_effect),
        node=repr(state.picked), cuts=_unless(list(state.cuts), []),
    )  # fmt: skip
    lines.append(f"svg = graph_svg({shown})")
    if state.cuts:
        imports.setdefault("stcg_nb.attention", []).extend(["cut", "cut_edges"])
        lines += [
            *_case(imports, lines),
            f"without = cut(case, cut_edges({list(state.cuts)!r}, case))",
            "print(without.new_answer.text, without.effect)",
        ]
    return _whole(imports, lines)


def comparison(first: State, second: State, links: str, top: int) -> str:
    """Python that makes two explanations, ``first`` and ``second``, their difference ``found``, and its ``svg``.

    >>> print(comparison(State(model="mock"), State(model="mock", question="what?"), "alignment", 9).splitlines()[-1])
    svg = Drawing(first).changes(found, 'alignment', 9)
    """
    imports, lines = _explaining(first)
    more, others = _explaining(second)
    for module, names in more.items():
        imports[module] = sorted({*imports.get(module, []), *names})
    imports |= {"stcg_nb.graph.difference": ["difference"], "stcg_nb.viz.graph_svg": ["Drawing"]}
    again = others[1:] if others[0] == lines[0] else others  # one model is loaded once
    lines += ["first = stcg", "", *again, "second = stcg", ""]
    lines += ["found = difference(first, second)", f"svg = Drawing(first).changes(found, {links!r}, {top!r})"]
    return _whole(imports, lines)


def _explaining(state: State) -> tuple[dict[str, list[str]], list[str]]:
    """Imports and lines that make ``stcg``; names by module."""
    imports = {"stcg_nb": ["explain", "load_model"], "stcg_nb.inputs.open_image": ["open_image"]}
    loading = _arguments(
        repr(state.model), device=_unless(state.device, "auto"), dtype=_unless(state.dtype, "auto"),
        quantisation=_unless(state.quantisation, "none"), revision=_unless(state.revision, None),
    )  # fmt: skip
    lines = [f"model = load_model({loading})", f"image = open_image({state.image!r})"]
    if state.boxes:
        imports["stcg_nb.inputs.regions"] = ["box_regions"]
        lines.append(f"regions = box_regions(image, {box_names(state)!r})")
    elif (source := unperturbed(state.image)) != state.image:
        imports["stcg_nb.inputs.regions"] = ["make_regions"]
        lines.append(f"regions = make_regions(open_image({source!r}), {state.regions!r})")
    else:
        lines.append(f"regions = {state.regions!r}")
    lines += [f"question = {state.question!r}", "stcg = explain(", "    image, question, model, regions=regions,"]
    default = Options()
    for name, value in state.options().items():
        if name != "regions" and value != getattr(default, name):
            lines += _wrapped(f"    {name}=", value)
    lines.append(")")
    return imports, lines


def _whole(imports: dict[str, list[str]], lines: list[str]) -> str:
    head = [f"from {module} import {', '.join(names)}" for module, names in sorted(imports.items())]
    return "\n".join([*head, "", *lines]) + "\n"


def _case(imports: dict[str, list[str]], lines: list[str]) -> list[str]:
    """The line that makes ``case``; none where it is there already."""
    line = "case = Case.read(image, question, model, regions=regions)"
    imports["stcg_nb.case"] = ["Case"]
    return [] if line in lines else [line]


def parameters(state: State) -> dict[str, Any]:
    """The parameters of the notebook that make what a state shows, without those that have their default."""
    default = State()
    plain = state.model_dump(mode="json")
    return {name: plain[name] for name, value in state if value != getattr(default, name)}


def command(state: State) -> str:
    """The command that runs the notebook with these parameters.

    >>> command(State(step=1))
    'stcg run notebooks/00_explore.ipynb -p step 1'
    """
    parts = []
    for name, value in parameters(state).items():
        text = value if isinstance(value, str) and not _reads_as_json(value) else json.dumps(value, ensure_ascii=False)
        parts.append(f" -p {name} {shlex.quote(text)}")
    return f"stcg run {NOTEBOOK}{''.join(parts)}"


def box_names(state: State) -> dict[str, tuple[int, int, int, int]]:
    """The drawn boxes with names, as `stcg_nb.inputs.regions.box_regions` takes them."""
    return {f"b{i}": box for i, box in enumerate(state.boxes)}


def _wrapped(begin: str, value: Any) -> list[str]:
    """An argument, over as many lines as a list of names needs."""
    if not isinstance(value, tuple) or len(f"{begin}{list(value)!r}") < 100:
        return [f"{begin}{list(value) if isinstance(value, tuple) else value!r},"]
    half = len(value) // 2
    return [f"{begin}[", *(f"        {', '.join(map(repr, part))}," for part in (value[:half], value[half:])), "    ],"]


def _reads_as_json(text: str) -> bool:
    """Whether the command line would read a text as another value, such as a number."""
    from stcg_nb.notebooks.parameters import read_value

    return read_value(text) != text


def _unless(value: Any, default: Any) -> str | None:
    return None if value == default else repr(value)


def _arguments(first: str, **named: str | None) -> str:
    return ", ".join([first, *(f"{name}={value}" for name, value in named.items() if value is not None)])
