"""What a workflow leaves open: found in the shipped ones as they are, named by titles in others, and never guessed."""

from __future__ import annotations

import copy
import json

import pytest
from hosting.shipped import TITLES, page_file, queue_file

from ladivton_core.batch.comfyui.engine import ComfyEngine, list_files, note_workflows
from ladivton_core.batch.comfyui.workflow import FILES, Workflow, WorkflowError, read_nodes, uses_embedded
from ladivton_core.batch.engines.base import Batch, Work
from ladivton_core.batch.items import Garment, Item, Manifest, Options, Person, Settings
from ladivton_core.presets import SD2, TINY

PAIR = ("person", "garment")
TAKES = {
    "tryon_embedded": (*PAIR, "keypoints", "parse_map"),
    "tryon_vitonhd": (*PAIR, "keypoints", "parse_map"),
    "tryon_dresscode": (*PAIR, "keypoints", "parse_map"),
    "tryon_ksampler": (*PAIR, "keypoints", "parse_map"),
    "second_pass": (*PAIR, "keypoints", "parse_map"),
    "tryon_painted_mask": (*PAIR, "keypoints"),
    "tryon_photo_pose_nodes": (*PAIR, "keypoints"),
    "tryon_photo": PAIR,
    "tryon_photo_vitonhd": PAIR,
    "tryon_photo_dresscode": PAIR,
    "tryon_photo_comfyui": PAIR,
} | {name: PAIR for name in TITLES if name.startswith("any_")}
"""Shipped workflows that dress one person in one garment, and the files they are filled in with."""
OTHERS = {
    "tryon_photo_outfit": "several places for 'garment' that differ",
    "wardrobe": "takes people from a data set",
    "paper_vitonhd": "takes people from a data set",
    "paper_dresscode": "takes people from a data set",
    "paper_ablation": "takes people from a data set",
}


def shipped(name: str) -> Workflow:
    return Workflow(read_nodes(queue_file(name)), f"{name}.json")


def test_every_shipped_workflow_is_one_or_the_other():
    assert TAKES.keys() | OTHERS.keys() == TITLES.keys()


@pytest.mark.parametrize("name", [name for name in TITLES if name.startswith("tryon_photo")])
def test_a_photo_is_dressed_as_its_models_ask(name):
    """What is repainted, which warped garment, whether centred and with an open collar: `Preset.photographs`."""
    nodes = read_nodes(queue_file(name))

    def each(kind: str) -> list[dict]:
        return [node["inputs"] for node in nodes.values() if node["class_type"] == f"LadiVTON_{kind}"]

    (models,) = each("LoadModels")
    by_body = {"embedded": TINY, "VITON-HD": SD2, "Dress Code": SD2}[models["models"]].photographs == "body"
    passes = [*zip(each("TryOnConditioning"), each("StitchPerson"), strict=True)]
    assert len(passes) == (2 if name == "tryon_photo_outfit" else 1)
    for conditioning, stitch in passes:
        assert stitch["mask"] == [conditioning["mask"][0], conditioning["mask"][1] + by_body]  # what of it goes back
        assert conditioning.get("lay_garment", False) == by_body
        mask, warper = nodes[conditioning["mask"][0]], nodes[conditioning["warped_garment"][0]]["inputs"]
        assert mask["class_type"] == ("LadiVTON_BodyMask" if by_body else "LadiVTON_AgnosticPerson")
        assert conditioning["warped_garment"][1] == by_body == warper["photograph"]  # refined, or coarse
        garment = nodes[warper["garment"][0]]["inputs"]
        assert garment["centre"] == garment["open_collar"] == by_body
        agnostic = nodes[warper["agnostic"][0]]["inputs"]
        if by_body:
            body = mask["inputs"]
            assert body["warped_garment"] == conditioning["warped_garment"]
            shared = ("person", "keypoints", "silhouette", "category", "person_index")
            assert [body.get(one) for one in shared] == [agnostic.get(one) for one in shared]


