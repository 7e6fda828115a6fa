"""The Templates dialog, and every workflow on the page's own validation, in both ways the page draws nodes."""

from __future__ import annotations

import copy
import json
import re

import pytest
from hosting.graph import with_defaults
from hosting.places import PACK_NAME
from hosting.shipped import TITLES, lacking, page_file, queue_file
from make_workflows import in_form, version_of

pytestmark = pytest.mark.long

CARDS = """
() => {
    // The host's stand-in for a thumbnail it could not get does not count.
    const own = picture => picture.naturalWidth && !picture.src.endsWith("default-template.png");
    return [...document.querySelectorAll("[data-testid^='template-workflow-']")].map(card => [
        card.dataset.testid.replace("template-workflow-", ""),
        [...card.querySelectorAll("img")].filter(own).length,
    ]);
}
"""
# The classic page hides notes far off or small.
LOOK_AT = """
id => {
    window.app.canvas.ds.scale = 0.9;
    window.app.canvas.centerOnNode(window.app.graph.getNodeById(id));
    window.app.canvas.setDirty(true, true);
}
"""
# How much of a note does not fit, so that the page would scroll in it, once it is there.
NOTE = """
words => {
    const boxes = [...document.querySelectorAll(".comfy-markdown-content, .comfy-markdown .tiptap")];
    const box = boxes.find(box => box.clientHeight && box.innerText.includes(words));
    return box && { over: box.scrollHeight - box.clientHeight };
}
"""
# Pairs of nodes that lie over each other, as large as the page draws them for their titles and widgets.
OVERLAPPING = """
() => {
    const boxes = window.app.graph.nodes.map(node => {
        const drawn = document.querySelector(`[data-node-id="${node.id}"]`);
        const [width, height] = drawn ? [drawn.offsetWidth, drawn.offsetHeight - 30] : node.size;
        return [node.title, node.pos[0], node.pos[1] - 30, node.pos[0] + width, node.pos[1] + height];
    });
    return boxes.flatMap(([one, left, top, right, bottom], place) => boxes.slice(place + 1)
        .filter(([_, l, t, r, b]) => left < r && l < right && top < b && t < bottom).map(([other]) => [one, other]));
}
"""
VALIDATE = {
    "Comfy.Validation.Workflows": True, "Comfy.Workflow.ShowMissingModelsWarning": False,
    "Comfy.Workflow.ShowMissingNodesWarning": False,
}  # fmt: skip


SENT = "async () => (await window.app.graphToPrompt()).output"


def workflow(name: str) -> dict:
    return json.loads(page_file(name).read_text(encoding="utf-8"))


def inputs_of(queued: dict) -> dict:
    return {key: node["inputs"] for key, node in queued.items()}


def queued(name: str, definitions: dict) -> dict:
    """What Run is to send."""
    return inputs_of(with_defaults(json.loads(queue_file(name).read_text(encoding="utf-8")), definitions))


def same_but_for_sizes(whole: dict) -> list:
    """Nodes and wires of a file: a page makes nodes as large as its letters want."""

    def by_id(node: dict) -> int:
        return node["id"]

    fields = ("id", "type", "title", "inputs", "outputs", "widgets_values", "properties", "mode")
    return [[{key: node.get(key) for key in fields} for node in sorted(whole["nodes"], key=by_id)], whole["links"]]


def test_every_card_is_ours_has_its_thumbnail_and_the_first_one_starts(request, open_page, frontend):
    page = open_page(frontend)
    page.tab.locator(".templates-tab-button").click()
    page.tab.get_by_text(PACK_NAME).first.click()
    page.tab.wait_for_function(f"() => ({CARDS})().length === {len(TITLES)}")
    shown = [title for title, _ in page.tab.evaluate(CARDS)]
    assert sorted(shown) == sorted(TITLES.values())
    assert shown[0] == TITLES["tryon_embedded"] and shown[1] == TITLES["tryon_photo"]
    assert all(title.startswith("Paper") for title in shown[-3:])
    page.screenshot(f"templates_{request.node.callspec.id}")
    for title in TITLES.values():
        card = page.tab.get_by_test_id(f"template-workflow-{title}")
        card.scroll_into_view_if_needed()  # a thumbnail loads when it comes into sight
        page.tab.wait_for_function(f"t => ({CARDS})().some(card => card[0] === t && card[1] === 1)", arg=title)
    assert page.problems == []


def notes_fit(page, name: str) -> None:
    """Nothing of a loaded workflow's notes has to be scrolled to."""
    for note in (node for node in workflow(name)["nodes"] if node["type"] == "MarkdownNote"):
        words = re.search(r"\w[\w ]{3,}", note["widgets_values"][0]).group().strip()
        page.tab.evaluate(LOOK_AT, note["id"])
        assert page.tab.wait_for_function(NOTE, arg=words).json_value()["over"] <= 2, (name, note["title"])


