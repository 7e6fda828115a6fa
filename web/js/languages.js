// The pack's texts in the page's language. Node names, sockets and tooltips are the page's own work (locales/*/nodeDefs),
// but for pages that lose them: ComfyUI's page of version 1.32 (server 0.3.75) merges the texts of packs first and then
// loads its own language over them. Newer pages merge again, and merging them once more changes nothing there.
// What no page translates comes from locales/*/main.json: options (`label`) and the titles and notes of the pack's
// templates and blueprints (`translate`), which are exchanged when one is opened. Their files stay English.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const PREFIX = "LadiVTON_", KEY = "ladiVton";
const PACK = decodeURIComponent(new URL(import.meta.url).pathname.split("/extensions/")[1]?.split("/")[0] ?? "");
const STEP = 50, STEPS = 60; // milliseconds between two looks, and how often, before the page starts without

let own = {}; // of the page's language: options and texts

/** A text in the page's language; itself where there is no translation. */
export const translate = (text) => own.texts?.[text] ?? text;

/** What a widget shows for one of its values. */
export const label = (widget, value) => own.options?.[widget]?.[value] ?? String(value ?? "");

/** The page's language, as ComfyUI names it, where the pack speaks it; English otherwise. */
export const language = () => (own.texts ? chosen() : "en");

const chosen = () => app.extensionManager.setting.get("Comfy.Locale");

const inLines = (text) => (typeof text === "string" ? text.split("\n").map(translate).join("\n") : text);

// Titles, labels and notes of a graph's nodes and groups, in place.
function translateGraph(graph) {
    for (const group of graph.groups ?? []) group.title = translate(group.title);
    for (const node of graph.nodes ?? []) {
        if (node.title) node.title = translate(node.title);
        for (const input of node.inputs ?? []) if (input.label) input.label = translate(input.label);
        if (/^(Markdown)?Note$/.test(node.type)) node.widgets_values = node.widgets_values?.map?.(inLines);
    }
}

const isOurs = (graph) => graph?.nodes?.some(({ type }) => type?.startsWith(PREFIX));

function translateBlueprint(text) {
    const file = JSON.parse(text);
    if (file.extra?.BlueprintDescription) file.extra.BlueprintDescription = translate(file.extra.BlueprintDescription);
    for (const graph of file.definitions?.subgraphs ?? []) {
        translateGraph(graph);
        [graph.name, graph.description] = [translate(graph.name), translate(graph.description)];
    }
    translateGraph(file);
    return JSON.stringify(file);
}

// Cards are named by their files: a card gets the translated name, and an address that has it leads to the file.
function translateNames() {
    const [list, address, blueprints] = [api.getWorkflowTemplates, api.apiURL, api.getGlobalSubgraphs];
    const start = `/workflow_templates/${PACK}/`, files = {};
    if (list && address) {
        api.getWorkflowTemplates = async function () {
            const cards = await list.apply(this, arguments);
            for (const name of cards?.[PACK] ?? []) files[translate(name)] = name;
            return cards?.[PACK] ? { ...cards, [PACK]: cards[PACK].map(translate) } : cards;
        };
        api.apiURL = function (route, ...rest) {
            const [, name, ending] = (route.startsWith(start) && route.slice(start.length).match(/^(.*)(\.\w+)$/)) || [];
            return address.call(this, files[name] ? start + files[name] + ending : route, ...rest);
        };
    }
    if (!blueprints) return;
    api.getGlobalSubgraphs = async function () {
        const found = await blueprints.apply(this, arguments);
        for (const blueprint of Object.values(found ?? {})) {
            if (blueprint.info?.node_pack !== PACK && blueprint.info?.node_pack !== `custom_nodes.${PACK}`) continue;
            blueprint.name = translate(blueprint.name);
            blueprint.data = Promise.resolve(blueprint.data).then((text) => text && translateBlueprint(text));
        }
        return found;
    };
}

app.registerExtension({
    name: "LadiVTON.Languages",
    async init() {
        const answer = await api.fetchApi("/i18n");
        if (!answer.ok) return;
        const all = await answer.json();
        own = all[chosen()]?.[KEY] ?? all.en?.[KEY] ?? {};
        if (!own.texts) return; // English
        translateNames();
        const page = document.querySelector("#vue-app")?.__vue_app__;
        const words = page?._context.provides[page.__VUE_I18N_SYMBOL__]?.global; // where vue-i18n keeps itself
        if (!words?.mergeLocaleMessage) return;
        const arrived = () => words.getLocaleMessage(language())?.g; // the page's own words, which no pack has
        for (let step = 0; step < STEPS && !arrived(); step++) {
            await new Promise((resolve) => setTimeout(resolve, STEP));
        }
        const nodes = Object.entries(all[language()].nodeDefs ?? {}).filter(([name]) => name.startsWith(PREFIX));
        words.mergeLocaleMessage(language(), { nodeDefs: Object.fromEntries(nodes) });
    },
    beforeConfigureGraph(graph) {
        if (isOurs(graph)) translateGraph(graph);
    },
});
