"""Make the pictures the pack is shown with, through a real ComfyUI: the thumbnails of `workflows/`,
`docs/images/demo.jpg`, `photo.jpg` and `unseen.jpg`, and the stages in `web/docs/images/`.

python scripts/make_pictures.py [--only NAME ...]

Every workflow runs on the embedded models with their settings: the published models' guidance of 7.5 would spoil them.
Run it after new weights, examples or workflows, and look at what it made. `docs/images/workflow.jpg` is a screenshot of
the browser test, `ablations.jpg` comes from `python -m drawn_world.figures ablations`.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from hosting import installation, pose
from hosting.graph import the
from hosting.places import REPOSITORY, SAMPLES
from hosting.server import ComfyServer, exit_on_terminate
from hosting.shipped import CARDS, TITLES, page_file, queue_file

HEIGHT, GAP, WIDEST, BAND, NARROWEST = 384, 6, 876, 44, 420
SHOWN = ("Result", "The same latents, stock VAE Decode", "Save Result", "Ablation")
"""Titles of the nodes whose pictures a thumbnail shows, side by side in their order."""
PREPARED = {
    "any_inpainting": ("any_inpainting", "Frame the person", "Body and garment", "Lay the garment on"),
    "any_flux_fill": ("any_flux_fill", "Frame the person", "The body's mask", "Garment in a square"),
    "any_qwen_edit": ("any_qwen_edit", "Frame the person", "Garment"),
    "any_klein": ("any_klein", "Frame the person", "Garment on white"),
    "any_another_pack": ("any_another_pack", "Frame the person", "The body's mask", "Garment on white"),
    "tryon_photo_comfyui": ("tryon_photo", "Frame the person", "Hide the old garment", "Warp the garment"),
}
"""Workflows whose models cannot be had here -> what goes into them: a workflow that makes it, titles of its nodes."""
CATEGORIES = {"": "upper_body", "lower_body_": "lower_body", "dresses_": "dresses"}
UNSEEN_SEED = 6007
"""World of the people in `unseen.jpg` and `photo.jpg`; none of the training's."""
IN_A_ROOM = 3
"""Who of them stands in the room of `photo.jpg`: somebody in a dress, from head to shoes."""
FOLDER = REPOSITORY / "web" / "docs" / "images"
"""Of the pictures of each stage, for README and help pages: where the help panel can load them."""
STAGE_HEIGHT = 320
WORDS = "stage_words"
PREFIX = "LadiVTON_"
STAGES = {
    "pose": [("PoseMap", 1)],
    "agnostic": [("AgnosticPerson", 0)],
    "garment": [("PrepareGarment", 0)],
    "warp": [("GarmentWarper", 2), ("GarmentWarper", 1), ("GarmentWarper", 0)],
    "words": [("PrepareGarment", 0)],
    "result": [("LoadPicture", 0), ("EMASCDecoder", 0)],
}
"""File -> (node, output) of the pictures side by side in it; beside the garment of `words` stand its words."""


def row(pictures: list, widest: int | None = None, height: int = HEIGHT):
    """Pictures side by side on white, `height` high, or less where they would be wider than `widest`."""
    from PIL import Image

    scaled = [p.convert("RGB").resize((round(p.width * height / p.height), height), Image.LANCZOS) for p in pictures]
    sheet = Image.new("RGB", (sum(p.width + GAP for p in scaled) - GAP, height), "white")
    left = 0
    for picture in scaled:
        sheet.paste(picture, (left, 0))
        left += picture.width + GAP
    if widest and sheet.width > widest:
        sheet = sheet.resize((widest, round(height * widest / sheet.width)), Image.LANCZOS)
    return sheet


def with_band(picture, words: str, colour: str):
    """The picture over a line that says what a template is for and needs; cards show nothing but their titles."""
    from PIL import Image, ImageDraw, ImageFont

    width = max(picture.width, NARROWEST)
    band = BAND * width // NARROWEST  # a wide card is shown as wide as a narrow one
    size = band // 2
    while ImageDraw.Draw(picture).textlength(words, font := ImageFont.load_default(size)) > width - 12:
        size -= 1
    card = Image.new("RGB", (width, picture.height + band), "white")
    card.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, picture.height, *card.size), fill=colour)
    draw.text((width / 2, picture.height + band / 2), words, font=font, fill="white", anchor="mm")
    return card


def embedded_settings() -> dict[str, object]:
    """Settings of the embedded models, by the names of the inputs of samplers and decoder."""
    from ladivton_core.presets import TINY

    settings = {name: getattr(TINY, name) for name in ("steps", "skip_grow", "skip_feather")}
    guidance = dict.fromkeys(("guidance", "cfg"), TINY.guidance_scale)
    return settings | guidance | {"sampler_name": "euler", "scheduler": "sgm_uniform"}


