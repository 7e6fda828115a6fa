// Links between help pages open in the help panel. By themselves they would lead to a file that a page cannot show:
// ComfyUI resolves them against its own address, and they are Markdown.

import { app } from "../../../scripts/app.js";
import { language } from "./languages.js";

const DOCS = new URL("../docs/", import.meta.url);
const PANEL = ".node-help-content";

// The panel that holds the link shows another node: by ComfyUI's own store where the panel follows it, else by what
// newer pages offer extensions for showing Markdown, else as a file of its own.
async function open(type, panel) {
    const stores = app.extensionManager._p?._s;
    const help = stores?.get("nodeHelp");
    const definition = stores?.get("nodeDef")?.nodeDefsByName?.[type];
    if (help?.isHelpOpen && definition) {
        help.openHelp(definition);
        return;
    }
    const page = new URL(language() === "en" ? `${type}.md` : `${type}/${language()}.md`, DOCS);
    const markdown = app.extensionManager.renderMarkdownToHtml;
    const shown = panel.querySelector(".comfy-markdown-content, .markdown-content");
    if (!markdown || !shown) {
        window.open(page, "_blank", "noopener");
        return;
    }
    const answer = await fetch(page);
    if (!answer.ok) throw new Error(`${page.pathname} answers ${answer.status}`);
    shown.innerHTML = markdown(await answer.text(), DOCS.pathname);
    shown.closest(PANEL).scrollIntoView({ block: "start" });
}

app.registerExtension({
    name: "LadiVTON.HelpLinks",
    setup() {
        document.addEventListener("click", (event) => {
            const link = event.target.closest?.(`${PANEL} a[href]`);
            const type = link?.getAttribute("href").match(/(?:^|\/)(LadiVTON_\w+)\.md$/)?.[1];
            if (!type) return;
            event.preventDefault();
            open(type, link.closest(PANEL));
        });
    },
});
