"""What a run took and what looks wrong is read on the nodes; a new Dataset Sample keeps its index."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from hosting.client import ComfyClient
from hosting.shipped import page_file

from .test_templates import LOOK_AT, OVERLAPPING

pytestmark = pytest.mark.long

SET = """
([type, name, value]) => {
    const node = window.app.graph.nodes.find(node => node.type === type);
    node.widgets.find(widget => widget.name === name).value = value;
}
"""
SHOWN = """
() => Object.fromEntries(window.app.graph.nodes.flatMap(node => {
    const shown = node.widgets?.find(widget => widget.name === "ladi_vton_notes")?.element;
    return shown?.isConnected ? [[node.type.replace("LadiVTON_", ""), shown.innerText]] : [];
}))
"""
CUT_OFF = """
() => [...document.querySelectorAll(".ladi-vton-notes")].filter(shown => shown.scrollHeight > shown.clientHeight).length
"""
HEIGHTS = "() => window.app.graph.nodes.map(node => [node.id, Math.round(node.size[1])])"
NEW_SAMPLE = """
() => {
    const node = LiteGraph.createNode("LadiVTON_DatasetSample");
    window.app.graph.add(node);
    return node.widgets.map(widget => [widget.name, widget.value]);
}
"""
CONTROLS = """
() => window.app.graph.nodes.filter(node => node.type === "LadiVTON_DatasetSample")
    .map(node => node.widgets.find(widget => widget.name === "control_after_generate").value)
"""


@pytest.fixture
def page(open_page, comfy_server):
    return open_page(comfy_server)


def shrunk(file, server, small_samples) -> dict:
    """A workflow of the page at 96 x 128, on the small samples, which it lays into the server's input folder."""
    for sample in small_samples.iterdir():
        shutil.copyfile(sample, server.base / "input" / f"small_{sample.name}")
    text = file.read_text(encoding="utf-8")
    workflow = json.loads(re.sub(r'"(\w+)(\.json)? \[example\](\.png)?( \[temp\])?"', r'"small_\1\2\3"', text))
    for node in workflow["nodes"]:
        if node["type"] in ("LadiVTON_PoseMap", "LadiVTON_PrepareGarment"):
            quarters = {384: 96, 512: 128, 9.0: 2.5}
            node["widgets_values"] = [quarters.get(value, value) for value in node["widgets_values"]]
    return workflow


@pytest.fixture
def small(comfy_server, small_samples):
    """`small(name)`: a workflow, shrunk for the page that ComfyUI brings."""
    return lambda name: shrunk(page_file(name), comfy_server, small_samples)


def told(page, node: str, start: str) -> None:
    """Wait until the page shows a note that starts so: it hears of a run a moment after the server's history does."""
    page.tab.wait_for_function(f"([node, start]) => ({SHOWN})()[node]?.startsWith(start)", arg=[node, start])


def test_notes_stand_on_the_node_go_when_mended_and_are_in_no_file(page, client, small):
    workflow = small("tryon_embedded")
    page.load(workflow)
    page.tab.evaluate(SET, ["LadiVTON_AgnosticPerson", "grow", 2])
    heights = page.tab.evaluate(HEIGHTS)
    page.tab.evaluate(SET, ["LadiVTON_TryOnSampler", "steps", 0])
    page.tab.evaluate(SET, ["LadiVTON_AgnosticPerson", "category", "dresses"])
    page.tab.evaluate(SET, ["LadiVTON_LoadParseMap", "file", "small_parse_atr18.png"])
    page.press_run(client)
    told(page, "EMASCDecoder", "")  # the last of them

    shown = page.tab.evaluate(SHOWN)
    assert shown["TryOnSampler"] == "steps 5, guidance 1 (recommended)"
    assert shown["TryOnConditioning"].startswith("⚠ 'Agnostic Person' cuts out dresses")
    assert "read as ATR18 it makes sense" in shown["AgnosticPerson"]
    assert "PoseMap" not in shown
    assert page.tab.evaluate(CUT_OFF) == 0
    saved = page.tab.evaluate("() => JSON.stringify(window.app.graph.serialize())")
    assert "⚠" not in saved and "ladi_vton_notes" not in saved

    page.screenshot("notes")

    page.tab.evaluate(SET, ["LadiVTON_AgnosticPerson", "category", "upper_body"])
    page.tab.evaluate(SET, ["LadiVTON_LoadParseMap", "file", "small_parse.png"])
    page.press_run(client)
    told(page, "TryOnConditioning", "⚠ The embedded models know drawn people only")  # the small picture
    mended = page.tab.evaluate(SHOWN)
    assert mended.keys() == {"TryOnSampler", "EMASCDecoder", "TryOnConditioning"}
    assert page.tab.evaluate(OVERLAPPING) == [], "a node grows with its words, over what lies below"
    loud = ("LadiVTON_EMASCDecoder", "LadiVTON_TryOnConditioning", "SaveImage")
    quiet = [node["id"] for node in workflow["nodes"] if node["type"] not in loud]
    after = dict(page.tab.evaluate(HEIGHTS))
    assert {key: after[key] for key, _ in heights if key in quiet} == {k: v for k, v in heights if k in quiet}


def test_a_new_dataset_sample_keeps_its_index_and_an_old_file_its_setting(page, repository):
    assert dict(page.tab.evaluate(NEW_SAMPLE))["control_after_generate"] == "fixed"

    workflow = json.loads((repository / "tests/promises/0.1.0/paper_vitonhd.json").read_text(encoding="utf-8"))
    (sample,) = (node for node in workflow["nodes"] if node["type"] == "LadiVTON_DatasetSample")
    sample["widgets_values"][sample["widgets_values"].index("fixed")] = "increment"
    page.load(workflow)
    assert page.tab.evaluate(CONTROLS) == ["increment"]