def with_previews(workflow: dict, titles: list[str]) -> dict:
    """The part of a workflow that nodes of these titles need, and the first picture of each shown under its title."""
    from hosting.graph import upstream

    named = {node["_meta"]["title"]: key for key, node in workflow.items()}
    part = {key: workflow[key] for title in titles for key in upstream(workflow, named[title])}
    result = {key: node | {"_meta": {}} for key, node in part.items()}
    for number, title in enumerate(titles, 1):
        mask = workflow[named[title]]["class_type"] == "LadiVTON_BodyMask"
        kind, wire = ("MaskPreview", "mask") if mask else ("PreviewImage", "images")
        wires = {wire: [named[title], 0]}
        result[f"{1000 + number}"] = {"class_type": kind, "inputs": wires, "_meta": {"title": title}}
    return result


def thumbnail(client, name: str):
    """What a workflow makes."""
    from hosting.graph import with_embedded_models
    from PIL import Image

    source, *prepared = PREPARED.get(name, (name,))
    workflow = json.loads(queue_file(source).read_text("utf-8"))
    workflow = with_embedded_models(with_previews(workflow, prepared) if prepared else workflow)
    settings = embedded_settings()
    for node in workflow.values():
        node["inputs"].update({key: value for key, value in settings.items() if key in node["inputs"]})
    run = client.run(workflow).or_raise()
    titles = {key: node.get("_meta", {}).get("title") for key, node in workflow.items()}
    shown = prepared or SHOWN
    nodes = [key for key, title in titles.items() if title in shown and key in run.outputs]
    nodes.sort(key=lambda key: (shown.index(titles[key]), int(key)))
    files = [file for key in nodes for file in run.outputs[key].get("images", ())]
    return row([Image.open(io.BytesIO(client.view(file))) for file in files], WIDEST)


def demo(client):
    """Person, garment and result of `make demo` in each category."""
    from hosting.graph import with_files, with_value
    from PIL import Image

    pictures, embedded = [], json.loads(queue_file("tryon_embedded").read_text("utf-8"))
    for prefix, category in CATEGORIES.items():
        files = {role: SAMPLES / f"{prefix}{role}.png" for role in ("person", "garment", "parse")}
        files["keypoints"] = SAMPLES / f"{prefix}keypoints.json"
        run = client.run(with_value(with_files(embedded, files, client.upload), "category", category)).or_raise()
        pictures += [Image.open(files["person"]), Image.open(files["garment"])]
        pictures += [Image.open(io.BytesIO(client.view(image))) for image in run.images()]
    return row(pictures)


def photo(client):
    """A photo, a garment, and the photo that `tryon_photo` makes of them."""
    from hosting.graph import with_files, with_value
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        files = {"person": Path(folder) / "in_a_room.png", "garment": SAMPLES / "dresses_garment.png"}
        in_a_room().save(files["person"])
        workflow = with_files(json.loads(queue_file("tryon_photo").read_text("utf-8")), files, client.upload)
        for name in ("category", "framing"):
            workflow = with_value(workflow, name, "dresses")
        run = client.run(workflow).or_raise()
        saved = next(key for key, node in workflow.items() if node["class_type"] == "SaveImage")
        pictures = [Image.open(file).convert("RGB") for file in files.values()]
        return row([*pictures, *(Image.open(io.BytesIO(client.view(f))) for f in run.outputs[saved]["images"])])


def in_a_room():
    """A drawn person of no training's world, who stands small and aside in a room with a window."""
    from PIL import Image, ImageDraw

    from drawn_world.world.scene import DrawnWorld

    scene = DrawnWorld(seed=UNSEEN_SEED).scene([IN_A_ROOM], [IN_A_ROOM + 4])
    person = Image.fromarray((scene.person[0].movedim(0, -1) * 255).round().byte().numpy())
    outline = Image.fromarray(((scene.parse[0] > 0) * 255).byte().numpy())
    # walls as the drawn world's, which the embedded models paint around whoever they dress
    wall = scene.person[0].movedim(0, -1)[scene.parse[0] == 0].median(0).values
    room = Image.new("RGB", (760, 680), tuple((wall * 255).round().int().tolist()))
    draw = ImageDraw.Draw(room)
    draw.rectangle((0, 604, 760, 680), fill=(158, 128, 100))
    draw.rectangle((0, 596, 760, 604), fill=(228, 224, 216))
    draw.rectangle((60, 90, 300, 380), fill=(240, 238, 232))
    for left, top in ((72, 102), (186, 102), (72, 242), (186, 242)):
        draw.rectangle((left, top, left + 102, top + 126), fill=(150, 190, 222))
    room.paste(person, (330, 120), outline)
    return room


