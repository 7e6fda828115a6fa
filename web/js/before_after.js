// The slider on Comparison Sheet: the first picture of a row over the last, before and after.
// What it shows comes with a run (nodes/comparison.py): `before` and `after`, one picture a row.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const NODE = "LadiVTON_ComparisonSheet";
const WIDGET = "before_after";
const LEAST_HEIGHT = 240;

const STYLE = `
.ladi-vton-before-after { display: flex; flex-direction: column; gap: 4px; min-height: ${LEAST_HEIGHT}px; }
.ladi-vton-before-after[hidden] { display: none; }
.ladi-vton-before-after figure { position: relative; flex: 1; min-height: 0; margin: 0; overflow: hidden; --at: 50%; }
.ladi-vton-before-after img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain;
    user-select: none; }
.ladi-vton-before-after img.after { clip-path: inset(0 0 0 var(--at)); }
.ladi-vton-before-after hr { position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin: 0 0 0 -1px;
    border: 0; background: #fff; box-shadow: 0 0 3px #000; pointer-events: none; }
.ladi-vton-before-after input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
    cursor: ew-resize; }
.ladi-vton-before-after figure:focus-within hr { background: #64b5f6; }
.ladi-vton-before-after figcaption { position: absolute; top: 4px; padding: 1px 6px; border-radius: 4px;
    background: #000a; color: #fff; font: 12px sans-serif; pointer-events: none; }
.ladi-vton-before-after figcaption:empty { display: none; }
.ladi-vton-before-after figcaption.before { left: 4px; }
.ladi-vton-before-after figcaption.after { right: 4px; }
.ladi-vton-before-after nav { display: flex; justify-content: center; align-items: center; gap: 8px; color: #ccc;
    font: 12px sans-serif; }
.ladi-vton-before-after nav[hidden] { display: none; }
.ladi-vton-before-after nav button { border: 0; border-radius: 4px; padding: 1px 8px; background: #555; color: #fff;
    cursor: pointer; }
`;

function made(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
}

// Address of a picture that a run left behind. The random number keeps a browser from showing an older one.
const address = (picture) => api.apiURL(`/view?${new URLSearchParams(picture)}&rand=${Math.random()}`);

class BeforeAfter {
    constructor() {
        this.images = ["before", "after"].map((side) => made("img", { className: side, draggable: false, alt: "" }));
        this.names = ["before", "after"].map((side) => made("figcaption", { className: side }));
        this.handle = made("input", { type: "range", min: 0, max: 100, step: 0.1, value: 50 });
        this.handle.setAttribute("aria-label", "before and after");
        this.place = made("span");
        const back = made("button", { type: "button", textContent: "\u2039", onclick: () => this.turn(-1) });
        const on = made("button", { type: "button", textContent: "\u203a", onclick: () => this.turn(1) });
        this.rows = made("nav", { hidden: true }, back, this.place, on);
        const figure = made("figure", {}, ...this.images, made("hr"), ...this.names, this.handle);
        this.handle.oninput = () => figure.style.setProperty("--at", `${this.handle.value}%`);
        this.element = made("div", { className: "ladi-vton-before-after" }, figure, this.rows);
        this.row = 0;
    }

    // A run with a single column has nothing to compare.
    hide() {
        this.element.hidden = true;
    }

    show({ before, after, before_after_names: names = [] }) {
        this.element.hidden = false;
        this.pairs = before.map((picture, row) => [picture, after[row]]);
        this.names.forEach((name, side) => (name.textContent = names[side] ?? ""));
        this.turn(0);
    }

    turn(by) {
        this.row = (this.row + by + this.pairs.length) % this.pairs.length;
        this.images.forEach((image, side) => (image.src = address(this.pairs[this.row][side])));
        this.place.textContent = `${this.row + 1} / ${this.pairs.length}`;
        this.rows.hidden = this.pairs.length < 2;
    }
}

// The slider appears with the first run: a node in an older workflow keeps its size until there is something to show.
function sliderOf(node) {
    if (!node.ladiVtonBeforeAfter) {
        const slider = (node.ladiVtonBeforeAfter = new BeforeAfter());
        const widget = node.addDOMWidget(WIDGET, WIDGET, slider.element, {
            serialize: false,
            hideOnZoom: false,
            getMinHeight: () => LEAST_HEIGHT,
            getValue: () => "",
            setValue: () => {},
        });
        widget.serialize = false;
        const [width, height] = node.size;
        const [leastWidth, leastHeight] = node.computeSize();
        node.setSize([Math.max(width, leastWidth, 300), Math.max(height, leastHeight)]);
    }
    return node.ladiVtonBeforeAfter;
}

function show(node, output) {
    if (node.comfyClass !== NODE || !output?.before) return;
    if (output.before.length) sliderOf(node).show(output);
    else node.ladiVtonBeforeAfter?.hide();
    app.graph.setDirtyCanvas(true, true);
}

app.registerExtension({
    name: "LadiVTON.BeforeAfter",
    init() {
        document.head.append(made("style", { textContent: STYLE }));
    },
    nodeCreated(node) {
        if (node.comfyClass !== NODE) return;
        const executed = node.onExecuted;
        node.onExecuted = function (output) {
            executed?.apply(this, arguments);
            show(this, output);
        };
    },
    // Runs loaded from the queue's history, and workflows that come back to the page.
    onNodeOutputsUpdated(outputs) {
        for (const [key, output] of Object.entries(outputs)) {
            const node = app.graph.getNodeById(key) ?? app.graph.getNodeById(Number(key));
            if (node) show(node, output);
        }
    },
});
