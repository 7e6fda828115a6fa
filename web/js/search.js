// What people call it: words by which the node search shows one of the pack's nodes among its first three. Pages of
// servers that know aliases (nodes/host/types.py) find more; older ones search names alone, and names keep the paper's
// words. The page's own order stays, what it has found included.

import { app } from "../../../scripts/app.js";
import { translate } from "./languages.js";

const DRESS = "Virtual Try-On", PHOTO = "Photo Try-On", GARMENT = "LadiVTON_PrepareGarment"; // blueprints by their titles
const WORDS = {
    "try on": DRESS, "try-on": DRESS, tryon: DRESS, "swap clothes": PHOTO, "change clothes": PHOTO, photo: PHOTO,
    clothes: GARMENT, dress: GARMENT, shirt: GARMENT, outfit: GARMENT, garment: GARMENT,
    试穿: DRESS, 换装: DRESS, 换衣: DRESS, 照片: PHOTO, 衣服: GARMENT, 服装: GARMENT, 裙子: GARMENT, 衬衫: GARMENT,
    遮罩: "LadiVTON_AgnosticPerson", 变形: "LadiVTON_GarmentWarper", 姿态: "LadiVTON_PoseMap",
    mask: "LadiVTON_AgnosticPerson", warp: "LadiVTON_GarmentWarper", pose: "LadiVTON_PoseMap",
};
const FIRST = [DRESS, PHOTO].flatMap((title) => Object.keys(WORDS).filter((word) => WORDS[word] === title && !["photo", "照片"].includes(word)));
const PLACE = 2; // of three, for words that mean other things as well

const isIt = (name) => (node) => node.name === name || (node.display_name === name && /blueprint/i.test(node.name));

function withOurs(ours, found, word, filters) {
    const place = FIRST.includes(word) ? 0 : PLACE;
    if (found.slice(0, place + 1).includes(ours)) return found;
    if (!filters.every(({ filterDef, value }) => filterDef.matches(ours, value))) return found;
    const others = found.filter((node) => node !== ours);
    others.splice(place, 0, ours);
    return others.slice(0, Math.max(found.length, PLACE + 1));
}

app.registerExtension({
    name: "LadiVTON.Search",
    setup() {
        const store = app.extensionManager._p?._s.get("nodeDef");
        const service = store?.nodeSearchService && Object.getPrototypeOf(store.nodeSearchService);
        if (!service?.searchNode) return;
        const search = service.searchNode;
        service.searchNode = function (query, filters = [], ...rest) {
            const found = search.call(this, query, filters, ...rest);
            const word = String(query).trim().toLowerCase();
            const name = Object.hasOwn(WORDS, word) && translate(WORDS[word]);
            const ours = name && (store.nodeDefsByName[name] ?? search.call(this, name).find(isIt(name)));
            return ours ? withOurs(ours, found, word, filters) : found;
        };
    },
});
