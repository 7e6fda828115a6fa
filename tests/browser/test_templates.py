"""The Templates dialog, and every workflow on the page's own validation, in both ways the page draws nodes."""

from __future__ import annotations

import copy
import json
import re

import pytest
from hosting.places import PACK_NAME
from hosting.shipped import TITLES, page_file

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
# How much of a note does not fit, so that the page would scroll in it. The classic page hides notes far off or small.
LOOK_AT = """
id => {
    window.app.canvas.ds.scale = 0.9;
    window.app.canvas.centerOnNode(window.app.graph.getNodeById(id));
    window.app.canvas.setDirty(true, true);
}
"""
NOTE = """
words => {
    const boxes = [...document.querySelectorAll(".comfy-markdown-content, .comfy-markdown .tiptap")];
    return boxes.find(box => box.clientHeight && box.innerText.includes(words));
}
"""
VALIDATE = {"Comfy.Validation.Workflows": True, "Comfy.Workflow.ShowMissingModelsWarning": False}


def workflow(name: str) -> dict:
    return json.loads(page_file(name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("server", ["comfy_server", "newest_server"])
def test_every_card_is_ours_has_its_thumbnail_and_the_first_one_starts(request, open_page, server):
    page = open_page(request.getfixturevalue(server))
    page.tab.locator(".templates-tab-button").click()
    page.tab.get_by_text(PACK_NAME).first.click()
    page.tab.wait_for_function(f"() => ({CARDS})().length === {len(TITLES)}")
    shown = [title for title, _ in page.tab.evaluate(CARDS)]
    assert sorted(shown) == sorted(TITLES.values())
    assert shown[0] == TITLES["tryon_embedded"] and shown[1] == TITLES["tryon_photo"]
    assert all(title.startswith("Paper") for title in shown[-3:])
    page.screenshot(f"templates_{server}")
    for title in TITLES.values():
        card = page.tab.get_by_test_id(f"template-workflow-{title}")
        card.scroll_into_view_if_needed()  # a thumbnail loads when it comes into sight
        page.tab.wait_for_function(f"t => ({CARDS})().some(card => card[0] === t && card[1] === 1)", arg=title)
    assert page.problems == []


@pytest.mark.parametrize("nodes2", [False, True], ids=["classic", "nodes2"])
def test_every_workflow_passes_the_pages_schema_and_its_notes_fit(open_page, comfy_server, nodes2):
    page = open_page(comfy_server, nodes2, **VALIDATE)
    for name in TITLES:
        shown = workflow(name)
        page.load(shown)
        assert page.missing_nodes() == [], name
        assert page.alerts() == [], name
        for note in (node for node in shown["nodes"] if node["type"] == "MarkdownNote"):
            words = re.search(r"\w[\w ]{3,}", note["widgets_values"][0]).group().strip()
            page.tab.evaluate(LOOK_AT, note["id"])
            box = page.tab.wait_for_function(NOTE, arg=words)
            assert box.evaluate("box => box.scrollHeight - box.clientHeight") <= 2, (name, note["title"])
        page.fit_view()
        page.screenshot(f"{name}_{'nodes2' if nodes2 else 'classic'}")
    assert page.problems == []


def test_the_pages_schema_would_have_refused_what_0_1_0_shipped(open_page, comfy_server):
    page = open_page(comfy_server, **VALIDATE)
    broken = copy.deepcopy(workflow("tryon_embedded"))
    broken["nodes"][0]["outputs"][0]["slot_index"] = None
    page.load(broken)
    page.tab.wait_for_function("() => document.querySelector('.p-toast-message')")
    assert any("slot_index" in text for text in page.alerts())


def test_the_page_lists_all_seven_files_fetches_three_and_says_why_not_the_others(open_page, comfy_server):
    page = open_page(comfy_server, **{"Comfy.Workflow.ShowMissingModelsWarning": True})
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
