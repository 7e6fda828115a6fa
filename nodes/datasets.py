"""Nodes of the paper's evaluation: samples of VITON-HD or Dress Code in, results under its file names out.

What a sample is, and where a result goes, is `ladivton_core/datasets`; `person.py` and `garment.py` take what comes out
of here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

import folder_paths
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..ladivton_core.datasets.layouts import find, open_dataset, recognise
from ..ladivton_core.datasets.results import SUFFIXES, result_path, to_picture, write_pictures
from ..ladivton_core.datasets.sample import collate
from ..ladivton_core.disk.names import fault_of_name
from ..ladivton_core.preprocessing.labels import CATEGORIES
from ..ladivton_core.preprocessing.pictures import as_file
from ..ladivton_core.preprocessing.pose.keypoints import pose_document
from .host.listing import BEFORE, EXAMPLE, SAMPLES, Listed, example, find_input
from .host.types import CATEGORY, Choice, ParseMap, ParseMapType, PoseKeypoint, io, one_by_one, search_aliases
from .tensors import as_image, photo_pixels, to_mask
from .upstream import in_running_graph, photo_stitched_into

FOLDER = "ladi_vton_datasets"
"""Folder below ComfyUI's `models` (and key in extra_model_paths.yaml) in which data sets lie."""
CONFIGURED = " [data]"
"""Marks data sets of those folders in the list; the others lie in ComfyUI's input folder."""
CONFIGURED_BEFORE = "[data] "
"""How they were marked up to 0.2."""

ORDERS = ("paired", "unpaired")


def roots() -> dict[str, Path]:
    """Data sets that a workflow may name, as the list shows them: nothing else is ever opened."""
    found = find(folder_paths.get_input_directory())
    for folder in map(Path, folder_paths.get_folder_paths(FOLDER)):
        known = {folder.name: folder} if recognise(folder) else find(folder)
        for name, path in known.items():
            found.setdefault(name + CONFIGURED, path)
    return found | {example(name): path for name, path in find(SAMPLES / "datasets").items()}


def _find_root(root: str) -> Path:
    """Where a chosen data set lies.

    Raises:
        ValueError: it is not in the list.
    """
    known = roots()
    name = root
    if root.startswith(BEFORE):
        name = root.removeprefix(BEFORE) + EXAMPLE
    elif root.startswith(CONFIGURED_BEFORE):
        name = root.removeprefix(CONFIGURED_BEFORE) + CONFIGURED
    if name not in known:
        raise ValueError(
            f"There is no data set {root!r}. Copy or link VITON-HD or Dress Code into ComfyUI's input folder or "
            f"models/{FOLDER}, or name its folder under {FOLDER} in extra_model_paths.yaml, "
            f"then press R to refresh the list, which is now: {', '.join(known)}."
        )
    return known[name]


