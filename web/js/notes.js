// Shows on a node what its last run said beside its outputs: settings taken, warnings (`nodes/host/notes.py`).
// The lines are the node's `text` in ComfyUI's "executed" message; an empty list takes them away again.
// A node that fails shows the first line of its error in their place: newer pages keep it behind a button.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const PREFIX = "LadiVTON_";
const WARNING = "Warning: ";
const ERROR = "Error: ";
const MARKS = { [WARNING]: ["⚠", "var(--warning-text, #e5a83b)"], [ERROR]: ["✖", "var(--error-text, #ff6b6b)"] };
const markOf = (line) => Object.keys(MARKS).find((start) => line.startsWith(start));
const WIDGET = "ladi_vton_notes";
const MARGIN = 10; // around the element, on every side

function createElement() {
  const element = document.createElement("div");
  element.className = "ladi-vton-notes";
  Object.assign(element.style, {
    boxSizing: "border-box",
    padding: "0 4px",
    font: "12px/16px sans-serif",
    color: "var(--descrip-text, #999)",
    overflow: "hidden",
    overflowWrap: "anywhere",
    userSelect: "text",
  });
  return element;
}

// Height that the lines take with their margin at a node's width; fonts differ, so they are laid out once, out of sight.
function heightAt(notes, width) {
  if (notes.measured?.width === width) return notes.measured.height;
  const copy = notes.element.cloneNode(true);
  Object.assign(copy.style, { position: "fixed", visibility: "hidden", height: "auto", width: `${width - 2 * MARGIN}px` });
  document.body.append(copy);
  notes.measured = { width, height: copy.offsetHeight + 2 * MARGIN };
  copy.remove();
  return notes.measured.height;
}

function add(node, lines) {
  const element = createElement();
  for (const line of lines) {
    const paragraph = document.createElement("div");
    const mark = markOf(line);
    paragraph.textContent = mark ? `${MARKS[mark][0]} ${line.slice(mark.length)}` : line;
    if (mark) paragraph.style.color = MARKS[mark][1];
    element.append(paragraph);
  }
  const notes = { element, lines };
  const needed = () => heightAt(notes, node.size[0]);
  notes.widget = node.addDOMWidget(WIDGET, "notes", element, {
    serialize: false, // not in the prompt
    hideOnZoom: false,
    margin: MARGIN,
    getValue: () => lines.join("\n"),
    getMinHeight: needed,
    getMaxHeight: needed,
  });
  notes.widget.serialize = false; // nor in the file
  const [width, height] = node.size;
  const enough = Math.max(height, node.computeSize()[1]);
  notes.grown = enough - height;
  node.setSize([width, enough]);
  return notes;
}

function remove(node, notes) {
  node.removeWidget(notes.widget);
  notes.element.remove();
  node.setSize([node.size[0], Math.max(node.size[1] - notes.grown, node.computeSize()[1])]);
}

function show(node, lines) {
  const before = node.ladiVtonNotes;
  if (before?.lines.join("\n") === lines.join("\n")) return;
  if (before) remove(node, before);
  node.ladiVtonNotes = lines.length ? add(node, lines) : undefined;
  node.setDirtyCanvas?.(true, true);
}

// A node inside a subgraph that is not open cannot be seen: its warnings and errors come as a message.
function announce(node, lines) {
  if (node.graph === app.canvas?.graph) return;
  for (const line of lines) {
    const mark = markOf(line);
    if (!mark) continue;
    app.extensionManager?.toast?.add({
      severity: mark === ERROR ? "error" : "warn",
      summary: node.title,
      detail: line.slice(mark.length),
      life: 15000,
    });
  }
}

// The node of an id in ComfyUI's messages, "5", or "5:7" for a node inside the subgraph 5.
function nodeAt(path) {
  let [graph, node] = [app.rootGraph ?? app.graph];
  for (const id of String(path).split(":")) {
    node = graph?.getNodeById(id) ?? graph?.getNodeById(Number(id));
    graph = node?.subgraph;
  }
  return node;
}

let failed; // the node whose error is shown

app.registerExtension({
  name: "LadiVTON.Notes",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!nodeData.name.startsWith(PREFIX)) return;
    const executed = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (output) {
      executed?.apply(this, arguments);
      if (!Array.isArray(output?.text)) return;
      const lines = output.text.map(String);
      show(this, lines);
      announce(this, lines);
    };
  },
  setup() {
    api.addEventListener("execution_error", ({ detail }) => {
      if (!detail.node_type?.startsWith(PREFIX)) return;
      failed = nodeAt(detail.node_id);
      if (!failed) return;
      const lines = [ERROR + String(detail.exception_message).split("\n")[0]];
      show(failed, lines);
      announce(failed, lines);
    });
    api.addEventListener("execution_start", () => {
      if (failed) show(failed, []);
      failed = undefined;
    });
  },
});