def test_every_workflow_passes_the_pages_schema_is_saved_as_it_was_and_nothing_overlaps(
    open_page, comfy_server, client
):
    page, definitions = open_page(comfy_server, **VALIDATE), client.object_info()
    for name in TITLES:
        shown = workflow(name)
        page.load(shown)
        assert sorted(page.missing_nodes()) == lacking(name, definitions), name
        assert page.alerts() == [], name
        if not lacking(name, definitions):
            saved = in_form(page.tab.evaluate("() => window.app.graph.serialize()"), definitions, version_of(name))
            assert same_but_for_sizes(saved) == same_but_for_sizes(shown), name
            assert inputs_of(page.tab.evaluate(SENT)) == queued(name, definitions), name
        notes_fit(page, name)
        page.fit_view()
        assert page.tab.evaluate(OVERLAPPING) == [], name
        page.screenshot(f"{name}_classic")
    assert page.problems == []


def test_notes_fit_in_nodes_2_too_where_a_workflow_is_saved_as_on_the_canvas(open_page, comfy_server, client):
    """The notes alone for all: that page takes seconds to draw a whole graph."""
    page, definitions = open_page(comfy_server, True, **VALIDATE), client.object_info()
    for name in TITLES:
        shown = workflow(name)
        page.load(shown | {"nodes": [n for n in shown["nodes"] if n["type"] == "MarkdownNote"], "links": []})
        notes_fit(page, name)
    for name in ("tryon_embedded", "tryon_photo"):
        page.load(workflow(name))
        saved = in_form(page.tab.evaluate("() => window.app.graph.serialize()"), definitions, version_of(name))
        assert same_but_for_sizes(saved) == same_but_for_sizes(workflow(name)), name
        page.fit_view()
        page.screenshot(f"{name}_nodes2")
    assert page.problems == []


@pytest.mark.soak
def test_newer_pages_have_no_widgets_of_their_own_for_what_comes_by_wire(open_page, newest_server, client):
    """One that they have for a box would send its own: people were looked for in a photo's corner."""
    page, definitions = open_page(newest_server, True), client.object_info()
    for name in TITLES:
        if not lacking(name, definitions):
            page.load(workflow(name))
            assert inputs_of(page.tab.evaluate(SENT)) == queued(name, definitions), name
            page.fit_view()
            assert page.tab.evaluate(OVERLAPPING) == [], name


def test_the_pages_schema_would_have_refused_what_0_1_0_shipped(open_page, comfy_server):
    page = open_page(comfy_server, **VALIDATE)
    broken = copy.deepcopy(workflow("tryon_embedded"))
    broken["nodes"][0]["outputs"][0]["slot_index"] = None
    page.load(broken)
    page.tab.wait_for_function("() => document.querySelector('.p-toast-message')")
    assert any("slot_index" in text for text in page.alerts())


def lists_beside(page) -> bool:
    """Whether a page lists what is missing among its errors, beside the graph; older ones have a dialog."""
    version = page.tab.evaluate("() => window.__COMFYUI_FRONTEND_VERSION__")
    return tuple(map(int, version.split(".")[:2])) >= (1, 49)


def test_the_page_lists_all_seven_files_fetches_three_and_says_why_not_the_others(open_page, comfy_server):
    page = open_page(comfy_server, **{"Comfy.Workflow.ShowMissingModelsWarning": True})
    if lists_beside(page):
        pytest.skip("this page lists files that widgets name, not a workflow's; Run names ours on every page")
    page.load(workflow("tryon_vitonhd"))
    dialog = page.tab.locator(".p-dialog", has_text="Missing Models")
    dialog.wait_for()
    page.screenshot("missing_models_dialog")
    buttons = dialog.get_by_role("button", name="Download")
    assert buttons.count() == 7 and sum(buttons.nth(i).is_enabled() for i in range(7)) == 3
    said = dialog.inner_text()
    assert said.count("Download not allowed from source 'https://github.com/") == 4
    for part in ("unet", "warping", "inversion_adapter", "emasc"):
        assert f"ladi_vton / {part}_vitonhd.pth" in said


