"""The example pictures before any run: on nodes, in lists by their names, also for values that older files hold.

With the frontend ComfyUI brings and with the newest one, on the classic canvas and in Nodes 2.0. The mask editor has a
file of its own.
"""

from __future__ import annotations

import json

import pytest
from hosting.shipped import page_file

pytestmark = pytest.mark.long

OLD = {"LadiVTON_LoadPicture": "[example] person.png", "LadiVTON_LoadParseMap": "[example] parse.png",
       "LadiVTON_LoadKeypoints": "[example] keypoints.json", "LadiVTON_DatasetSample": "[example] vitonhd"}  # fmt: skip
NEW = ["person [example].png [temp]", "parse [example].png [temp]", "keypoints.json [example]", "vitonhd [example]"]
# A file of the page with one node of each type, as an older version saved it.
SAVED = """
(values) => {
    const graph = window.app.graph;
    graph.clear();
    Object.keys(values).forEach((type, place) => {
        const node = window.LiteGraph.createNode(type);
        node.pos = [60 + 450 * place, 120];
        graph.add(node);
    });
    const saved = graph.serialize();
    saved.nodes.forEach((node) => (node.widgets_values[0] = values[node.type]));
    return JSON.parse(JSON.stringify(saved)); // what a file can hold
}
"""
VALUES = "() => window.app.graph.nodes.map(node => node.widgets[0].value)"
LABELS = "() => window.app.graph.nodes.map(({ widgets: [list] }) => list.options.getOptionLabel(list.value))"
# On nodes, as they are drawn: beside them, and in memory, a page also has what an earlier run made.
SHOWN = """
() => {
    const drawn = document.querySelector("[data-node-id]") && [...document.querySelectorAll("[data-node-id] img")];
    const inNodes = drawn ?? window.app.graph.nodes.flatMap(node => node.imgs ?? []);
    const pictures = inNodes.filter(image => image.src.includes("/view?"));
    return [...new Set(pictures.filter(image => image.naturalWidth > 1)
        // the newest page asks for the name and the folder apart
        .map(image => new URL(image.src).searchParams.get("filename").replace(/ \\[temp\\]$/, "")))].sort();
}
"""
# ComfyUI's own page fetches a list's pictures itself, and shows them from its memory.
THUMBNAILS = """
() => [...document.images].filter(image => image.naturalWidth > 1 && /^blob:|\\/view\\?/.test(image.src)).length
"""
BROKEN = "() => [...document.images].filter(image => image.complete && !image.naturalWidth).map(image => image.src)"

OPEN_LIST = """
() => {
    const node = window.app.graph.nodes[0], [list] = node.widgets;
    const e = { canvasX: node.pos[0] + node.size[0] / 2, canvasY: node.pos[1] + 40, clientX: 600, clientY: 300 };
    list.onClick({ e, node, canvas: window.app.canvas });
}
"""


def test_values_of_older_files_become_todays_and_show_before_a_run(request, open_page, view):
    page = open_page(*view)
    page.load(page.tab.evaluate(SAVED, OLD))
    assert page.tab.evaluate(VALUES) == NEW
    assert page.tab.evaluate(LABELS) == ["person.png [example]", "parse.png [example]", *NEW[2:]]
    page.tab.wait_for_function(f"() => ({SHOWN})().length === 2")
    assert page.tab.evaluate(SHOWN) == sorted(name.removesuffix(" [temp]") for name in NEW[:2])
    page.fit_view()
    page.screenshot(f"examples_{request.node.callspec.id}")
    assert page.tab.evaluate(BROKEN) == [] and page.problems == []


FRESH = """
(types) => {
    for (const type of types) window.app.graph.add(window.LiteGraph.createNode(type));
    return window.app.graph.nodes.map(node => node.widgets[0].value);
}
"""


