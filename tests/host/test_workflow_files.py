"""The files that ComfyUI's Templates open: served, written by the script, readable, and of the format the page wants.

`tests/browser` hands them to the page's own validation; this is the part that needs no browser.
"""

from __future__ import annotations

import copy
import json
import re
from urllib.parse import quote

import pytest
import requests
from hosting.places import PACK_NAME, WORKFLOWS
from hosting.shipped import CARDS, NEWER, STOCK_MODELS, TITLES, page_file, queue_file

TEMPLATE_FOLDERS = ("example_workflows", "example", "examples", "workflow", "workflows")
"""Folders of a pack in which ComfyUI looks for templates. It serves the first it finds and lists all."""
PAGES = {name: json.loads(page_file(name).read_text("utf-8")) for name in TITLES}


def test_templates_list_and_serve_the_workflows_and_nothing_else(comfy_server, repository):
    assert [name for name in TEMPLATE_FOLDERS if (repository / name).exists()] == ["workflows"]
    listed = requests.get(comfy_server.url + "/workflow_templates", timeout=60).json()[PACK_NAME]
    assert sorted(listed) == sorted(TITLES.values())
    for title in listed:
        for ending in ("json", "jpg"):
            address = f"{comfy_server.url}/api/workflow_templates/{PACK_NAME}/{quote(title)}.{ending}"
            answer = requests.get(address, timeout=60)
            assert answer.status_code == 200, address
            assert answer.content == (WORKFLOWS / f"{title}.{ending}").read_bytes()


@pytest.mark.parametrize("name", TITLES)
def test_the_script_writes_them(client, name, skip_if_too_old):
    skip_if_too_old(name, client)
    from make_workflows import as_text, in_form, queued, version_of

    definitions, remedy = client.object_info(), "run: python scripts/make_workflows.py"
    assert page_file(name).read_text("utf-8") == as_text(in_form(PAGES[name], definitions, version_of(name))), remedy
    assert queue_file(name).read_text("utf-8") == queued(PAGES[name], definitions), remedy


def test_what_a_page_adds_goes_and_a_widget_that_has_come_since_is_entered(client):
    from make_workflows import in_form

    definitions, whole = client.object_info(), PAGES["any_inpainting"]
    saved = copy.deepcopy(whole)
    saved["extra"] |= {"frontendVersion": "1.2.3", "linkExtensions": []}
    for node in saved["nodes"]:
        node["properties"] |= {"ue_properties": {}}
        for socket in (*node["inputs"], *node["outputs"]):
            socket |= {"localized_name": "x", "shape": 7}
    older = next(node for node in saved["nodes"] if node["type"] == "LadiVTON_BodyMask")
    assert older["inputs"].pop()["name"] == "draw_underlay" and older["widgets_values"].pop() is False
    assert [in_form(saved, definitions)[key] for key in ("links", "extra")] == [whole["links"], whole["extra"]]
    assert in_form(saved, definitions) == whole
    older["widgets_values"].append("more")
    with pytest.raises(ValueError, match="LadiVTON_BodyMask, has values that its definition does not know"):
        in_form(saved, definitions)


def test_a_later_optional_widget_of_a_stock_node_goes_at_its_default_and_stays_else(client):
    from make_workflows import in_form

    definitions, whole = client.object_info(), PAGES["any_flux_fill"]
    saved = copy.deepcopy(whole)
    loader = next(node for node in saved["nodes"] if node["type"] == "DualCLIPLoader")
    loader["inputs"].append({"name": "device", "type": "COMBO", "widget": {"name": "device"}, "link": None})
    loader["widgets_values"].append("default")
    assert in_form(saved, definitions) == whole
    loader["widgets_values"][-1] = "cpu"
    kept = next(node for node in in_form(saved, definitions)["nodes"] if node["type"] == "DualCLIPLoader")
    assert (kept["inputs"], kept["widgets_values"]) == (loader["inputs"], loader["widgets_values"])


@pytest.mark.parametrize("name", TITLES)
def test_it_has_no_null_where_the_page_wants_a_number_or_a_list(name):
    for node in PAGES[name]["nodes"]:
        assert isinstance(node["widgets_values"], list)
        for socket in (*node["inputs"], *node["outputs"]):
            assert all(value is not None for key, value in socket.items() if key != "link"), socket
            assert set(socket) <= {"name", "type", "link", "links", "widget", "label"}
    assert all(len(link) == 6 and None not in link for link in PAGES[name]["links"])