def test_what_is_made_with_the_embedded_models_is_known():
    known = {name for name in TAKES if shipped(name).drawn_only}
    others = {"tryon_vitonhd", "tryon_dresscode", "tryon_ksampler", "tryon_photo_vitonhd", "tryon_photo_dresscode"}
    assert known == {name for name in TAKES if not name.startswith("any_")} - others  # a warper alone paints nothing
    loader, decoder = ({"class_type": kind, "inputs": {}} for kind in ("LadiVTON_LoadEmbedded", "VAEDecode"))
    for vae, wired in ((["1", 2], True), ([1, 2], True), ([], False), ("1", False)):
        assert uses_embedded({"1": loader, "2": decoder | {"inputs": {"vae": vae}}}) == wired, vae


@pytest.mark.parametrize("name", TAKES)
@pytest.mark.parametrize("category", ["upper_body", "lower_body", "dresses"])
def test_shipped_workflows_are_filled_in_as_they_are(name, category):
    workflow = shipped(name)
    values = {slot: f"{slot}.bin" for slot in TAKES[name]} | {"category": category, "seed": 4711}
    filled = workflow.fill(values)
    text = json.dumps(filled.nodes)
    assert "[example]" not in text  # nothing of the example is left
    for slot in TAKES[name]:
        (place,) = (place for place, of in filled.places.items() if of == slot)
        assert filled.nodes[place[0]]["class_type"].startswith("LadiVTON_Load")
        assert filled.nodes[place[0]]["inputs"][place[1]] == f"{slot}.bin"
    seeds = [value for node in filled.nodes.values() for key, value in node["inputs"].items() if key.endswith("seed")]
    assert set(seeds) == ({4711} if "seed" not in workflow.without else set())
    worn = [node["inputs"].get("category") for node in filled.nodes.values()]
    assert {value for value in worn if isinstance(value, str)} == {category}
    framings = [node["inputs"].get("framing") for node in filled.nodes.values()]
    assert {value for value in framings if isinstance(value, str)} <= {"whole photo", category}  # the rest are wires
    result = filled.nodes[filled.result]
    assert result["class_type"] == "PreviewImage"  # the temporary folder, not among somebody's pictures
    assert [node["class_type"] for node in filled.nodes.values()].count("PreviewImage") == 1
    assert all(value[0] in filled.nodes for node in filled.nodes.values() for value in node["inputs"].values()
               if isinstance(value, list))  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_shipped_workflows_of_more_than_a_pair_are_refused(name):
    with pytest.raises(WorkflowError, match=OTHERS[name]) as told:
        shipped(name)
    assert f"{name}.json" in str(told.value)


def test_filling_in_leaves_the_workflow_as_it_is():
    workflow = shipped("tryon_embedded")
    before = copy.deepcopy(workflow.document)
    workflow.fill({slot: "x" for slot in TAKES["tryon_embedded"]} | {"category": "dresses", "seed": 1, "steps": 9})
    assert workflow.document == before


def test_a_missing_slot_is_named_with_those_there_are():
    workflow = shipped("tryon_photo")
    with pytest.raises(WorkflowError) as told:
        workflow.fill({"person": "p", "garment": "g", "keypoints": "k", "category": "dresses", "seed": 1})
    said = str(told.value)
    assert "tryon_photo.json has no slot 'keypoints'" in said and "slot:keypoints" in said
    assert "its slots: person, garment, category, seed" in said


def test_a_file_that_the_item_does_not_give_is_never_the_examples():
    with pytest.raises(
        WorkflowError, match=r"loads 'parse \[example\].png \[temp\]' in node 4 .* the item gives no parse_map"
    ):
        shipped("tryon_embedded").fill({"person": "p", "garment": "g", "keypoints": "k", "seed": 1})


def test_options_that_differ_between_nodes_are_refused_until_a_title_says_which(form):
    nodes = dict(copy.deepcopy(shipped("second_pass").document))
    values = {slot: "x" for slot in TAKES["second_pass"]} | {"category": "dresses", "seed": 1}
    assert form(nodes).fill(values | {"steps": 7}).nodes["23"]["inputs"]["steps"] == 7
    with pytest.raises(WorkflowError, match="several places for 'denoise' that differ: node 15 .*node 23"):
        form(nodes).fill(values | {"denoise": 0.5})
    nodes["23"]["_meta"]["title"] = "Second pass slot:denoise"
    filled = form(nodes).fill(values | {"denoise": 0.5}).nodes
    assert (filled["15"]["inputs"]["denoise"], filled["23"]["inputs"]["denoise"]) == (1.0, 0.5)


