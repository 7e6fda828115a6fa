// The pack's examples in lists, as nodes/host/listing.py offers them. A picture is called by what ComfyUI finds it under,
// "person [example].png [temp]", and shown as "person.png [example]". Values of older files, "[example] person.png",
// become today's, so that the page finds the picture before a run.
// Nodes 2.0 leaves a picture's name three letters on a node of the usual width: there its label takes no more room than it
// needs, and the name is as small as every other.

import { app } from "../../../scripts/app.js";

const LISTS = {
    LadiVTON_LoadPicture: "image",
    LadiVTON_LoadKeypoints: "file",
    LadiVTON_LoadParseMap: "file",
    LadiVTON_DatasetSample: "root",
};

const PERSON = "person [example].png [temp]", GARMENT = "garment [example].png [temp]";

// A second picture that somebody places is the garment for the person of the first. A file's own value comes after this.
function takeTheGarment(node, list) {
    const others = (app.canvas?.graph ?? app.graph)?.nodes.filter((other) => other !== node) ?? [];
    const first = (other) => other.comfyClass === node.comfyClass && other.widgets?.some((box) => box.value === PERSON);
    if (list.value === PERSON && list.options.values.includes(GARMENT) && others.some(first)) list.value = GARMENT;
}

const ours = '[values*="[example].png [temp]"]'; // which the page writes on the widget's element
document.head.appendChild(document.createElement("style")).textContent = `
    [data-testid="node-widgets"]:has(${ours}) {
        grid-template-columns: min-content minmax(40px, min-content) minmax(125px, 1fr);
    }
    [data-testid="node-widget"] ${ours} button { font-size: 12px }
    [data-testid="node-widget"] ${ours} button > span { padding-right: 0 }
    [data-testid="node-widget"] ${ours} button > i { width: 12px; margin-right: 2px }`;

const shown = (value) => String(value ?? "").replace(/ \[example\](\.\w+) \[temp\]$/, "$1 [example]");

function bringUpToDate(list) {
    const [, name] = String(list.value).match(/^\[example\] (.+)$/) ?? [];
    const found = name && list.options.values.find((value) => shown(value) === `${name} [example]`);
    if (found) list.value = found;
}

app.registerExtension({
    name: "LadiVTON.Examples",
    nodeCreated(node) {
        const list = node.widgets?.find((widget) => widget.name === LISTS[node.comfyClass]);
        if (!list) return;
        list.options.getOptionLabel = shown;
        if (node.comfyClass === "LadiVTON_LoadPicture") takeTheGarment(node, list);
        // A workflow's values come by configure, those of a file in API format with the widget's callback.
        const configured = node.onConfigure;
        node.onConfigure = function () {
            bringUpToDate(list);
            return configured?.apply(this, arguments);
        };
        const chosen = list.callback;
        list.callback = function () {
            bringUpToDate(list);
            return chosen?.apply(this, arguments);
        };
    },
});
