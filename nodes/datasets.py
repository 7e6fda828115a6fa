"""The node at the beginning of the paper's evaluation: samples of VITON-HD or Dress Code.

What a sample is is `ladivton_core/datasets`; `person.py` and `garment.py` take what comes out of here, `results.py` is
the other end.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..ladivton_core.datasets.layouts import find, open_dataset, recognise
from ..ladivton_core.datasets.sample import collate
from ..ladivton_core.preprocessing.labels import CATEGORIES
from .files import EXAMPLE, SAMPLES
from .listing import never_raises
from .tensors import as_image, to_mask
from .types import CATEGORY, Choice, ParseMap, ParseMapType, PoseKeypoint, check_choices, io, search_aliases

FOLDER = "ladi_vton_datasets"
"""Folder below ComfyUI's `models` (and key in extra_model_paths.yaml) in which data sets lie."""
CONFIGURED = "[data] "
"""Marks data sets of those folders in the list; the others lie in ComfyUI's input folder."""

ORDERS = ("paired", "unpaired")


def register_folder() -> None:
    """Tell ComfyUI about `models/ladi_vton_datasets`, so that extra_model_paths.yaml covers it."""
    import folder_paths

    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))
    paths, _ = folder_paths.folder_names_and_paths[FOLDER]
    # Like ComfyUI's own "diffusers": no file in there is a model to be listed.
    folder_paths.folder_names_and_paths[FOLDER] = (paths, {"folder"})


def roots() -> dict[str, Path]:
    """Data sets that a workflow may name, as the list shows them: nothing else is ever opened."""
    import folder_paths

    found = find(folder_paths.get_input_directory())
    for folder in map(Path, folder_paths.get_folder_paths(FOLDER)):
        if recognise(folder):
            found.setdefault(CONFIGURED + folder.name, folder)
        else:
            for name, path in find(folder).items():
                found.setdefault(CONFIGURED + name, path)
    return found | {EXAMPLE + name: path for name, path in find(SAMPLES / "datasets").items()}


@never_raises
def _offered() -> list[str]:
    """The list of the node."""
    return list(roots())


def _root(root: str) -> Path:
    """Where a chosen data set lies.

    Raises:
        ValueError: it is not in the list.
    """
    known = roots()
    if not isinstance(root, str) or root not in known:
        raise ValueError(
            f"There is no data set {root!r}. Copy or link VITON-HD or Dress Code into ComfyUI's input folder or "
            f"models/{FOLDER}, or name its folder under {FOLDER} in extra_model_paths.yaml, "
            f"then press R to refresh the list, which is now: {', '.join(known)}."
        )
    return known[root]


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
                    "root", options=_offered(),
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
    def validate_inputs(
        cls, root: str | None = None, split: str | None = None, order: str | None = None, category: str | None = None
    ) -> bool | str:
        known = check_choices(cls, split=split, order=order, category=category)
        if known is not True or root is None:  # None is a wire: `execute` asks again
            return known
        try:
            _root(root)
        except ValueError as error:
            return str(error)
        return True

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
        import comfy.model_management as memory
        from comfy.utils import ProgressBar

        dataset = _open(root, split, order, category)
        items = _items(dataset, index, batch_size)
        progress = ProgressBar(len(items))
        samples, masks = [], []
        for item in items:
            memory.throw_exception_if_processing_interrupted()
            samples.append(dataset[item])
            masks.append(dataset.garment_mask(item))
            progress.update(1)
        batch = collate(samples)
        size = (batch.person.shape[-2], batch.person.shape[-1])
        return io.NodeOutput(
            as_image(_levels(batch.person)),
            as_image(_levels(batch.garment)),
            to_mask(torch.stack(masks)),
            [_document(joints, size) for joints in batch.keypoints.tolist()],
            ParseMap(batch.parse, dataset.labels),
            batch.category[0],
            dataset.order if split == "test" else "paired",
            "\n".join(batch.person_name),
        )


def _open(root: str, split: str, order: str, category: str):
    path = _root(root)
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


def _document(joints: list[list[float]], size: tuple[int, int]) -> dict:
    """One frame of POSE_KEYPOINT; the confidence of joints that have a place is 1, as the paper's code reads them."""
    flat = [value for x, y in joints for value in (x, y, float(x != 0 or y != 0))]
    return {"people": [{"pose_keypoints_2d": flat}], "canvas_height": size[0], "canvas_width": size[1]}


NODES = [LadiVTON_DatasetSample]
