// Shows on a node what its last run said beside its outputs: settings taken, warnings (`nodes/notes.py`).
// The lines are the node's `text` in ComfyUI's "executed" message; an empty list takes them away again.

import { app } from "../../../scripts/app.js";

const PREFIX = "LadiVTON_";
const WARNING = "Warning: ";
const WIDGET = "ladi_vton_notes";
const LINE_HEIGHT = 16;
const PADDING = 8;
const CHARACTER_WIDTH = 6.2; // of the 12 px sans-serif below, rather too wide than too narrow
const MARGINS = 44; // of a widget and its padding, left and right together

function createElement() {
  const element = document.createElement("div");
  element.className = "ladi-vton-notes";
  Object.assign(element.style, {
    boxSizing: "border-box",
    padding: `${PADDING / 2}px 6px`,
    font: `12px/${LINE_HEIGHT}px sans-serif`,
    color: "var(--descrip-text, #999)",
    overflow: "hidden",
    overflowWrap: "anywhere",
    userSelect: "text",
  });
  return element;
}

function height(lines, width) {
  const perLine = Math.max(10, Math.floor((width - MARGINS) / CHARACTER_WIDTH));
  const rows = lines.reduce((sum, line) => sum + Math.ceil(line.length / perLine), 0);
  return rows * LINE_HEIGHT + PADDING;
}

function addNotes(node) {
  const element = createElement();
  const notes = { element, lines: [] };
  const needed = () => height(notes.lines, node.size[0]);
  notes.widget = node.addDOMWidget(WIDGET, "notes", element, {
    serialize: false, // not in the prompt
    hideOnZoom: false,
    getValue: () => notes.lines.join("\n"),
    getMinHeight: needed,
    getMaxHeight: needed,
  });
  notes.widget.serialize = false; // nor in the file
  return notes;
}

function show(node, lines) {
  const before = node.ladiVtonNotes;
  if (before && before.lines.join("\n") === lines.join("\n")) return;
  if (before) {
    const shrunk = node.size[1] - height(before.lines, node.size[0]);
    node.removeWidget(before.widget);
    before.element.remove();
    delete node.ladiVtonNotes;
    node.setSize([node.size[0], Math.max(shrunk, node.computeSize()[1])]);
  }
  if (lines.length) {
    const notes = (node.ladiVtonNotes = addNotes(node));
    notes.lines = lines;
    for (const line of lines) {
      const paragraph = document.createElement("div");
      const warning = line.startsWith(WARNING);
      paragraph.textContent = warning ? `⚠ ${line.slice(WARNING.length)}` : line;
      if (warning) paragraph.style.color = "var(--warning-text, #e5a83b)";
      notes.element.append(paragraph);
    }
    node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
  }
  node.setDirtyCanvas?.(true, true);
}

// A node inside a subgraph that is not open cannot be seen: its warnings come as a message.
function announce(node, lines) {
  if (node.graph === app.canvas?.graph) return;
  for (const line of lines.filter((line) => line.startsWith(WARNING))) {
    app.extensionManager?.toast?.add({
      severity: "warn",
      summary: node.title,
      detail: line.slice(WARNING.length),
      life: 15000,
    });
  }
}

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
});