@pytest.fixture
def own() -> dict:
    """Somebody's own workflow: nothing in it is named as in the shipped ones."""
    return {
        "a": {"class_type": "LoadImage", "inputs": {"image": "x.jpg"}, "_meta": {"title": "slot:person"}},
        "b": {"class_type": "LoadImage", "inputs": {"image": "y.jpg"}, "_meta": {"title": "the shirt slot:garment"}},
        "c": {
            "class_type": "Sampler",
            "inputs": {"p": ["a", 0], "g": ["b", 0], "rnd": 3, "kind": "?", "n": 4},
            "_meta": {"title": "slot:seed.rnd slot:category.kind slot:steps.n"},
        },
        "d": {"class_type": "ShowMine", "inputs": {"pictures": ["c", 0]}, "_meta": {"title": "slot:result"}},
        "e": {"class_type": "SaveImage", "inputs": {"images": ["a", 0]}},
    }


def test_titles_name_slots_in_ones_own_workflow(form, own):
    workflow = form(own)
    assert workflow.slots() == ["person", "garment", "seed", "category", "steps"]
    filled = workflow.fill({"person": "1", "garment": "2", "seed": 5, "category": "dresses", "steps": 8})
    assert filled.result == "d" and set(filled.nodes) == {"a", "b", "c", "d"}
    assert filled.nodes["d"]["class_type"] == "ShowMine"  # a node of one's own shows as it likes
    assert filled.nodes["a"]["inputs"]["image"] == "1" and filled.nodes["b"]["inputs"]["image"] == "2"
    assert filled.nodes["c"]["inputs"] | {"p": 0, "g": 0} == {"p": 0, "g": 0, "rnd": 5, "kind": "dresses", "n": 8}


@pytest.mark.parametrize(
    ("node", "title", "said"),
    [
        (
            "c",
            "slot:seed",
            r"node c \(Sampler, 'slot:seed'\) is titled slot:seed and has several inputs \(rnd, kind, n\)",
        ),
        ("c", "slot:seed.p", "its input 'p' is fed by a wire; free inputs: rnd, kind, n"),
        ("c", "slot:seed.seed", "its input 'seed' is not there; free inputs: rnd, kind, n"),
        ("a", "somebody", "own.json has no slot 'person'; its slots: garment"),
        ("e", "slot:result", "has several results: node d .*node e .*slot:result"),
    ],
)
def test_titles_that_do_not_fit_are_said(form, own, node, title, said):
    own[node]["_meta"] = {"title": title}
    with pytest.raises(WorkflowError, match=said):
        form(own, "own.json")


def test_a_workflow_may_have_no_place_for_category_and_seed(form, own):
    own["c"]["_meta"] = {"title": "slot:steps.n"}
    workflow = form(own)
    assert workflow.without == ["category", "seed"]
    values = {"person": "1", "garment": "2", "seed": 5, "category": "dresses", "steps": 8}
    assert workflow.fill(values).nodes["c"]["inputs"]["kind"] == "?"
    with pytest.raises(WorkflowError, match="no slot 'reference'"):
        workflow.fill(values | {"reference": "r"})


def test_a_second_picture_of_a_garment_has_a_slot(form, own):
    own["f"] = {"class_type": "LoadImage", "inputs": {"image": "z.jpg"}, "_meta": {"title": "slot:reference"}}
    own["c"]["inputs"]["q"] = ["f", 0]
    workflow = form(own)
    values = {"person": "1", "garment": "2", "seed": 5, "category": "dresses", "steps": 8}
    assert workflow.fill(values | {"reference": "back.png"}).nodes["f"]["inputs"]["image"] == "back.png"
    with pytest.raises(WorkflowError, match="the item gives no reference"):
        workflow.fill(values)


def test_a_workflow_without_a_result_and_one_with_a_hole_are_said(form, own):
    del own["d"], own["e"]
    with pytest.raises(WorkflowError, match="saves no picture.*slot:result"):
        form(own)
    own["f"] = {"class_type": "SaveImage", "inputs": {"images": ["z", 0]}}
    with pytest.raises(WorkflowError, match=r"node f \(SaveImage\) is fed by node 'z', which the file does not have"):
        form(own)


