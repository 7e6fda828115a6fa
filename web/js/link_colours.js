// Colours of the wires that only this pack has, told apart on dark ground and from ComfyUI's own.
// The next script: before_after.js.

import { app } from "../../../scripts/app.js";

export const COLOURS = {
    LADI_WARPER: "#e1691e",
    LADI_INVERSION_ADAPTER: "#c35aff",
    LADI_EMASC: "#ff2da5",
    LADI_POSE_MAP: "#3c9696",
    LADI_PARSE_MAP: "#789600",
    LADI_PSEUDO_WORDS: "#e1d2a5",
    LADI_SKIP_FEATURES: "#ffc3c3",
    LADI_ENCODED_PERSON: "#c3ff2d",
    LADI_FIT: "#a5874b",
    LADI_SPLINE: "#1effd2",
};

// A colour palette writes "" for every type it does not know, each time one is chosen: such a value is passed over,
// a real colour (of a palette that knows these types) wins.
function colour(table, type, standard) {
    let value = table[type] || standard;
    Object.defineProperty(table, type, {
        configurable: true,
        enumerable: true,
        get: () => value,
        set: (given) => (value = given || standard),
    });
}

app.registerExtension({
    name: "LadiVTON.LinkColours",
    setup() {
        const tables = [app.canvas.default_connection_color_byType, app.canvas.constructor.link_type_colors];
        for (const [type, standard] of Object.entries(COLOURS)) {
            for (const table of tables.filter(Boolean)) colour(table, type, standard);
        }
        // Nodes 2.0 reads its sockets' colours from style sheets.
        const sheet = document.createElement("style");
        const rules = Object.entries(COLOURS).map(([type, value]) => `--color-datatype-${type}: ${value};`);
        sheet.textContent = `:root { ${rules.join(" ")} }`;
        document.head.append(sheet);
        app.canvas.setDirty(true, true);
    },
});
