"""A picture of every stage of the try-on, for README and help pages: `make_pictures.py --only stages` writes them.

All come from one run of `tryon_embedded` in a real ComfyUI, with a preview behind each stage. They lie where the help
panel can load them, in `web/docs/images/`; README shows the same files.
"""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

from hosting.graph import the
from hosting.places import REPOSITORY

FOLDER = REPOSITORY / "web" / "docs" / "images"
HEIGHT, GAP, QUALITY = 320, 6, 82
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


def stage_pictures(client, base: Path, workflow: dict[str, Any]) -> dict[str, Any]:
    """Name -> picture of each stage.

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
    return {stage: side_by_side(files) for stage, files in pictures.items()}


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
    rows = pixels.resize((HEIGHT * 3 // 2, HEIGHT - HEIGHT % len(words)), Image.NEAREST)
    lined = Image.new("RGB", rows.size, "white")
    step = rows.height // len(words)
    for row in range(len(words)):
        lined.paste(rows.crop((0, row * step, rows.width, (row + 1) * step - 2)), (0, row * step))
    return lined


def side_by_side(pictures: list):
    """Pictures `HEIGHT` high in a row on white."""
    from PIL import Image

    scaled = [picture.resize((round(picture.width * HEIGHT / picture.height), HEIGHT)) for picture in pictures]
    sheet = Image.new("RGB", (sum(picture.width + GAP for picture in scaled) - GAP, HEIGHT), "white")
    left = 0
    for picture in scaled:
        sheet.paste(picture, (left, 0))
        left += picture.width + GAP
    return sheet


def write(pictures: dict[str, Any]) -> None:
    """Save them under `web/docs/images/`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for stage, picture in pictures.items():
        picture.save(FOLDER / f"{stage}.jpg", quality=QUALITY)
