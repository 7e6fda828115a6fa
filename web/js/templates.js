// The pack's cards in Templates in the order in which somebody needs them; the server lists files as the disk does.
// And its graphs in the view that they were saved with: newer pages fit every template into the window, which leaves
// a graph of this size without its words.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const ORDER = ["Try-on, start here", "Photo, one garment", "Photo,", "Any model,", "Try-on, painted mask", "Wardrobe", "Try-on,", "Paper,"];
const PACK = decodeURIComponent(new URL(import.meta.url).pathname.split("/extensions/")[1]?.split("/")[0] ?? "");

const isOurs = (graph) => graph?.extra?.ds && graph.nodes?.some(({ type }) => type.startsWith("LadiVTON_"));
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
        const load = app.loadGraphData;
        app.loadGraphData = function (graph, clean, view, workflow, how, ...rest) {
            const opened = how?.openSource === "template" && isOurs(graph) ? { ...how, openSource: undefined } : how;
            return load.call(this, graph, clean, view, workflow, opened, ...rest);
        };
    },
});
