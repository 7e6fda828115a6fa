"""Write the workflows for people's own photos, `workflows/tryon_photo*.json` and their twins in `workflows/api/`.

    python scripts/make_photo_workflows.py

Both formats come from one description, so that they cannot differ. Thumbnails: `scripts/make_pictures.py`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import uuid
from dataclasses import dataclass, field
from typing import Any

from hosting import installation
from hosting.places import REPOSITORY, WORKFLOWS

COLUMN, GAP, TOP = 340, 40, 60
HEIGHTS = {"SaveImage": 560, "PreviewImage": 380, "LadiVTON_LoadPicture": 340}
COLOURS = ("#3f789e", "#8A8", "#a1309b", "#b06634", "#88A", "#3f789e", "#8A8", "#a1309b", "#b06634", "#88A")
STOCK = {
    "CLIPTextEncode": ([("clip", "CLIP"), ("text", "STRING")], [("CONDITIONING", "CONDITIONING")]),
    "SaveImage": ([("images", "IMAGE"), ("filename_prefix", "STRING")], []),
    "PreviewImage": ([("images", "IMAGE")], []),
}
"""ComfyUI's own nodes used here: inputs and outputs as (name, type)."""
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}

Wire = list


@dataclass
class Graph:
    """A workflow being written: nodes in columns, in the order they run."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    columns: list[tuple[str, list[str]]] = field(default_factory=list)
    notes: list[tuple[int, str, str, int]] = field(default_factory=list)

    def column(self, title: str) -> None:
        self.columns.append((title, []))

    def add(self, kind: str, title: str | None = None, **inputs: Any) -> str:
        key = str(len(self.nodes) + 1)
        self.nodes[key] = {"inputs": inputs, "class_type": kind, "_meta": {"title": title or kind}}
        self.columns[-1][1].append(key)
        return key

    def note(self, title: str, text: str, height: int) -> None:
        """A note at the foot of the current column."""
        self.notes.append((len(self.columns) - 1, title, text, height))


def one_pass(
    graph: Graph, category: str, photo: Wire, garment: Wire, keypoints: Wire, models: str, silhouette: Wire | None,
    name: str,
) -> Wire:  # fmt: skip
    """Columns of one try-on, from a photo to the photo with the result in it."""
    graph.column(f"{name}: person")
    fitted = {"photo": photo, "keypoints": keypoints} | ({} if silhouette is None else {"mask": silhouette})
    fit = graph.add(
        "LadiVTON_FitPerson", "Frame the person", **fitted, width=384, height=512, fit="pad", border="blur",
        person_index=-1, mode="body", framing=category, nobody="stop",
    )  # fmt: skip
    outline = {} if silhouette is None else {"silhouette": [fit, 3]}
    agnostic = graph.add(
        "LadiVTON_AgnosticPerson", "Hide the old garment", person=[fit, 0], keypoints=[fit, 1], **outline,
        category=category, missing_joints="skip", neck="published", grow=10, arm_width=0, repaint_skirt=True,
        person_index=0, mode="body", nobody="stop",
    )  # fmt: skip
    graph.add("PreviewImage", "What is repainted", images=[agnostic, 0])
    pose = graph.add(
        "LadiVTON_PoseMap", "Pose Map", keypoints=[fit, 1], person=[fit, 0], width=384, height=512, sigma=9.0,
        person_index=0, mode="body", nobody="stop",
    )  # fmt: skip
    graph.column(f"{name}: garment")
    prepared = graph.add(
        "LadiVTON_PrepareGarment", "Garment on white", garment=garment, invert_mask=False, width=384, height=512,
        fit="pad", backdrop="white", centre=False,
    )  # fmt: skip
    warp = graph.add(
        "LadiVTON_GarmentWarper", "Warp the garment", warper=[models, 4], garment=[prepared, 0],
        agnostic=[agnostic, 0], pose_map=[pose, 0],
    )  # fmt: skip
    graph.add("PreviewImage", "Warped garment", images=[warp, 0])
    words = graph.add(
        "LadiVTON_TextualInversionEncoder", "Garment in words", clip=[models, 1], clip_vision=[models, 3],
        adapter=[models, 5], garment=[prepared, 0], category=category, prompt="",
    )  # fmt: skip
    empty = graph.add("CLIPTextEncode", "Negative prompt (empty)", clip=[models, 1], text="")
    graph.column(f"{name}: picture")
    conditioning = graph.add(
        "LadiVTON_TryOnConditioning", "Try-On Conditioning", positive=[words, 0], negative=[empty, 0], vae=[models, 2],
        person=[fit, 0], mask=[agnostic, 1], pose_map=[pose, 0], warped_garment=[warp, 0], sample_posterior=True,
        posterior_seed=1234, no_pose=False,
    )  # fmt: skip
    samples = graph.add(
        "LadiVTON_TryOnSampler", "Try-On Sampler", model=[models, 0], positive=[conditioning, 0],
        negative=[conditioning, 1], latent=[conditioning, 2], seed=1234, steps=5, guidance=1.0, cloth_cond_rate=1.0,
    )  # fmt: skip
    picture = graph.add(
        "LadiVTON_EMASCDecoder", "EMASC Decoder", vae=[models, 2], emasc=[models, 6], samples=[samples, 0],
        skip_features=[conditioning, 3], paste_back=False, paste_feather=0, skip_grow=2, skip_feather=2,
    )  # fmt: skip
    stitched = graph.add(
        "LadiVTON_StitchPerson", "Back into the photo", result=[picture, 0], photo=photo, fit=[fit, 4],
        mask=[agnostic, 1], feather=3, blend="feather", match_colour=True,
    )  # fmt: skip
    return [stitched, 0]


PHOTOGRAPH = (
    "The embedded models know drawn people only. For a photograph, put *Load Try-On Model*, *Load Garment Warper*, "
    "*Load Inversion Adapter*, *Load EMASC* and ComfyUI's loaders for Stable Diffusion 2's VAE and text encoder "
    "and for CLIP ViT-H/14 in the place of *Load Embedded Try-On Models*, with 50 steps and guidance 7.5 "
    "(`docs/models.md` lists the files)."
)
FINDER = (
    "**Find Person** needs the package `ai-edge-litert` in ComfyUI's Python and three files (10 MB): "
    "`python -m ladivton_core.checkpoints download pose`. It runs on this machine; nothing leaves it."
)


def tryon_photo() -> Graph:
    graph = Graph()
    graph.column("Photo and garment")
    photo = graph.add("LadiVTON_LoadPicture", "Person", image="[example] person.png")
    garment = graph.add("LadiVTON_LoadPicture", "Garment", image="[example] garment.png")
    models = graph.add("LadiVTON_LoadEmbedded", "Load Embedded Try-On Models", precision="float32")
    graph.note(
        "Start here",
        "## A photo and a garment in, the finished photo out\nPress **Run**. For your own, choose pictures in *Person* "
        "(head in the picture, seen from the front) and *Garment* (alone, on a plain ground). For trousers, skirts and "
        "dresses change `category` and `framing` everywhere to `lower_body` or `dresses`.\n\n"
        f"{FINDER}\n\n{PHOTOGRAPH}",
        420,
    )
    graph.column("Who is in it")
    found = graph.add(
        "LadiVTON_FindPerson", "Find Person", photo=[photo, 0], person_index=-1, smallest_score=0.35, nobody="stop"
    )
    graph.add(
        "LadiVTON_CheckInputs", "Will it do?", photo=[photo, 0], keypoints=[found, 0], garment=[garment, 0],
        category="upper_body", person_index=-1, stop_below=0.0,
    )  # fmt: skip
    graph.note(
        "Several people",
        "-1 takes the largest person. Another number must be the same in *Find Person*, *Will it do?* and *Frame the "
        "person*. The rest of the photo stays what it is, pixel for pixel.",
        140,
    )
    result = one_pass(graph, "upper_body", [photo, 0], [garment, 0], [found, 0], models, [found, 1], "Try-on")
    graph.add("SaveImage", "Result", images=result, filename_prefix="ladi_vton/photo")
    return graph


def tryon_photo_outfit() -> Graph:
    graph = Graph()
    graph.column("Photo and garments")
    photo = graph.add("LadiVTON_LoadPicture", "Person", image="[example] dresses_person.png")
    top = graph.add("LadiVTON_LoadPicture", "Top", image="[example] garment.png")
    bottom = graph.add("LadiVTON_LoadPicture", "Trousers or skirt", image="[example] lower_body_garment.png")
    models = graph.add("LadiVTON_LoadEmbedded", "Load Embedded Try-On Models", precision="float32")
    found = graph.add(
        "LadiVTON_FindPerson", "Find Person", photo=[photo, 0], person_index=-1, smallest_score=0.35, nobody="stop"
    )
    graph.note(
        "Start here",
        "## A whole outfit\nFirst the trousers or skirt, then the top over it, each into the photo that the pass "
        "before left. For a dress set `framing` and `category` of one pass to `dresses` and bypass the other (Ctrl+B); "
        f"wire its *Back into the photo* to *Result*.\n\n{FINDER}\n\n{PHOTOGRAPH}",
        420,
    )
    lower = one_pass(graph, "lower_body", [photo, 0], [bottom, 0], [found, 0], models, [found, 1], "Trousers")
    upper = one_pass(graph, "upper_body", lower, [top, 0], [found, 0], models, [found, 1], "Top")
    graph.add("SaveImage", "Result", images=upper, filename_prefix="ladi_vton/outfit")
    return graph


def tryon_photo_pose_nodes() -> Graph:
    graph = Graph()
    graph.column("Photo, joints, garment")
    photo = graph.add("LadiVTON_LoadPicture", "Person", image="[example] person.png")
    garment = graph.add("LadiVTON_LoadPicture", "Garment", image="[example] garment.png")
    joints = graph.add(
        "LadiVTON_LoadKeypoints", "Joints: put a pose node here", file="[example] keypoints.json",
        coordinates="picture",
    )  # fmt: skip
    models = graph.add("LadiVTON_LoadEmbedded", "Load Embedded Try-On Models", precision="float32")
    graph.note(
        "Start here",
        "## Joints from another pack\nConnect the POSE_KEYPOINT of any pose detector (DWPose or OpenPose of "
        "comfyui_controlnet_aux, ComfyUI's SDPose) to *Frame the person* in place of the joints' file. "
        "A cut-out of the person, white where they are, improves the mask: connect it to `mask` of "
        f"*Frame the person*, and that node's mask to `silhouette` of *Hide the old garment*.\n\n{PHOTOGRAPH}",
        420,
    )
    result = one_pass(graph, "upper_body", [photo, 0], [garment, 0], [joints, 0], models, None, "Try-on")
    graph.add("SaveImage", "Result", images=result, filename_prefix="ladi_vton/photo")
    return graph


def schemas(host: installation.Host) -> dict[str, tuple[list[tuple[str, str, bool]], list[tuple[str, str]]]]:
    """Inputs (name, type, optional) and outputs (name, type) of every node used."""
    sys.path.insert(0, str(host.comfyui))
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    spec = importlib.util.spec_from_file_location("pack_described", REPOSITORY / "__init__.py")
    pack = importlib.util.module_from_spec(spec)
    sys.modules["pack_described"] = pack
    spec.loader.exec_module(pack)
    known = {kind: ([(n, t, False) for n, t in ins], outs) for kind, (ins, outs) in STOCK.items()}
    for node in asyncio.run(asyncio.run(pack.comfy_entrypoint()).get_node_list()):
        schema = node.define_schema()
        inputs = [(part.id, part.get_io_type(), bool(part.optional)) for part in schema.inputs]
        known[schema.node_id] = (inputs, [(part.display_name, part.get_io_type()) for part in schema.outputs])
    return known


def page_format(graph: Graph, known: dict) -> dict[str, Any]:
    """The description as the page saves it."""
    links, nodes, groups, places = [], {}, [], {}
    for number, (title, keys) in enumerate(graph.columns):
        left, top = number * (COLUMN + GAP) + 20, TOP
        for key in keys:
            kind = graph.nodes[key]["class_type"]
            sockets = len(known[kind][0]) + len(known[kind][1])
            height = HEIGHTS.get(kind, 60 + 24 * sockets)
            places[key] = (left, top, height)
            top += height + 50
        for column, note, _, height in graph.notes:
            if column == number:
                places[note] = (left, top, height)
                top += height + 50
        bounding = [left - 20, 0, COLUMN + GAP - 10, top]
        groups.append({"id": number + 1, "title": title, "bounding": bounding, "color": COLOURS[number % len(COLOURS)],
                       "font_size": 24, "flags": {}})  # fmt: skip
    for order, (key, node) in enumerate(graph.nodes.items()):
        inputs, outputs = known[node["class_type"]]
        given, sockets, values = node["inputs"], [], []
        for name, kind, optional in sorted(inputs, key=lambda part: part[2]):
            socket: dict[str, Any] = {"name": name, "type": kind, "link": None}
            if isinstance(given.get(name), list):
                source, output = given[name]
                links.append([len(links) + 1, int(source), output, int(key), len(sockets), kind])
                socket["link"] = len(links)
            elif kind in WIDGETS:
                socket["widget"] = {"name": name}
                values.append(given[name])
                values += ["fixed"] if node["class_type"] == "LadiVTON_TryOnSampler" and name == "seed" else []
                values += ["image"] if node["class_type"] == "LadiVTON_LoadPicture" else []
            if optional:
                socket["shape"] = 7
            sockets.append(socket)
        left, top, height = places[key]
        nodes[key] = {
            "id": int(key), "type": node["class_type"], "pos": [left, top], "size": [COLUMN - 20, height], "flags": {},
            "order": order, "mode": 0, "inputs": sockets,
            "outputs": [{"name": name, "type": kind, "links": []} for name, kind in outputs],
            "properties": {"Node name for S&R": node["class_type"]}, "widgets_values": values,
            "title": node["_meta"]["title"],
        }  # fmt: skip
    for number, source, output, *_ in links:
        nodes[str(source)]["outputs"][output]["links"].append(number)
    last = len(nodes)
    for number, (_, title, text, height) in enumerate(graph.notes, last + 1):
        left, top, _ = places[title]
        nodes[title] = {
            "id": number, "type": "MarkdownNote", "pos": [left, top], "size": [COLUMN - 20, height], "flags": {},
            "order": number, "mode": 0, "inputs": [], "outputs": [], "properties": {}, "widgets_values": [text],
            "title": title, "color": "#432", "bgcolor": "#653",
        }  # fmt: skip
    name = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(graph.nodes))
    return {
        "id": str(name), "revision": 0, "last_node_id": len(nodes), "last_link_id": len(links),
        "nodes": list(nodes.values()), "links": links, "groups": groups, "config": {},
        "extra": {"ds": {"scale": 0.6, "offset": [60, 120]}}, "version": 0.4,
    }  # fmt: skip


def main() -> None:
    host = installation.find_or_install()
    installation.run_inside(host)
    known = schemas(host)
    for describe in (tryon_photo, tryon_photo_outfit, tryon_photo_pose_nodes):
        graph, name = describe(), f"{describe.__name__}.json"
        (WORKFLOWS / "api" / name).write_text(json.dumps(graph.nodes, indent=2) + "\n", encoding="utf-8")
        (WORKFLOWS / name).write_text(json.dumps(page_format(graph, known), indent=1) + "\n", encoding="utf-8")
        print(f"workflows/{name}: {len(graph.nodes)} nodes")


if __name__ == "__main__":
    main()