@pytest.mark.parametrize("name", TITLES)
def test_nothing_overlaps_and_wires_run_to_the_right_or_within_a_column_or_to_a_row_below(name):
    """With the room above a node for its title and for the pack's name over it."""
    workflow = PAGES[name]
    boxes = {node["id"]: (*node["pos"], *node["size"]) for node in workflow["nodes"]}
    for one, (x, y, width, height) in boxes.items():
        frames = [group["bounding"] for group in workflow["groups"]]
        assert any(gx < x and gy + 34 <= y - 54 and x + width < gx + gw and y + height < gy + gh
                   for gx, gy, gw, gh in frames), f"node {one} stands in no group"  # fmt: skip
        for other, (x2, y2, width2, height2) in boxes.items():
            apart = x + width <= x2 or x2 + width2 <= x or y + height <= y2 - 54 or y2 + height2 <= y - 54
            assert one == other or apart, (one, other)
    for _, source, _, target, _, _ in workflow["links"]:
        (x, y, *_), (x2, y2, width2, _) = boxes[source], boxes[target]
        row_ends = min(gy + gh for gx, gy, gw, gh in frames if gx < x < gx + gw and gy < y < gy + gh)
        assert x <= x2 + width2 or y2 > row_ends, (source, target)


@pytest.mark.parametrize("name", TITLES)
def test_every_node_says_its_pack_and_files_the_page_may_fetch_are_those_of_the_list(name, repository):
    project = (repository / "pyproject.toml").read_text("utf-8")
    pack = re.search(r'^name = "(.*?)"', project, re.MULTILINE).group(1)
    sources = json.loads((repository / "ladivton_core/checkpoints/sources.json").read_text("utf-8"))["files"]
    known = {file["name"]: file for file in sources}
    for node in PAGES[name]["nodes"]:
        if node["type"] == "MarkdownNote":
            continue
        properties = node["properties"]
        assert properties["cnr_id"] == (pack if node["type"].startswith("LadiVTON_") else "comfy-core")
        assert re.fullmatch(r"\d+\.\d+\.\d+", properties["ver"])
    sets = {"VITON-HD": ("vitonhd", "sd2"), "Dress Code": ("dresscode", "sd2")}
    chosen = {node["widgets_values"][0] for node in PAGES[name]["nodes"] if node["type"] == "LadiVTON_LoadModels"}
    wanted = {file for file, entry in known.items() for choice in chosen if entry["group"] in sets.get(choice, ())}
    listed = {model["name"]: (model["url"], model["directory"]) for model in PAGES[name].get("models", [])}
    assert listed == {file: (known[file]["urls"][0], known[file]["folder"]) for file in wanted}


@pytest.mark.parametrize("name", STOCK_MODELS)
def test_others_files_are_named_on_their_loaders_and_in_a_note(name):
    notes = "\n".join(node["widgets_values"][0] for node in PAGES[name]["nodes"] if node["type"] == "MarkdownNote")
    loaders = [node for node in PAGES[name]["nodes"] if node["properties"].get("models")]
    for node in loaders:
        for file in node["properties"]["models"]:
            assert file["name"] in node["widgets_values"]
            assert file["url"].endswith("/" + file["name"])
            source = file["url"].split("/resolve/")[0]
            assert f"**models/{file['directory']}**: [{file['name']}]({source})" in notes
    loading = {node["id"] for node in PAGES[name]["nodes"] if "Load" in node["type"] and "LadiVTON" not in node["type"]}
    assert loading == {node["id"] for node in loaders}
    assert (f"tried with {NEWER.get(name, '')[:-2]}" in notes) == (name in NEWER)


@pytest.mark.parametrize("name", TITLES)
def test_titles_and_files_that_notes_name_are_there(name):
    texts = [node["widgets_values"][0] for node in PAGES[name]["nodes"] if node["type"] == "MarkdownNote"]
    kinds = "|".join({title.partition(",")[0] for title in TITLES.values()})
    assert set(re.findall(rf"\*((?:{kinds}), [^*]+)\*", "\n".join(texts))) <= set(TITLES.values())
    assert all(model["name"] in "\n".join(texts) for model in PAGES[name].get("models", []))


@pytest.mark.parametrize("name", TITLES)
def test_where_published_weights_load_their_licence_is_said(name):
    texts = [node["widgets_values"][0] for node in PAGES[name]["nodes"] if node["type"] == "MarkdownNote"]
    assert texts
    if "models" in PAGES[name]:
        assert any("CC BY-NC 4.0" in text and "non-commercial" in text for text in texts)
    for text in texts:
        assert "`" not in text and "|" not in text, (
            "Nodes 2.0 of 0.3.75 shows code as blue on blue, and cuts tables off"
        )


def test_every_card_says_what_its_template_needs():
    assert CARDS.keys() == TITLES.keys()
    assert all("eeds" in words for words, _ in CARDS.values())
    for name in TITLES:
        needs_files = "models" in PAGES[name] or name in STOCK_MODELS
        assert needs_files == bool(re.search(r"('s|their|its) files?", CARDS[name][0])), name
        assert (name in NEWER) == ("ComfyUI 0." in CARDS[name][0]), name


