// What runs where a widget asks the model: the number that the connected model recommends, before Run. Files keep the
// values that ask (nodes/recommended.py); which loader recommends what comes with the definition of Load Try-On Models.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { translate } from "./languages.js";

// widget -> value that asks the model, and the type of the wire that knows
const ASKS = { steps: [0, "MODEL"], guidance: [0, "MODEL"], skip_grow: [-257, "LADI_EMASC"], skip_feather: [-1, "LADI_EMASC"] };
const NODES = ["LadiVTON_TryOnSampler", "LadiVTON_PaperSchedule", "LadiVTON_EMASCDecoder"];
const LOADER = "LadiVTON_LoadModels", EMBEDDED = "LadiVTON_LoadEmbedded";
const AUTO = () => translate("auto");
const LONGEST = 32; // wires from a loader to a node that asks

// Nodes 2.0 cuts a label that its column is too narrow for: these go on in a second line.
const ASKING = Object.keys(ASKS).map((name) => `[aria-label="${name}"]`);
const STYLE = `[node-type^="LadiVTON_"]:has(${ASKING}) :is([data-testid="widget-layout-field-label"], p.truncate) {
    white-space: normal; line-height: 1.1; }`;

let table = {}; // choice of the loader -> numbers by widget
const labels = new Map(); // node -> what brings its labels up to date

// What the loader at the other end of a wire recommends, through patches and reroutes; undefined where it is not seen.
function numbersFor(node, type) {
    for (let step = 0; node?.graph && step < LONGEST; step++) {
        if (node.comfyClass === EMBEDDED) return table.embedded;
        if (node.comfyClass === LOADER) return table[node.widgets?.find(({ name }) => name === "models")?.value];
        const place = node.inputs?.findIndex((input) => input.type === type || (input.type === "*" && input.link != null));
        node = place >= 0 ? node.getInputNode?.(place) : undefined;
    }
}

function inherited(widget, property) {
    let own = Object.getPrototypeOf(widget);
    while (own && !Object.getOwnPropertyDescriptor(own, property)) own = Object.getPrototypeOf(own);
    return Object.getOwnPropertyDescriptor(own ?? {}, property);
}

// Gives what brings the label up to date.
function show(node, widget, [asks, type]) {
    const name = () => widget.ladiVtonLabel ?? widget.name;
    const number = () => numbersFor(node, type)?.[widget.name];
    const asked = () => Number(widget.value) === asks;
    const plain = inherited(widget, "_displayValue")?.get, keep = inherited(widget, "label")?.set;
    // the classic canvas draws this; Nodes 2.0 shows the value itself, and before it what that value asks
    Object.defineProperty(widget, "_displayValue", {
        configurable: true,
        get: () => {
            if (!asked()) return plain?.call(widget) ?? String(widget.value);
            return number() === undefined ? AUTO() : `${number()} (${AUTO()})`;
        },
    });
    // Nodes 2.0 of older pages reads a label once, newer ones from where they keep it
    const told = () => {
        if (!keep) return `${name()} (${asks}:\u00a0${AUTO()})`;
        return asked() ? `${name()} (${AUTO()}${number() === undefined ? "" : `:\u00a0${number()}`})` : name();
    };
    widget.ladiVtonLabel = widget.label;
    Object.defineProperty(widget, "label", {
        configurable: true,
        enumerable: true,
        get: () => (window.LiteGraph.vueNodesMode ? told() : name()),
        set: (given) => {
            widget.ladiVtonLabel = given;
            keep?.call(widget, told());
        },
    });
    return () => keep?.call(widget, told());
}

const upToDate = () => labels.forEach((label) => label());

app.registerExtension({
    name: "LadiVTON.Recommended",
    init() {
        document.head.append(Object.assign(document.createElement("style"), { textContent: STYLE }));
        api.addEventListener("graphChanged", upToDate);
    },
    beforeRegisterNodeDef(nodeType, { name, input }) {
        if (name === LOADER) table = input?.required?.models?.[1]?.recommended ?? {};
    },
    nodeCreated(node) {
        if (!NODES.includes(node.comfyClass)) return;
        const asking = (node.widgets ?? []).filter(({ name }) => ASKS[name]);
        const each = asking.map((widget) => show(node, widget, ASKS[widget.name]));
        labels.set(node, () => each.forEach((label) => label()));
        labels.get(node)();
        const removed = node.onRemoved;
        node.onRemoved = function () {
            labels.delete(node);
            return removed?.apply(this, arguments);
        };
    },
    afterConfigureGraph: upToDate,
});