def test_a_workflow_of_the_page_and_what_is_none_are_said(tmp_path):
    with pytest.raises(WorkflowError, match=r"Export \(API\)"):
        read_nodes(page_file("tryon_embedded"))
    for content in ("[]", "{", '{"1": {"inputs": {}}}', '{"1": {"class_type": 3, "inputs": {}}}'):
        (tmp_path / "w.json").write_text(content)
        with pytest.raises(ValueError, match=r"w\.json.*API"):
            read_nodes(tmp_path / "w.json")


def work(person: dict, garment: dict | None = None, settings: Settings | None = None, **item) -> Work:
    """One item to be made."""
    made = Item(**{"id": "i", "person": "p", "garment": "g", "category": "dresses", "seed": 1, "file": "i.png"} | item)
    manifest = Manifest(
        {"p": Person(**{"id": "p", "photo": "p.png"} | person)},
        {"g": Garment(**{"id": "g", "picture": "g.png", "category": "dresses"} | (garment or {}))},
        (made,),
    )
    return Work(manifest, [Batch((made,), frozenset({"i"}))], settings or Settings(), None)


@pytest.mark.parametrize(
    ("person", "name"),
    [
        ({"keypoints": "k.json", "parse_map": "l.png"}, "tryon_embedded.json"),
        ({"keypoints": "k.json"}, "tryon_photo_pose_nodes.json"),
        ({}, "tryon_photo.json"),
    ],
)
def test_an_item_finds_the_workflow_that_takes_what_it_gives(person, name):
    engine, todo = ComfyEngine("nowhere"), work(person)
    assert engine.find_unfit(todo) == {}
    order = engine.make_order(todo, todo.items[0])
    assert order.workflow.name == name
    assert set(order.files) == {"person", "garment", *({"keypoints", "parse_map"} & person.keys())}
    assert order.values["seed"] == 1 and order.values["category"] == "dresses"


def test_everything_that_the_manifest_and_the_settings_say_is_filled_in():
    todo = work(
        {"keypoints": "k.json", "parse_map": "l.png", "label_set": "ATR18", "coordinates": "vitonhd"},
        {"prompt": "$"},
        Settings(options=Options(steps=9, guidance_scale=2.0), paste_back=True, size=(640, 480)),
        options=Options(steps=3),
    )
    order = ComfyEngine("nowhere").make_order(todo, todo.items[0])
    nodes = order.workflow.fill(order.values | dict.fromkeys(order.files, "f")).nodes.values()
    said = {(name, value) for node in nodes for name, value in node["inputs"].items() if not isinstance(value, list)}
    wanted = {"coordinates": "768 x 1024 (VITON-HD)", "label_set": "ATR18", "prompt": "$", "steps": 3, "guidance": 2.0,
              "paste_back": True, "height": 640, "width": 480}  # fmt: skip
    assert wanted.items() <= said
    assert not {(name, value) for name, value in said if name in wanted and value != wanted[name]}


def test_what_no_workflow_takes_is_the_items_error_with_every_reason():
    todo = work({}, {"mask": "m.png"})
    (reason,) = ComfyEngine("nowhere").find_unfit(todo).values()
    assert reason.count("has no slot 'garment_mask'") == 3


def test_the_note_tells_workflows_apart(form, tmp_path):
    (tmp_path / "own.json").write_text(json.dumps(shipped("tryon_embedded").document))
    own = note_workflows(ComfyEngine("nowhere", tmp_path / "own.json").workflows)
    shipped_ones = note_workflows(ComfyEngine("nowhere").workflows)
    assert len(shipped_ones) == 3 and own["workflow 1"] != shipped_ones["workflow 1"]
    assert own == note_workflows(ComfyEngine("nowhere", [tmp_path / "own.json"]).workflows)


def test_every_file_of_the_manifest_has_a_slot():
    person = {"keypoints": "k", "parse_map": "l", "mask": "m"}
    todo = work(person, {"mask": "n", "reference": "r"})
    everything = {file for one in (todo.manifest.persons["p"], todo.manifest.garments["g"]) for file in one.files}
    files = list_files(todo, todo.items[0])
    assert set(files.values()) == everything and files.keys() == FILES.keys()