def test_the_start_workflow_gives_another_picture_each_run_and_the_papers_the_same():
    def after(name: str) -> set[str]:
        values = [value for node in PAGES[name]["nodes"] for value in node.get("widgets_values", [])]
        return {"fixed", "randomize"} & {value for value in values if isinstance(value, str)}

    assert after("tryon_embedded") == {"randomize"}
    assert all(after(name) == {"fixed"} for name in TITLES if name.startswith("paper"))


@pytest.mark.parametrize("name", TITLES)
def test_no_graph_is_wider_than_a_page_shows(name):
    assert max(group["bounding"][0] + group["bounding"][2] for group in PAGES[name]["groups"]) <= 2200


@pytest.mark.parametrize("name", [name for name in TITLES if not name.startswith("paper")])
def test_it_opens_with_a_result_in_view_on_a_small_screen(name):
    view = PAGES[name]["extra"]["ds"]
    assert view["scale"] >= 0.6
    right, bottom = (size / view["scale"] - start for size, start in zip((1400, 900), view["offset"], strict=True))
    results = [node for node in PAGES[name]["nodes"] if node.get("title") == "Result"]
    ends = [[start + size for start, size in zip(node["pos"], node["size"], strict=True)] for node in results]
    assert any(x <= right and y <= bottom for x, y in ends)


@pytest.mark.parametrize("name", TITLES)
def test_what_a_node_says_has_room_below_it(name):
    """The page makes the node higher by its words (`web/js/notes.js`), over whatever lies there.

    What is said of missing files, of people who are real, of files that are another person's, of a garment that is
    squeezed or lies on a busy ground, and of one that cannot be dressed part by part; with what Nodes 2.0 takes more
    for the node itself.
    """
    nodes, into = (
        {node["id"]: node for node in PAGES[name]["nodes"]},
        {link[0]: link[1] for link in PAGES[name]["links"]},
    )

    def before(node) -> set[str]:
        sources = [nodes[into[socket["link"]]] for socket in node["inputs"] if socket["link"]]
        return {source["type"] for source in sources}.union(*map(before, sources))

    published = "models" in PAGES[name]
    words = {"LadiVTON_FindPerson": 154, "LadiVTON_LoadModels": 170 if published else 78}
    words |= {} if published else {"LadiVTON_TryOnConditioning": 156}
    if name in ("tryon_photo_vitonhd", "tryon_photo_dresscode"):
        words |= dict.fromkeys(["LadiVTON_FindPerson", "LadiVTON_LoadModels"], 320)  # each says both
    for node in nodes.values():
        (x, y), width = node["pos"], node["size"][0]
        widgets = sum("widget" in socket for socket in node["inputs"])
        rows = max(len(node["inputs"]) - widgets, len(node["outputs"]))
        said = words.get(node["type"], 0)
        if node["type"] == "LadiVTON_AgnosticPerson" and "LadiVTON_LoadKeypoints" in before(node):
            said = 172 if name == "wardrobe" else 232
        elif node["type"] == "LadiVTON_PoseMap" and "LadiVTON_LoadKeypoints" in before(node):
            said = 200
        elif node["type"] == "LadiVTON_GarmentWarper" and node["widgets_values"] == [True]:
            said = 180
        elif node["type"] == "LadiVTON_PrepareGarment" and name != "tryon_dresscode":
            said = 172
        end = y + 20 * rows + 24 * widgets + 10 + said
        below = [
            other["pos"][1] - 30 for other in nodes.values()
            if other["pos"][1] > y and other["pos"][0] < x + width and x < other["pos"][0] + other["size"][0]
        ]  # fmt: skip
        assert end <= min(below, default=end), (node["type"], node.get("title"))


def test_app_mode_names_widgets_nothing_is_wired_to_and_pictures_that_are_saved():
    apps = {name: page["extra"]["linearData"] for name, page in PAGES.items() if "linearData" in page["extra"]}
    assert len(apps) == 3
    for name, app in apps.items():
        nodes = {node["id"]: node for node in PAGES[name]["nodes"]}
        free = {
            (key, socket["widget"]["name"])
            for key, node in nodes.items()
            for socket in node["inputs"]
            if "widget" in socket and socket["link"] is None
        }
        assert set(map(tuple, app["inputs"])) <= free, name
        called = [
            socket.get("label", widget)
            for key, widget in app["inputs"] for socket in nodes[key]["inputs"] if socket["name"] == widget
        ]  # fmt: skip
        assert len(set(called)) == len(called) and not {"image", "category"}.intersection(called), name
        assert [nodes[key]["type"] for key in app["outputs"]] == ["SaveImage"], name
