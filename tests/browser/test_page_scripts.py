"""The pack's page scripts (`web/js`) and what the page makes of its help, blueprint and names."""

from __future__ import annotations

import json

import make_subgraph
import pytest
from hosting.graph import with_defaults, without_ids
from hosting.places import PACK_NAME

SHEET = "LadiVTON_ComparisonSheet"
WORDS = ("try-on", "virtual try-on", "vton", "clothes", "clothing", "garment", "dress", "outfit", "fashion", "wardrobe")

# Nodes by their types, in a row, wired as [from, output, to, input]; a node's values by widget.
BUILD = """
({ types, wires, values }) => {
    const graph = window.app.graph;
    graph.clear();
    const nodes = types.map((type, place) => {
        const node = window.LiteGraph.createNode(type);
        node.pos = [60 + 420 * place, 120];
        graph.add(node);
        for (const [name, value] of Object.entries(values[place] ?? {}))
            node.widgets.find((widget) => widget.name === name).value = value;
        return node;
    });
    for (const [from, output, to, input] of wires) nodes[from].connect(output, nodes[to], input);
    return nodes.map((node) => node.id);
}
"""
COLOURS = """
(types) => types.map((type) => [
    window.app.canvas.default_connection_color_byType[type],
    window.app.canvas.constructor.link_type_colors[type],
    getComputedStyle(document.body).getPropertyValue(`--color-datatype-${type}`).trim(),
])
"""
HAS_HELP = "() => window.app.extensionManager._p._s.has('nodeHelp')"  # else beside a chosen node
OPEN_HELP = """
() => {
    const stores = window.app.extensionManager._p._s;
    window.app.extensionManager.sidebarTab.toggleSidebarTab("node-library");
    stores.get("nodeHelp").openHelp(stores.get("nodeDef").nodeDefsByName.LadiVTON_AgnosticPerson);
}
"""
GROUND = "() => getComputedStyle(document.body).getPropertyValue('--bg-color')"
SLIDER = ".ladi-vton-before-after"


@pytest.fixture
def whole_page(open_page, comfy_server):
    return open_page(comfy_server)


@pytest.fixture
def page(whole_page):
    return whole_page.tab


@pytest.fixture
def faults(page) -> list[str]:
    """What scripts complain of from here on."""
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(f"{error}\n{error.stack}"))
    page.on("console", lambda message: said.append(f"{message.text} {message.location['url']}"))
    return said


def test_scripts_load_without_a_word_and_colour_the_wires(whole_page, page, faults):
    failed = "() => performance.getEntriesByType('resource').filter(e => e.responseStatus >= 400).map(e => e.name)"
    whole_page.start()
    page.wait_for_load_state("networkidle")
    faults += page.evaluate(failed)
    assert not [fault for fault in faults if "LaDI-VTON/" in fault], "one of our files, or a fault in one"
    types = ["LADI_WARPER", "LADI_POSE_MAP", "LADI_PARSE_MAP", "LADI_SKIP_FEATURES"]
    colours = page.evaluate(COLOURS, types)
    assert all(len(set(of_type)) == 1 and of_type[0].startswith("#") for of_type in colours)
    assert len({of_type[0] for of_type in colours}) == len(types)

    # Another palette writes its own colours and empties all others: ours stay.
    ground = page.evaluate(GROUND)
    whole_page.set(**{"Comfy.ColorPalette": "light"})
    page.wait_for_function(f"dark => ({GROUND})() !== dark", arg=ground)
    assert page.evaluate(COLOURS, types) == colours


@pytest.mark.long
def test_the_slider_shows_first_and_last_picture_and_moves(whole_page, page, client, faults):
    types = ["LadiVTON_LoadPicture", "LadiVTON_LoadPicture", SHEET]
    values = [
        {"image": "person [example].png [temp]"},
        {"image": "garment [example].png [temp]"},
        {"captions": "person, garment"},
    ]
    *_, sheet = page.evaluate(BUILD, {"types": types, "wires": [[0, 0, 2, 0], [1, 0, 2, 1]], "values": values})
    outputs = whole_page.press_run(client)[str(sheet)]
    assert len(outputs["before"]) == len(outputs["after"]) == 1

    slider = page.locator(SLIDER)
    slider.wait_for()
    pictures = slider.locator("img")
    page.wait_for_function(f"() => [...document.querySelectorAll('{SLIDER} img')].every(image => image.naturalWidth)")
    sources = [pictures.nth(side).get_attribute("src") for side in range(2)]
    assert outputs["before"][0]["filename"] in sources[0] and outputs["after"][0]["filename"] in sources[1]
    assert slider.locator("figcaption").all_text_contents() == ["person", "garment"]

    def cut() -> float:
        """Share of the after-picture that is cut off, as it is drawn."""
        style = pictures.nth(1).evaluate("image => getComputedStyle(image).clipPath")
        return float(style.removeprefix("inset(").rstrip("%)").split()[-1].rstrip("%"))

    assert cut() == 50
    whole_page.still(f"document.querySelector('{SLIDER} input').getBoundingClientRect().toJSON()")  # nodes grow
    box = slider.locator("input").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, middle, steps=4)
    page.mouse.up()
    assert 15 < cut() < 35
    whole_page.screenshot("before_after")

    saved = page.evaluate("() => window.app.graph.serialize().nodes.map(node => node.widgets_values)")
    assert saved[-1] == [512, 8, "person, garment"], "the slider is no setting"
    assert not [fault for fault in faults if "LaDI-VTON/" in fault]