def test_nodes_placed_by_hand_start_with_files_that_belong_together(open_page, frontend):
    page = open_page(frontend)
    types = [f"LadiVTON_Load{kind}" for kind in ("Picture", "Picture", "Keypoints", "ParseMap")]
    person, garment = "person [example].png [temp]", "garment [example].png [temp]"
    assert page.tab.evaluate(FRESH, types) == [person, garment, NEW[2], NEW[1]]
    page.load(page.tab.evaluate(SAVED, {types[0]: "dresses_person [example].png [temp]"}))
    assert page.tab.evaluate(VALUES) == ["dresses_person [example].png [temp]"]


def test_a_list_shows_names_first_and_in_nodes_2_their_pictures(request, open_page, view):
    page = open_page(*view)
    page.load(page.tab.evaluate(SAVED, {"LadiVTON_LoadPicture": OLD["LadiVTON_LoadPicture"]}))
    page.tab.wait_for_function(f"() => ({SHOWN})().length === 1")
    if view[1]:
        page.tab.locator("[data-node-id]").get_by_text("person.png [example]").first.click()
        page.tab.wait_for_function(f"() => ({THUMBNAILS})() > 8")
    else:
        page.tab.evaluate(OPEN_LIST)
    page.tab.get_by_text("dresses_person.png [example]").first.wait_for()
    page.screenshot(f"examples_listed_{request.node.callspec.id}")
    assert page.tab.get_by_text("[temp]").count() == 0
    assert page.tab.evaluate(BROKEN) == [] and page.problems == []


# Names of the pictures on the nodes that cannot be read to their end, the dots that follow it included.
CUT_OFF = """
() => [...document.querySelectorAll("[data-node-id] button .truncate > span")]
    .filter(span => /\\[example\\]$/.test(span.innerText) && span.firstChild).flatMap(span => {
        const [name, box] = [document.createRange(), span.parentElement.getBoundingClientRect()];
        name.setStart(span.firstChild, 0);
        name.setEnd(span.firstChild, span.innerText.indexOf(" "));
        const dots = 10 * window.app.canvas.ds.scale;
        return name.getBoundingClientRect().right + dots > box.right ? [span.innerText] : [];
    })
"""


def test_pictures_names_are_read_on_the_start_templates_narrow_nodes(open_page, newest_server):
    page = open_page(newest_server, True)
    page.load(json.loads(page_file("tryon_embedded").read_text(encoding="utf-8")))
    names = page.tab.locator("[data-node-id] button .truncate > span", has_text="[example]")
    for name in ("person", "garment", "parse"):
        names.get_by_text(f"{name}.png").first.wait_for()
    page.screenshot("examples_names")
    assert page.tab.evaluate(CUT_OFF) == []


WORDED = """
() => {
    const node = window.LiteGraph.createNode("LadiVTON_AgnosticPerson");
    window.app.graph.add(node);
    return node.widgets.filter(({ name }) => ["mode", "nobody", "missing_joints"].includes(name)).map((widget) => [
        widget.label, widget.value, widget.options.getOptionLabel(widget.value),
    ]);
}
"""


def test_names_and_choices_are_shown_in_words_and_kept_as_values(open_page, frontend):
    page = open_page(frontend)
    assert page.tab.evaluate(WORDED) == [
        ["joints not found", "skip", "leave them out"],
        ["joints and sizes", "published", "as in the paper"],
        ["if nobody is found", "stop", "stop and say so"],
    ]


def test_what_is_seldom_touched_is_folded_away_until_somebody_asks(newer, request, open_page, frontend):
    page = open_page(frontend, True)
    page.tab.evaluate(FRESH, ["LadiVTON_AgnosticPerson"])
    node = page.tab.locator("[data-node-id]")
    node.get_by_text("category").first.wait_for()
    page.fit_view()
    folded = ("joints not found", "if nobody is found", "mask rule")
    assert [words for words in folded if node.get_by_text(words).count()] == []
    page.screenshot(f"folded_{request.node.callspec.id}")
    node.get_by_text("Show advanced").first.dispatch_event("click")  # wherever the view has it
    for words in folded:
        node.get_by_text(words).first.wait_for()
