// The pack's cards in Templates in the order in which somebody needs them; the server lists files as the disk does.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const ORDER = ["Try-on, start here", "Photo, one garment", "Photo,", "Any model,", "Try-on, painted mask", "Wardrobe", "Try-on,", "Paper,"];
const PACK = decodeURIComponent(new URL(import.meta.url).pathname.split("/extensions/")[1]?.split("/")[0] ?? "");

const rank = (title) => ORDER.findIndex((start) => title.startsWith(start)) + 1 || ORDER.length + 1;

app.registerExtension({
    name: "LadiVTON.Templates",
    init() {
        const list = api.getWorkflowTemplates;
        if (!list) return;
        api.getWorkflowTemplates = async function () {
            const templates = await list.apply(this, arguments);
            templates?.[PACK]?.sort((one, other) => rank(one) - rank(other) || one.localeCompare(other));
            return templates;
        };
    },
});
