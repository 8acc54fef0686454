// Text in a box, with a button that copies it.

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "stcg-code";
  const button = document.createElement("button");
  button.className = "jupyter-button";
  button.type = "button";
  const pre = document.createElement("pre");
  pre.tabIndex = 0;
  const say = (text) => (button.textContent = text);
  const show = () => {
    pre.textContent = model.get("text");
    say("Copy");
  };
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(model.get("text"));
      say("Copied");
    } catch {
      // No permission: the text is selected instead, ready for Ctrl+C.
      getSelection().selectAllChildren(pre);
      say("Press Ctrl+C");
    }
  });
  root.append(button, pre);
  el.appendChild(root);
  model.on("change:text", show);
  show();
  return () => model.off("change:text", show);
}

export default { render };
