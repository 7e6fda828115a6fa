// What runs where a widget asks the model: the number that the connected model recommends, before Run. Files keep the
// values that ask (nodes/recommended.py); which loader recommends what comes with the definition of Load Try-On Models.

import { app } from "../../../scripts/app.js";
import { translate } from "./languages.js";

// widget -> value that asks the model, and the type of the wire that knows
const ASKS = { steps: [0, "MODEL"], guidance: [0, "MODEL"], skip_grow: [-257, "LADI_EMASC"], skip_feather: [-1, "LADI_EMASC"] };
const NODES = ["LadiVTON_TryOnSampler", "LadiVTON_PaperSchedule", "LadiVTON_EMASCDecoder"];
const LOADER = "LadiVTON_LoadModels", EMBEDDED = "LadiVTON_LoadEmbedded";
const WORDS = () => translate("as the model recommends");
const LONGEST = 32; // wires from a loader to a node that asks

let table = {}; // choice of the loader -> numbers by widget

// What the loader at the other end of a wire recommends, through patches and reroutes; undefined where it is not seen.
function numbersFor(node, type) {
    for (let step = 0; node && step < LONGEST; step++) {
        if (node.comfyClass === EMBEDDED) return table.embedded;
        if (node.comfyClass === LOADER) return table[node.widgets?.find(({ name }) => name === "models")?.value];
        const place = node.inputs?.findIndex((input) => input.type === type || (input.type === "*" && input.link != null));
        node = place >= 0 ? node.getInputNode?.(place) : undefined;
    }
}

function show(node, widget, [asks, type]) {
    const name = () => widget.ladiVtonLabel ?? widget.name;
    const number = () => numbersFor(node, type)?.[widget.name];
    const asked = () => Number(widget.value) === asks;
    const inherited = (property) => {
        let own = Object.getPrototypeOf(widget);
        while (own && !Object.getOwnPropertyDescriptor(own, property)) own = Object.getPrototypeOf(own);
        return Object.getOwnPropertyDescriptor(own ?? {}, property);
    };
    const plain = inherited("_displayValue")?.get;
    // the classic canvas draws this; Nodes 2.0 shows the value itself, and beside it what that value asks
    Object.defineProperty(widget, "_displayValue", {
        configurable: true,
        get: () => (asked() ? (number() === undefined ? WORDS() : `${number()} ${translate("(recommended)")}`) : plain?.call(widget) ?? String(widget.value)),
    });
    // Nodes 2.0 reads a label once, or from where newer pages keep it: what stands there must stay true whatever is
    // chosen later
    const told = () => `${name()} (${asks}: ${WORDS()})`, keep = inherited("label")?.set;
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
    keep?.call(widget, told());
}

app.registerExtension({
    name: "LadiVTON.Recommended",
    beforeRegisterNodeDef(nodeType, { name, input }) {
        if (name === LOADER) table = input?.required?.models?.[1]?.recommended ?? {};
    },
    nodeCreated(node) {
        if (!NODES.includes(node.comfyClass)) return;
        for (const widget of node.widgets ?? []) if (ASKS[widget.name]) show(node, widget, ASKS[widget.name]);
    },
});
