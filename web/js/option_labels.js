// What a choice means, in words of the page's language: the values stay in files as they are, a widget shows these; and
// what an empty text box shows. scripts/make_texts.py has the words.

import { app } from "../../../scripts/app.js";
import { label, translate } from "./languages.js";

app.registerExtension({
    name: "LadiVTON.OptionLabels",
    nodeCreated(node) {
        if (!node.comfyClass?.startsWith("LadiVTON_")) return;
        for (const widget of node.widgets ?? []) {
            for (const box of [widget.element, widget.options]) {
                if (box?.placeholder) box.placeholder = translate(box.placeholder);
            }
            const values = widget.type === "combo" && Array.isArray(widget.options.values) ? widget.options.values : [];
            if (!values.some((value) => label(widget.name, value) !== value)) continue;
            widget.options.getOptionLabel = (value) => label(widget.name, value);
        }
    },
});
