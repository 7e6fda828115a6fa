"""What a run took and what looks wrong is read on the nodes; a new Dataset Sample keeps its index."""

from __future__ import annotations

import json
import time

import pytest

LOAD = "workflow => window.app.loadGraphData(workflow)"
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
def press_run(page, client):
    """Press Run and wait for the end of that run."""

    def run() -> None:
        before = set(client.history())
        page.get_by_test_id("queue-button").click()
        deadline = time.monotonic() + 600
        while not (new := set(client.history()) - before) and time.monotonic() < deadline:
            page.wait_for_timeout(300)
        (entry,) = (client.history()[prompt_id] for prompt_id in new)
        assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
        page.wait_for_timeout(500)

    return run


def test_notes_stand_on_the_node_go_when_mended_and_are_in_no_file(page, press_run, repository):
    workflow = json.loads((repository / "workflows" / "tryon_embedded.json").read_text(encoding="utf-8"))
    page.evaluate(LOAD, workflow)
    page.wait_for_function(f"() => window.app.graph.nodes.length === {len(workflow['nodes'])}", timeout=30_000)
    heights = page.evaluate(HEIGHTS)
    page.evaluate(SET, ["LadiVTON_TryOnSampler", "steps", 0])
    page.evaluate(SET, ["LadiVTON_AgnosticPerson", "category", "dresses"])
    page.evaluate(SET, ["LadiVTON_LoadParseMap", "file", "[example] parse_atr18.png"])
    press_run()

    shown = page.evaluate(SHOWN)
    assert shown["TryOnSampler"] == "steps 5, guidance 1 (recommended)"
    assert shown["TryOnConditioning"].startswith("⚠ 'Agnostic Person' cuts out dresses")
    assert "read as ATR18 it makes sense" in shown["AgnosticPerson"]
    assert "PoseMap" not in shown
    assert page.evaluate(CUT_OFF) == 0
    saved = page.evaluate("() => JSON.stringify(window.app.graph.serialize())")
    assert "⚠" not in saved and "ladi_vton_notes" not in saved

    target = repository / "output" / "browser" / "notes.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(target))

    page.evaluate(SET, ["LadiVTON_AgnosticPerson", "category", "upper_body"])
    page.evaluate(SET, ["LadiVTON_LoadParseMap", "file", "[example] parse.png"])
    press_run()
    assert page.evaluate(SHOWN).keys() == {"TryOnSampler", "EMASCDecoder"}
    quiet = [node["id"] for node in workflow["nodes"] if node["type"] not in ("LadiVTON_EMASCDecoder", "SaveImage")]
    after = dict(page.evaluate(HEIGHTS))
    assert {key: after[key] for key, _ in heights if key in quiet} == {k: v for k, v in heights if k in quiet}


def test_a_new_dataset_sample_keeps_its_index_and_an_old_file_its_setting(page, repository):
    assert dict(page.evaluate(NEW_SAMPLE))["control_after_generate"] == "fixed"

    workflow = json.loads((repository / "tests/promises/0.1.0/paper_vitonhd.json").read_text(encoding="utf-8"))
    (sample,) = (node for node in workflow["nodes"] if node["type"] == "LadiVTON_DatasetSample")
    sample["widgets_values"][sample["widgets_values"].index("fixed")] = "increment"
    page.evaluate(LOAD, workflow)
    page.wait_for_function(f"() => window.app.graph.nodes.length === {len(workflow['nodes'])}", timeout=30_000)
    assert page.evaluate(CONTROLS) == ["increment"]