def test_the_page_finds_the_pack_by_the_words_people_search(page):
    find = """(word) => window.app.extensionManager._p._s.get("nodeDef").nodeSearchService.searchNode(word)
        .slice(0, 8).map((definition) => [definition.name, definition.display_name])"""
    titles = {one.name for one in make_subgraph.BLUEPRINTS}
    for word in WORDS:
        found = page.evaluate(find, word)
        assert any(name.startswith("LadiVTON_") or title in titles for name, title in found), (word, found)


FITTING = {
    "try on": "Virtual Try-On", "mask": "AgnosticPerson", "clothes": "PrepareGarment", "dress": "PrepareGarment",
    "shirt": "PrepareGarment", "outfit": "PrepareGarment", "swap clothes": "Photo Try-On", "warp": "GarmentWarper",
    "pose": "PoseMap", "photo": "Photo Try-On",
}  # fmt: skip


def test_a_fitting_node_is_among_the_first_three(open_page, frontend):
    page = open_page(frontend)
    find = """(word) => window.app.extensionManager._p._s.get("nodeDef").nodeSearchService
        .searchNode(word, [], { limit: 64 })
        .map(({ name, display_name }) => name.startsWith("LadiVTON_") ? name.slice(9) : display_name)"""
    for word, name in FITTING.items():
        found = page.tab.evaluate(find, word)
        first = 1 if word in ("try on", "swap clothes") else 3  # what can mean nothing else
        assert name in found[:first] and found.count(name) == 1, (word, found[:6])
    assert len(page.tab.evaluate(find, "sampler")) > 3, "any other word is the page's own"


@pytest.mark.long
@pytest.mark.parametrize("one", make_subgraph.BLUEPRINTS, ids=lambda one: one.workflow)
def test_a_blueprint_is_found_put_down_and_unpacks_into_the_workflow(whole_page, page, client, repository, one):
    canvas = page.locator("#graph-canvas").bounding_box()
    middle = (canvas["x"] + canvas["width"] / 2, canvas["y"] + canvas["height"] / 2)
    page.mouse.dblclick(*middle)
    page.locator("input[role=combobox]:focus").wait_for()
    page.keyboard.type(one.name.lower())
    taken = page.locator("[role=option]:is([data-p-focus=true], [aria-selected=true])")  # what Enter takes
    taken.filter(has=page.get_by_text(one.name, exact=True)).first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.app.graph.nodes.length === 1")
    carried = "() => window.app.canvas.state.ghostNodeId"
    if page.evaluate(carried):  # by the pointer, on newer pages
        page.locator("input[role=combobox]").wait_for(state="hidden")
        page.mouse.click(*middle)
        page.wait_for_function(f"() => !({carried})()")
    assert page.evaluate("() => window.app.graph.nodes[0].title") == one.name
    whole_page.screenshot(one.workflow + "_blueprint")

    page.evaluate("() => { const graph = window.app.graph; graph.unpackSubgraph(graph.nodes[0]); }")
    unpacked = page.evaluate("async () => (await window.app.graphToPrompt()).output")
    loaders = {str(number) for number in make_subgraph.loaders(one.source(), one.roles).values()}
    workflow = json.loads((repository / "workflows" / "api" / f"{one.workflow}.json").read_text(encoding="utf-8"))
    workflow = with_defaults(workflow, client.object_info())
    left_out = {key for key, node in workflow.items() if node["class_type"] in make_subgraph.LEFT_OUT}
    stages = {key: node for key, node in workflow.items() if key not in loaders | left_out}
    for node in stages.values():
        fed = {name for name, value in node["inputs"].items() if isinstance(value, list) and value[0] in loaders}
        node["inputs"] = {name: value for name, value in node["inputs"].items() if name not in fed}
    assert without_ids(unpacked) == without_ids(stages)