def test_the_page_lists_others_files_and_may_fetch_all_of_them(open_page, comfy_server):
    page = open_page(comfy_server, **{"Comfy.Workflow.ShowMissingModelsWarning": True})
    shown = workflow("any_flux_fill")
    page.load(shown)
    box, line = page.tab.locator(".p-dialog", has_text="Missing Models"), "{directory} / {name}"
    buttons = box.get_by_role("button", name="Download")
    if lists_beside(page):
        page.tab.get_by_text("View details").first.click()
        box, line = page.tab.locator("body"), "{name}"
        buttons = page.tab.get_by_test_id("missing-model-download")
    box.get_by_text("Missing Models").first.wait_for()
    page.screenshot("missing_models_of_others")
    files = [file for node in shown["nodes"] for file in node["properties"].get("models", ())]
    buttons.nth(len(files) - 1).wait_for()
    said = box.inner_text()
    assert buttons.count() == len(files) and all(buttons.nth(i).is_enabled() for i in range(len(files)))
    assert all(line.format(**file) in said for file in files)


APP = """
() => {
    const store = window.app.extensionManager._p._s.get("appMode");
    const named = ([id, widget]) => [String(id).split(":")[1] ?? String(id), widget];
    return [store.selectedInputs.map(named), store.selectedOutputs.map(String)];
}
"""


@pytest.mark.long
@pytest.mark.parametrize("name", ["tryon_embedded", "tryon_photo", "wardrobe"])
def test_app_mode_asks_for_pictures_category_and_seed_and_shows_the_result(open_page, newest_server, name):
    page = open_page(newest_server, True)
    shown = workflow(name)
    page.load(shown)
    wanted = shown["extra"]["linearData"]
    titles = {node["id"]: node.get("title") for node in shown["nodes"]}
    pictures = [titles[key] for key, widget in wanted["inputs"] if widget == "image"]
    assert pictures[0].startswith("Person") and pictures[-1].startswith("Garment")
    assert {widget for _, widget in wanted["inputs"]} == {"image", "category", "seed"}
    assert [titles[key] for key in wanted["outputs"]] == ["Result"]
    inputs, outputs = page.tab.evaluate(APP)
    assert [widget for _, widget in inputs] == [widget for _, widget in wanted["inputs"]]
    assert len(outputs) == 1
    page.tab.evaluate("() => window.app.extensionManager.command.execute('Comfy.ToggleLinear')")
    page.tab.get_by_text("Number of runs").first.wait_for()
    for key, widget in wanted["inputs"]:
        sockets = next(node["inputs"] for node in shown["nodes"] if node["id"] == key)
        label = next(socket for socket in sockets if socket["name"] == widget).get("label", widget)
        page.tab.locator(f"text='{label}' >> visible=true").first.wait_for()
    page.screenshot(f"app_mode_{name}")
    page.tab.evaluate("() => window.app.extensionManager.command.execute('Comfy.ToggleLinear')")


# Of a note's paragraphs, and its headings: contrast of the first, and the smallest letters.
READ = """
id => {
    const levels = colour => (colour.match(/[\\d.]+/g) ?? []).slice(0, 3).map(value => value / 255)
        .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const light = colour => { const [r, g, b] = levels(colour); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const box = document.querySelector(`[data-node-id="${id}"]`) ?? window.app.graph.getNodeById(id).widgets[0].element;
    const texts = [...box.querySelectorAll("p, h2, li, strong, em, code")].filter(one => one.innerText.trim());
    const text = texts.find(one => one.tagName === "P");
    let behind = text;
    const clear = element => /rgba\\(.*, 0\\)|transparent/.test(getComputedStyle(element).backgroundColor);
    while (behind && clear(behind)) behind = behind.parentElement;
    const drawn = document.body.appendChild(document.createElement("i")); // by the canvas, where no element is opaque
    drawn.style.backgroundColor = window.app.graph.getNodeById(id).bgcolor ?? window.LiteGraph.NODE_DEFAULT_BGCOLOR;
    const ground = getComputedStyle(behind ?? drawn).backgroundColor;
    const [one, other] = [light(getComputedStyle(text).color), light(ground)];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    return [contrast, Math.min(...texts.map(one => parseFloat(getComputedStyle(one).fontSize)))];
}
"""


def test_notes_can_be_read_and_a_larger_setting_of_the_page_stays(request, open_page, view):
    page, shown = open_page(*view), workflow("tryon_embedded")
    note = next(node["id"] for node in shown["nodes"] if node["type"] == "MarkdownNote")
    for setting, size in ((10, 14), (20, 20)):
        page.set(**{"Comfy.TextareaWidget.FontSize": setting})
        page.load(shown)
        page.tab.evaluate(LOOK_AT, note)
        page.tab.wait_for_function(NOTE, arg="Press Run")
        contrast, letters = page.tab.evaluate(READ, note)
        assert contrast >= 4.5 and letters == size
        page.screenshot(f"note_{setting}_{request.node.callspec.id}")