def unseen(count: int = 20):
    """The evaluation's sheet of people in other people's garments."""
    from PIL import Image

    from drawn_world.figures.evaluate import evaluate

    with tempfile.TemporaryDirectory() as folder:
        evaluate(UNSEEN_SEED, count, "unpaired", sheet=(sheet := Path(folder) / "sheet.png"))
        picture = Image.open(sheet).convert("RGB")
    return picture.resize((1152, round(picture.height * 1152 / picture.width)), Image.LANCZOS)


def stage_pictures(client, base: Path, workflow: dict[str, Any]) -> dict[str, Any]:
    """Name -> picture of each stage, all from one run with a preview behind each.

    Args:
        client: of a running ComfyUI.
        base: its base folder, where the pseudo-words are saved.
        workflow: `tryon_embedded` in API format.
    """
    from PIL import Image

    graph = copy.deepcopy(workflow)
    nodes = {name: the(graph, PREFIX + name) for files in STAGES.values() for name, _ in files if name != "LoadPicture"}
    nodes["LoadPicture"] = graph[nodes["AgnosticPerson"]]["inputs"]["person"][0]
    for name, output in {place for files in STAGES.values() for place in files}:
        wire = {"images": [nodes[name], output]}
        graph[f"{name} {output}"] = {"class_type": "PreviewImage", "inputs": wire}
    words = {"pseudo_words": [the(graph, PREFIX + "TextualInversionEncoder"), 1], "name": WORDS}
    graph["words"] = {"class_type": PREFIX + "SavePseudoWords", "inputs": words}
    graph["words shown"] = {"class_type": "PreviewAny", "inputs": {"source": ["words", 0]}}
    run = client.run(graph).or_raise()

    def shown(name: str, output: int):
        (file,) = run.outputs[f"{name} {output}"]["images"]
        return Image.open(io.BytesIO(client.view(file))).convert("RGB")

    pictures = {stage: [shown(*place) for place in files] for stage, files in STAGES.items()}
    pictures["words"].append(words_picture(base / "models" / "embeddings" / f"{WORDS}.safetensors"))
    return {stage: row(files, height=STAGE_HEIGHT) for stage, files in pictures.items()}


def words_picture(file: Path):
    """The pseudo-words as a chart: a row a word, its vector from left to right, blue below and red above zero."""
    import numpy as np
    from PIL import Image
    from safetensors.numpy import load_file

    words = load_file(str(file))["clip_h"]  # (16, width)
    words = words / np.abs(words).max()
    near = 1 - np.abs(words)[..., None]
    ends = np.where(words[..., None] > 0, [0.78, 0.2, 0.16], [0.13, 0.36, 0.71])
    colours = near * 0.96 + (1 - near) * ends
    pixels = Image.fromarray((colours * 255).round().astype(np.uint8))
    rows = pixels.resize((STAGE_HEIGHT * 3 // 2, STAGE_HEIGHT - STAGE_HEIGHT % len(words)), Image.NEAREST)
    lined = Image.new("RGB", rows.size, "white")
    step = rows.height // len(words)
    for row in range(len(words)):
        lined.paste(rows.crop((0, row * step, rows.width, (row + 1) * step - 2)), (0, row * step))
    return lined


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=(*TITLES, "demo", "photo", "unseen", "stages"), help="some of them"
    )
    wanted = parser.parse_args().only or [*TITLES, "demo", "photo", "unseen", "stages"]
    exit_on_terminate()
    host = installation.find_or_install(tests=True, photo=True)
    installation.run_inside(host)
    from hosting.client import ComfyClient

    sys.path.insert(0, str(REPOSITORY))
    images = REPOSITORY / "docs" / "images"
    if "unseen" in wanted:
        unseen().save(images / "unseen.jpg", quality=85)
    with ComfyServer(host) as server:
        client = ComfyClient(server.url)
        pose.provide(server.base, pose.graphs(host))
        for name in wanted:
            if name == "demo":
                demo(client).save(images / "demo.jpg", quality=90)
            elif name == "photo":
                photo(client).save(images / "photo.jpg", quality=85)
            elif name == "stages":
                workflow = json.loads(queue_file("tryon_embedded").read_text("utf-8"))
                for stage, picture in stage_pictures(client, server.base, workflow).items():
                    picture.save(FOLDER / f"{stage}.jpg", quality=82)
            elif name != "unseen":
                card = with_band(thumbnail(client, name), *CARDS[name])
                card.save(page_file(name).with_suffix(".jpg"), quality=88)
            print(name, flush=True)


if __name__ == "__main__":
    main()