@pytest.mark.long
def test_help_fits_its_panel_shows_the_stage_and_leads_to_the_next(whole_page, page):
    page.evaluate(BUILD, {"types": ["LadiVTON_AgnosticPerson"], "wires": [], "values": []})
    page.evaluate("() => window.app.canvas.selectNode(window.app.graph.nodes[0])")
    if page.evaluate(HAS_HELP):
        page.evaluate(OPEN_HELP)
    else:
        page.locator("[data-testid='info-button']:visible").first.click()
    panel = page.locator(".node-help-content")
    panel.locator("img").wait_for()
    page.wait_for_function("() => document.querySelector('.node-help-content img').naturalWidth > 0")
    whole_page.screenshot("help")
    too_wide = """(panel) => [...panel.querySelectorAll("*")].filter((element) =>
        element.getBoundingClientRect().right > panel.getBoundingClientRect().right + 1)
        .map((element) => element.outerHTML)"""
    assert panel.evaluate(too_wide) == []

    panel.get_by_role("link", name="Garment Warper").click()
    page.wait_for_function("() => document.querySelector('.node-help-content h1')?.textContent === 'Garment Warper'")
    assert len(page.context.pages) == 1, "the link left the page"


@pytest.fixture
def abroad(whole_page, frontend, new_tab):
    """A tab beside the page, ComfyUI's and the newest's, loaded in Chinese; the server then keeps English again."""
    page = type(whole_page)(new_tab(), frontend.url)
    page.speak("zh")
    page.start()
    yield page
    page.speak("en")
    page.tab.context.close()


CHINESE = """
async ({ pack, card, workflow }) => {
    const { api } = await import("/scripts/api.js");
    const cards = (await api.getWorkflowTemplates())[pack];
    const address = (ending) => api.apiURL(`/workflow_templates/${pack}/${card}${ending}`);
    const files = await Promise.all([".json", ".jpg"].map((ending) => fetch(address(ending))));
    await window.app.loadGraphData(workflow);
    const { nodes, groups } = window.app.graph;
    const notes = nodes.filter((node) => node.type === "MarkdownNote").map((node) => node.widgets[0].value);
    const choices = nodes.flatMap((node) => node.comfyClass?.startsWith("LadiVTON_") ? node.widgets ?? [] : [])
        .filter((widget) => widget.name === "category").map((widget) => widget.options.getOptionLabel("dresses"));
    const boxes = nodes.flatMap((node) => node.widgets ?? []).filter((widget) => widget.name === "prompt")
        .map((widget) => widget.element?.placeholder ?? widget.options.placeholder);
    return { cards, served: files.map((file) => file.ok), notes, choices, boxes,
        titles: nodes.map((node) => node.title), groups: groups.map((group) => group.title) };
}
"""


@pytest.mark.long
def test_chinese_pages_show_chinese(abroad, repository):
    """Nodes, options, help, the cards of Templates, and what the shipped workflows say; their files stay English."""
    folder = repository / "locales" / "zh"
    nodes = json.loads((folder / "nodeDefs.json").read_text(encoding="utf-8"))
    texts = json.loads((folder / "main.json").read_text(encoding="utf-8"))["ladiVton"]["texts"]
    workflow = json.loads((repository / "workflows" / "Try-on, start here.json").read_text(encoding="utf-8"))
    page = abroad.tab
    page.evaluate(BUILD, {"types": ["LadiVTON_GarmentWarper"], "wires": [], "values": []})
    node = "window.app.graph.nodes[0]"
    shown = page.evaluate(f"() => [{node}.title, ...{node}.inputs.map((socket) => socket.localized_name)]")
    warper = nodes["LadiVTON_GarmentWarper"]
    assert shown == [warper["display_name"], *(text["name"] for text in warper["inputs"].values())]

    shown = page.evaluate(CHINESE, {"pack": PACK_NAME, "card": texts["Try-on, start here"], "workflow": workflow})
    names = [file.stem for file in (repository / "workflows").glob("*.json")]
    assert sorted(shown["cards"]) == sorted(texts[name] for name in names)
    assert shown["cards"][0] == texts["Try-on, start here"] and shown["served"] == [True, True]
    english = [node["title"] for node in workflow["nodes"] if "title" in node]
    assert {texts[title] for title in english} <= set(shown["titles"])
    assert set(shown["groups"]) == {texts[group["title"]] for group in workflow["groups"]}
    notes = [node["widgets_values"][0] for node in workflow["nodes"] if node["type"] == "MarkdownNote"]
    assert sorted(shown["notes"]) == sorted(
        "\n".join(texts[line] if line.strip() else line for line in note.split("\n")) for note in notes
    )
    assert shown["choices"] and set(shown["choices"]) == {"连衣裙"}
    assert shown["boxes"] and all(box.startswith("留空") for box in shown["boxes"])

    title = nodes["LadiVTON_AgnosticPerson"]["display_name"]
    address = f"/extensions/{PACK_NAME}/docs/LadiVTON_AgnosticPerson/zh.md"  # where both pages look
    assert page.evaluate("async (address) => (await fetch(address)).text()", address).startswith(f"# {title}\n")
    if not page.evaluate(HAS_HELP):
        return  # the newest page opens help from its own menus only
    page.evaluate(OPEN_HELP)
    page.locator(".node-help-content h1", has_text=title).wait_for()
    abroad.screenshot("chinese")
    page.locator(".node-help-content a", has_text=warper["display_name"]).click()
    page.locator(".node-help-content h1", has_text=warper["display_name"]).wait_for()