class LadiVTON_DatasetSample(io.ComfyNode):
    """Consecutive samples of a data set."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_DatasetSample",
            display_name="Dataset Sample (Fashion)",
            **search_aliases("viton-hd", "dress code", "batch", "virtual try-on"),
            category=f"{CATEGORY}/dataset",
            description="Reads samples of VITON-HD or Dress Code exactly as the paper's code does, at 384 x 512: "
                "person, garment on white, joints, parse map. "
                "Which data set a folder holds is told from its pair lists.",
            inputs=[
                io.Combo.Input(
                    "root", options=Listed.by(_find_root, roots),
                    tooltip="Data set: a folder in ComfyUI's input folder, "
                        "with [data] one in models/ladi_vton_datasets or extra_model_paths.yaml, "
                        "with [example] a small drawn one of this pack.",
                ),
                io.Combo.Input("split", options=["test", "train"], tooltip="Which part of the data set."),
                io.Combo.Input(
                    "order", options=list(ORDERS),
                    tooltip="'paired' dresses everyone in the garment they wear, "
                        "'unpaired' in the one the test list names. The train split is always paired.",
                ),
                io.Combo.Input(
                    "category", options=["all", *CATEGORIES],
                    tooltip="Dress Code's garments; 'all' is dresses, then upper bodies, then lower bodies. "
                        "VITON-HD has upper bodies only, whatever is chosen.",
                ),
                io.Int.Input(
                    "index", default=0, min=0, max=10**6, control_after_generate=True,
                    tooltip="Number of the first sample, from 0. Set it to increment to walk through the data set.",
                ),
                io.Int.Input(
                    "batch_size", default=1, min=1, max=256,
                    tooltip="How many consecutive samples. They must be of one category.",
                ),
            ],
            outputs=[
                io.Image.Output("person", display_name="person", tooltip="The person, 384 x 512."),
                io.Image.Output(
                    "garment", display_name="garment",
                    tooltip="The garment on white, 384 x 512, ready for Garment Warper and Textual Inversion Encoder.",
                ),
                io.Mask.Output(
                    "garment_mask", display_name="garment_mask",
                    tooltip="White where the garment is; already applied. All white for VITON-HD without cloth-mask.",
                ),
                PoseKeypoint.Output("keypoints", display_name="keypoints", tooltip="Joints in pixels of the person."),
                ParseMapType.Output("parse_map", display_name="parse_map", tooltip="Labels, one number a pixel."),
                Choice.Output(
                    "category_out", display_name="category",
                    tooltip="For 'category' of Agnostic Person, Textual Inversion Encoder and Save Result.",
                ),
                Choice.Output("order_out", display_name="order", tooltip="For 'order' of Save Result."),
                io.String.Output(
                    "name", display_name="name", tooltip="File name of the person, a line an item; for Save Result."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(
        cls, root: str | None = None, split: str = "test", order: str = "paired", category: str = "all",
        index: int | None = 0, batch_size: int | None = 1,
    ) -> str:  # fmt: skip
        if None in (root, split, order, category, index, batch_size):
            return ""  # a wire: what it brings counts by itself
        dataset = _open(root, split, order, category)
        files = [file for item in _items(dataset, index, batch_size) for file in dataset.files(item).paths]
        return " ".join(f"{file.name} {_state(file)}" for file in files)

    @classmethod
    def execute(
        cls, root: str, split: str = "test", order: str = "paired", category: str = "all", index: int = 0,
        batch_size: int = 1,
    ) -> io.NodeOutput:  # fmt: skip
        dataset = _open(root, split, order, category)
        items = _items(dataset, index, batch_size)
        samples, masks = [], []
        for item in one_by_one(items):
            samples.append(dataset[item])
            masks.append(dataset.garment_mask(item))
        batch = collate(samples)
        size = (batch.person.shape[-2], batch.person.shape[-1])
        # The confidence of joints that have a place is 1, as the paper's code reads them.
        known = (batch.keypoints != 0).any(-1, keepdim=True).to(batch.keypoints)
        people = torch.cat([batch.keypoints, known], -1)[:, None]
        return io.NodeOutput(
            as_image(_levels(batch.person)),
            as_image(_levels(batch.garment)),
            to_mask(torch.stack(masks)),
            [pose_document(person, size) for person in people],
            ParseMap(batch.parse, dataset.labels),
            batch.category[0],
            dataset.order if split == "test" else "paired",
            "\n".join(batch.person_name),
        )


def _open(root: str, split: str, order: str, category: str):
    path = _find_root(root)
    return open_dataset(recognise(path), path, split, order, category)


def _items(dataset, index: int, batch_size: int) -> range:
    """Numbers of the samples asked for.

    Raises:
        ValueError: they go past the end, or are of several categories.
    """
    count = len(dataset)
    if index < 0 or batch_size < 1:  # by wire: the widgets do not allow it
        raise ValueError(f"'index' is {index} and 'batch_size' {batch_size}; give 0 or more, and 1 or more.")
    if index + batch_size > count:
        raise ValueError(
            f"'index' {index} with 'batch_size' {batch_size} goes past the end: "
            f"this part of {dataset.title} has {count} samples, 0 to {count - 1}. "
            "Set 'control after generate' to fixed, or to increment from 0."
        )
    items = range(index, index + batch_size)
    found = list(dict.fromkeys(dataset.files(item).category for item in items))
    if len(found) > 1:
        raise ValueError(
            f"The samples {index} to {items[-1]} are of several categories ({', '.join(found)}), "
            "which need different masks and prompts. Choose one 'category', or a smaller 'batch_size'."
        )
    return items


def _state(file: Path) -> str:
    """Size and time of a file, or that it is missing: `execute` says so better."""
    try:
        stat = file.stat()
    except (OSError, ValueError):  # not there, or not to be reached
        return "missing"
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _levels(pixels: Tensor) -> Tensor:
    """[-1, 1] to [0, 1] exactly as the 8-bit levels the picture came from."""
    return ((pixels + 1) * 127.5).round() / 255


class LadiVTON_SaveResult(io.ComfyNode):
    """Results as the paper's evaluation wants them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_SaveResult",
            display_name="Save Result",
            **search_aliases("viton-hd", "dress code"),
            category=f"{CATEGORY}/dataset",
            description="Saves results under the person's file name in ComfyUI's output folder, "
                "in the paper's layout: folder/order/category/name. That is where the metrics look for them. "
                "What 'Stitch Person' put into a photo of 'Load Picture or Example' gets the colours of that file, "
                "whose profile may hold more than sRGB.",
            inputs=[
                io.Image.Input("image", tooltip="From EMASC Decoder."),
                io.String.Input(
                    "name", default="result.jpg",
                    tooltip="A file name for every picture of the batch: from Dataset Sample, or separated by commas.",
                ),
                io.Combo.Input("order", options=list(ORDERS), tooltip="Folder below 'folder'; from Dataset Sample."),
                io.Combo.Input(
                    "category", options=list(CATEGORIES), tooltip="Folder below 'order'; from Dataset Sample."
                ),
                io.String.Input(
                    "folder", default="ladi_vton/results", tooltip="Folder below ComfyUI's output folder."
                ),
                io.Combo.Input(
                    "format", options=list(SUFFIXES),
                    tooltip="'jpg' with quality 95 as in the paper, or 'png' without loss; the name's ending follows.",
                ),
                io.Boolean.Input(
                    "overwrite", default=False, tooltip="Replace pictures of the same name; off, that is an error."
                ),
            ],
            outputs=[
                io.String.Output("files", display_name="files", tooltip="Paths below the output folder, one a line.")
            ],
            hidden=[io.Hidden.dynprompt],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        try:
            _output_folder(folder or "")
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls, image: Tensor, name: str, order: str = "paired", category: str = "upper_body",
        folder: str = "ladi_vton/results", format: str = "jpg", overwrite: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        names = [part.strip() for part in re.split(r"[\n,]", name) if part.strip()]
        if len(names) != len(image):
            raise ValueError(
                f"'image' is a batch of {len(image)} and 'name' holds {len(names)} names. "
                "Give every picture one, separated by commas, or connect 'name' of the "
                "Dataset Sample they were made from."
            )
        output, target = _output_folder(folder)
        paths = [result_path(target, order, category, person, format) for person in names]
        for path in paths:  # a link below the output folder may lead out of it
            if not _is_inside(output, path):
                raise ValueError(
                    f"{path} leads out of ComfyUI's output folder over a link, to {os.path.realpath(path)}. "
                    "Take the link away, or choose another 'folder'."
                )
        pictures = [to_picture(picture) for picture in photo_pixels(image, "image")]
        if photo := in_running_graph(cls.hidden, photo_stitched_into):
            pictures = [_in_colours_of(find_input(photo), picture) for picture in pictures]
        write_pictures(pictures, paths, overwrite)
        files = [path.relative_to(output) for path in paths]
        shown = [{"filename": file.name, "subfolder": file.parent.as_posix(), "type": "output"} for file in files]
        return io.NodeOutput("\n".join(file.as_posix() for file in files), ui={"images": shown})


def _in_colours_of(photo: Path, picture: Image.Image) -> Image.Image:
    pixels, profile = as_file(photo, np.asarray(picture))
    if profile is None:
        return picture
    picture = Image.fromarray(pixels)
    picture.info["icc_profile"] = profile
    return picture


def _output_folder(folder: str) -> tuple[Path, Path]:
    """ComfyUI's output folder, and the one below it.

    Raises:
        ValueError: it would lie elsewhere.
    """
    output = Path(folder_paths.get_output_directory())
    parts = PurePosixPath(folder.replace("\\", "/")).parts
    target = output.joinpath(*parts) if not any(map(fault_of_name, parts)) else None
    if target is None or not _is_inside(output, target):
        raise ValueError(
            f"'folder' cannot be {folder!r}: give a folder below ComfyUI's output folder, such as ladi_vton/results."
        )
    return output, target


def _is_inside(output: Path, path: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(output))


NODES = [LadiVTON_DatasetSample, LadiVTON_SaveResult]