ASKED = """
(change) => {
    const graph = window.app.graph;
    const of = type => graph.nodes.find(node => node.type === `LadiVTON_${type}`);
    const widget = (type, name) => of(type).widgets.find(widget => widget.name === name);
    if (change) widget(...change.slice(0, 2)).value = change[2];
    return [["TryOnSampler", "steps"], ["TryOnSampler", "guidance"], ["EMASCDecoder", "skip_grow"]]
        .map(([type, name]) => [widget(type, name)._displayValue, widget(type, name).label]);
}
"""


def test_what_the_model_recommends_is_shown_before_a_run(request, open_page, frontend):
    page = open_page(frontend)
    page.load(json.loads(page_file("tryon_painted_mask").read_text(encoding="utf-8")))

    def shown(*change) -> list[str]:
        return [value for value, _ in page.tab.evaluate(ASKED, list(change) or None)]

    assert shown() == ["5 (auto)", "1 (auto)", "2 (auto)"]
    assert shown("LoadModels", "models", "VITON-HD") == ["50 (auto)", "7.5 (auto)", "0 (auto)"]
    assert shown("TryOnSampler", "steps", 12)[0] == "12"
    page.screenshot(f"recommended_{request.node.callspec.id}")
    asks_the_model_but_for_steps(page)


# What a page shows of the labels, and how much of each is cut off.
LABELS = """
() => [...document.querySelectorAll("[node-type='LadiVTON_TryOnSampler']")].flatMap(row =>
    [...row.querySelectorAll("p, [data-testid='widget-layout-field-label']")])
    .filter(label => /steps|guidance/.test(label.innerText))
    .map(label => [label.innerText.replace(/\\s+/g, " "), label.scrollWidth - label.clientWidth])
"""


def test_nodes_2_says_what_the_model_recommends_and_cuts_no_word_off(request, open_page, frontend):
    page = open_page(frontend, True)
    page.load(json.loads(page_file("tryon_painted_mask").read_text(encoding="utf-8")))
    sampler = "window.app.graph.nodes.find(node => node.type === 'LadiVTON_TryOnSampler')"
    page.tab.evaluate(LOOK_AT, page.tab.evaluate(f"() => {sampler}.id"))

    def told(steps: str, guidance: str) -> None:
        whole = json.dumps([[steps, 0], [guidance, 0]], separators=(",", ":"))
        page.tab.wait_for_function(f"whole => JSON.stringify(({LABELS})()) === whole", arg=whole)

    stays = page.tab.wait_for_function(f"() => ({LABELS})().length === 2 && ({LABELS})()").json_value()[0][0]
    if stays == "steps (0: auto)":  # older pages read labels once
        told(stays, "guidance (0: auto)")
    else:
        told("steps (auto: 5)", "guidance (auto: 1)")
    page.screenshot(f"recommended_{request.node.callspec.id}-nodes2")
    page.tab.evaluate(ASKED, ["TryOnSampler", "steps", 12])
    asks_the_model_but_for_steps(page)
    if stays != "steps (0: auto)":
        page.tab.evaluate(ASKED, ["LoadModels", "models", "VITON-HD"])
        page.tab.mouse.click(1700, 950)  # beside all nodes: the page looks what has changed
        told("steps", "guidance (auto: 7.5)")


def asks_the_model_but_for_steps(page) -> None:
    """What is shown is in no file."""
    values = page.tab.evaluate("async () => (await window.app.graphToPrompt()).output")
    asking = next(node["inputs"] for node in values.values() if node["class_type"] == "LadiVTON_TryOnSampler")
    assert (asking["steps"], asking["guidance"]) == (12, 0)


@pytest.mark.parametrize(
    ("loaders", "said"),
    [
        (("Keypoints",), "In picture 0 joints and parse map are not of one photo"),
        (("ParseMap",), "In picture 0 joints and parse map are not of one photo"),
        (("Keypoints", "ParseMap"), "Joints and parse map are not of picture 0"),
    ],
)
def test_start_here_says_that_a_file_is_of_another_person(open_page, view, small_samples, loaders, said):
    page, client = open_page(*view), ComfyClient(view[0].url)
    workflow = shrunk(page_file("tryon_embedded"), view[0], small_samples)
    page.load(workflow)
    page.tab.evaluate(SET, ["LadiVTON_TryOnSampler", "steps", 1])
    others = {"Keypoints": "small_dresses_keypoints.json", "ParseMap": "small_dresses_parse.png"}
    for loader in loaders:
        page.tab.evaluate(SET, [f"LadiVTON_Load{loader}", "file", others[loader]])
    page.press_run(client)
    told(page, "AgnosticPerson", f"⚠ {said}")
    assert page.tab.evaluate(OVERLAPPING) == [], "the words are behind the next node"
    page.screenshot(f"another_persons_{'_'.join(loaders)}_{'nodes2' if view[1] else 'classic'}")


def test_a_new_error_takes_the_place_of_an_old_warning(page, client, small):
    page.load(small("tryon_painted_mask"))
    page.tab.evaluate(SET, ["LadiVTON_TryOnSampler", "steps", 1])
    page.tab.evaluate(SET, ["LadiVTON_LoadKeypoints", "file", "small_dresses_keypoints.json"])
    page.press_run(client)
    told(page, "AgnosticPerson", "⚠ In picture 0 the painted mask and the joints")
    page.tab.evaluate(SET, ["LadiVTON_AgnosticPerson", "person_index", 7])
    page.tab.get_by_test_id("queue-button").click()
    told(page, "AgnosticPerson", "✖")
    assert "⚠" not in page.tab.evaluate(SHOWN)["AgnosticPerson"]
