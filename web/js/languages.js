// The pack's Chinese texts, on pages that lose them: ComfyUI's page of version 1.32 (server 0.3.75) merges the texts of
// packs first and then loads its own language over them. Newer pages merge again, and this changes nothing there.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const LANGUAGES = ["zh"]; // of locales/, those that such a page has too: Italian is not among them and stays as it is
const PREFIX = "LadiVTON_";
const STEP = 50, STEPS = 60; // milliseconds between two looks, and how often, before the page starts without

app.registerExtension({
    name: "LadiVTON.Languages",
    async init() {
        const language = app.extensionManager.setting.get("Comfy.Locale");
        const page = document.querySelector("#vue-app")?.__vue_app__;
        const texts = page?._context.provides[page.__VUE_I18N_SYMBOL__]?.global; // where vue-i18n keeps itself
        if (!LANGUAGES.includes(language) || !texts?.mergeLocaleMessage) return;
        const arrived = () => texts.getLocaleMessage(language)?.g; // the page's own words, which no pack has
        for (let step = 0; step < STEPS && !arrived(); step++) {
            await new Promise((resolve) => setTimeout(resolve, STEP));
        }
        const answer = await api.fetchApi("/i18n");
        if (!answer.ok) return;
        const nodes = Object.entries((await answer.json())[language]?.nodeDefs ?? {});
        const own = Object.fromEntries(nodes.filter(([name]) => name.startsWith(PREFIX)));
        texts.mergeLocaleMessage(language, { nodeDefs: own });
    },
});
