"""What a person sees of the nodes before running one: names, help, texts, workflows; what importing them pulls in."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hosting.places import WORKFLOWS
from hosting.shipped import TITLES, page_file, queue_file

from ladivton_core.presets import PRESETS

IMPORT = """
import sys, asyncio, importlib.util
sys.path.insert(0, {comfyui!r})
import comfy.cli_args
comfy.cli_args.args.cpu = True
import utils.extra_config, nodes  # who loads the packs, with all that it imports itself
before = {{name.split(".")[0] for name in sys.modules}}
spec = importlib.util.spec_from_file_location("pack_alone", {init!r})
pack = importlib.util.module_from_spec(spec)
sys.modules["pack_alone"] = pack
spec.loader.exec_module(pack)
nodes = asyncio.run(asyncio.run(pack.comfy_entrypoint()).get_node_list())
print(*{{name.split(".")[0] for name in sys.modules}} - before)
"""


@pytest.fixture(scope="session")
def schemas(nodes):
    return {name: node.define_schema() for name, node in nodes.items()}


def test_ids_have_the_prefix_and_are_their_class_names(nodes):
    assert all(name.startswith("LadiVTON_") and node.__name__ == name for name, node in nodes.items())


def test_every_input_and_output_has_a_tooltip(schemas):
    parts = [(s.node_id, p) for s in schemas.values() for p in (*(s.inputs or []), *(s.outputs or []))]
    assert not [f"{node}.{part.id}" for node, part in parts if not part.tooltip]


def test_every_node_says_what_it_does(schemas):
    for schema in schemas.values():
        assert schema.description.endswith((".", ")"))
        assert schema.display_name
        assert schema.category.startswith("LaDI-VTON/")


def test_every_node_has_a_help_page_that_names_its_sockets(schemas, repository):
    for schema in schemas.values():
        page = (repository / "web" / "docs" / f"{schema.node_id}.md").read_text(encoding="utf-8")
        missing = [part.id for part in schema.inputs if f"`{part.id}`" not in page]
        missing += [part.display_name for part in schema.outputs if f"`{part.display_name}`" not in page]
        assert not missing, schema.node_id


def test_the_english_texts_are_the_schema(schemas, repository):
    texts = json.loads((repository / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8"))
    assert texts.keys() == schemas.keys()
    for name, schema in schemas.items():
        assert texts[name]["display_name"] == schema.display_name
        assert texts[name]["description"] == schema.description
        assert {key: text["tooltip"] for key, text in texts[name]["inputs"].items()} == {
            part.id: part.tooltip for part in schema.inputs
        }


def test_defaults_are_the_papers(schemas, module):
    """Those no model can be asked for; the others ask it, and Stable Diffusion 2's answer is the paper's
    (`test_recommended.py`).
    """
    defaults = {
        f"{name.removeprefix('LadiVTON_')}.{part.id}": part.default
        for name, schema in schemas.items()
        for part in schema.inputs
        if hasattr(part, "default")
    }
    asks = module("nodes.recommended")
    expected = {
        "TryOnSampler.steps": asks.STEPS, "TryOnSampler.guidance": asks.GUIDANCE, "TryOnSampler.cloth_cond_rate": 1.0,
        "TryOnConditioning.sample_posterior": True, "TryOnConditioning.no_pose": False, "PoseMap.sigma": 9.0,
        "PoseMap.width": 384, "PoseMap.height": 512, "AgnosticPerson.grow": 10, "AgnosticPerson.neck": "published",
        "PrepareGarment.fit": "stretch", "EMASCDecoder.paste_back": False,
        "EMASCDecoder.skip_grow": asks.SKIP_GROW, "EMASCDecoder.skip_feather": asks.SKIP_FEATHER,
    }  # fmt: skip
    assert {key: defaults[key] for key in expected} == expected


def test_what_ksampler_should_take_is_what_the_models_recommend(schemas, repository):
    page = (repository / "web" / "docs" / "LadiVTON_TryOnSampler.md").read_text(encoding="utf-8")
    for preset in PRESETS.values():
        assert f"{preset.steps} steps and cfg {preset.guidance_scale:g}" in schemas["LadiVTON_TryOnSampler"].description
        assert f"{preset.steps} steps, cfg {preset.guidance_scale:g}" in page


def test_unknown_choices_are_named(nodes):
    answer = nodes["LadiVTON_AgnosticPerson"].validate_inputs(category="hat")
    assert "hat" in answer and "upper_body" in answer
    assert nodes["LadiVTON_AgnosticPerson"].validate_inputs(category="dresses", neck="cut") is True


@pytest.mark.long
def test_importing_the_pack_pulls_in_no_library_that_comfyui_has_not(comfyui, repository):
    """What it costs in seconds is `benchmarks/graph_engine.py`'s."""
    code = IMPORT.format(comfyui=str(comfyui), init=str(repository / "__init__.py"))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) - sys.stdlib_module_names == {"pack_alone"}


def test_every_workflow_has_a_title_that_every_system_takes_as_a_file_name():
    assert {file.stem for file in WORKFLOWS.glob("*.json")} == set(TITLES.values())
    assert {file.stem for file in (WORKFLOWS / "api").glob("*.json")} == TITLES.keys()
    assert not {letter for title in TITLES.values() for letter in title} & set('<>:"/\\|?*%#')


@pytest.mark.parametrize("name", TITLES)
def test_workflow_files_are_one_graph_of_known_nodes(schemas, name):
    assert page_file(name).with_suffix(".jpg").is_file(), "the Templates dialog shows it"
    ui = json.loads(page_file(name).read_text(encoding="utf-8"))
    api = json.loads(queue_file(name).read_text(encoding="utf-8"))
    shown = {str(node["id"]): node for node in ui["nodes"] if node["type"] != "MarkdownNote"}
    assert {key: node["type"] for key, node in shown.items()} == {key: node["class_type"] for key, node in api.items()}

    by_id = {link[0]: link for link in ui["links"]}
    for key, node in shown.items():
        wires = {
            socket["name"]: [str(by_id[socket["link"]][1]), by_id[socket["link"]][2]]
            for socket in node["inputs"]
            if socket["link"] is not None
        }
        assert wires == {name: value for name, value in api[key]["inputs"].items() if isinstance(value, list)}
        if node["type"] in schemas:
            known = {part.id for part in schemas[node["type"]].inputs}
            assert api[key]["inputs"].keys() <= known
            assert {part.id for part in schemas[node["type"]].inputs if not part.optional} <= api[key]["inputs"].keys()
