// What a choice means, in words: the values stay in files as they are, a widget shows these.

import { app } from "../../../scripts/app.js";

const WORDS = {
    mode: { published: "as in the paper", body: "follow the body" },
    nobody: { stop: "stop and say so", pass: "let the frame pass" },
    missing_joints: { published: "as in the paper", skip: "leave them out" },
    neck: { published: "as in the paper", usual: "as usual", cut: "repaint it", repaint: "repaint it", keep: "keep it" },
    hands: { usual: "as usual", repaint: "repaint them", keep: "keep them" },
};

app.registerExtension({
    name: "LadiVTON.OptionLabels",
    nodeCreated(node) {
        if (!node.comfyClass?.startsWith("LadiVTON_")) return;
        for (const widget of node.widgets ?? []) {
            const words = WORDS[widget.name];
            if (words && widget.type === "combo") widget.options.getOptionLabel = (value) => words[value] ?? String(value ?? "");
        }
    },
});
