// Text of a note in the size that its file asks for, in pixels: the shipped templates' notes do, for the page writes
// all boxes of text in 10 unless its setting (Comfy.TextareaWidget.FontSize) says otherwise. A larger setting stays.

import { app } from "../../../scripts/app.js";

const ASKS = "ladi_vton_text_size", SIZE = "--comfy-textarea-font-size";
const sheet = document.head.appendChild(document.createElement("style"));

app.registerExtension({
    name: "LadiVTON.NoteText",
    afterConfigureGraph() {
        const usual = app.extensionManager.setting.get("Comfy.TextareaWidget.FontSize") ?? 0;
        const asking = app.graph.nodes.filter(({ properties }) => Number(properties?.[ASKS]) > usual);
        for (const { properties, widgets } of asking) {
            widgets?.[0]?.element?.style.setProperty(SIZE, `${Number(properties[ASKS])}px`); // the classic canvas
        }
        sheet.textContent = asking // Nodes 2.0, which makes its elements anew whenever it likes
            .map(({ id, properties }) => `[data-node-id="${id}"] .comfy-markdown-content { ${SIZE}: ${Number(properties[ASKS])}px }`)
            .join("\n");
    },
});
