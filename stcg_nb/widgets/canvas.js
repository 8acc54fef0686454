// Shows an SVG drawing that Python made, and says what was chosen or drawn on it. It decides nothing by itself.
// Elements with data-pick can be clicked; arrow keys move between them, Enter or Space chooses.

const NS = "http://www.w3.org/2000/svg";

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "stcg-canvas";
  el.appendChild(root);
  let start = null; // where a box begins, in the drawing's pixels
  let band = null;

  const svg = () => root.querySelector("svg");
  const choices = () => [...root.querySelectorAll('[data-pick]:not([data-pick=""])')];

  const draw = () => {
    const focused = root.contains(document.activeElement) ? document.activeElement.dataset.pick : null;
    root.innerHTML = model.get("svg");
    start = band = null;
    const all = choices();
    const chosen = all.find((e) => e.dataset.pick === focused);
    (chosen || all[0])?.setAttribute("tabindex", "0");
    if (focused !== null) chosen?.focus({ preventScroll: true });
    root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1);
  };
  const mode = () => root.classList.toggle("stcg-drawing", model.get("drawing"));

  const at = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg().getScreenCTM().inverse());
    return [point.x, point.y];
  };
  const pick = (element) => model.send({ kind: "pick", name: element.dataset.pick });

  root.addEventListener("click", (event) => {
    const element = event.target.closest("[data-pick]");
    if (element && !model.get("drawing")) pick(element);
  });
  root.addEventListener("keydown", (event) => {
    const element = event.target.closest("[data-pick]");
    if (!element) return;
    const all = choices();
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter" || event.key === " ") pick(element);
    else if (event.key === "Escape") model.send({ kind: "pick", name: "" });
    else if (by) {
      const next = all[(all.indexOf(element) + by + all.length) % all.length];
      element.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has shortcuts of its own
  });

  root.addEventListener("pointerdown", (event) => {
    if (!model.get("drawing") || !svg()) return;
    event.preventDefault();
    start = at(event);
    band = document.createElementNS(NS, "rect");
    band.setAttribute("class", "stcg-band");
    svg().appendChild(band);
    root.setPointerCapture(event.pointerId);
  });
  root.addEventListener("pointermove", (event) => {
    if (!start || !band) return;
    const [x, y] = at(event);
    band.setAttribute("x", Math.min(x, start[0]));
    band.setAttribute("y", Math.min(y, start[1]));
    band.setAttribute("width", Math.abs(x - start[0]));
    band.setAttribute("height", Math.abs(y - start[1]));
  });
  root.addEventListener("pointerup", (event) => {
    if (!start) return;
    const end = at(event);
    model.send({ kind: "box", box: [...start, ...end] });
    band?.remove();
    start = band = null;
  });

  model.on("change:svg", draw);
  model.on("change:drawing", mode);
  draw();
  mode();
  return () => {
    model.off("change:svg", draw);
    model.off("change:drawing", mode);
  };
}

export default { render };
