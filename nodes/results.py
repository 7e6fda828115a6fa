"""The node at the end of the paper's evaluation: results under its file names and in its layout.

Where a result goes is `ladivton_core/datasets/results.py`; `datasets.py` is the other end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from torch import Tensor

from ..ladivton_core.datasets.results import SUFFIXES, result_path, to_picture, write_pictures
from ..ladivton_core.disk.names import fault_of_name
from ..ladivton_core.preprocessing.labels import CATEGORIES
from .datasets import ORDERS
from .tensors import photo_pixels
from .types import CATEGORY, check_choices, io, search_aliases


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
                "in the paper's layout: folder/order/category/name. That is where the metrics look for them.",
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
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def validate_inputs(
        cls, order: str | None = None, category: str | None = None, folder: str | None = None, format: str | None = None
    ) -> bool | str:
        known = check_choices(cls, order=order, category=category, format=format)
        if known is not True or folder is None:
            return known
        try:
            _output_folder(folder)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls, image: Tensor, name: str, order: str = "paired", category: str = "upper_body",
        folder: str = "ladi_vton/results", format: str = "jpg", overwrite: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        allowed = cls.validate_inputs(order, category, folder, format)  # wires have not been seen yet
        if allowed is not True:
            raise ValueError(allowed)
        names = [part.strip() for part in re.split(r"[\n,]", name) if part.strip()]
        if len(names) != len(image):
            raise ValueError(
                f"'image' is a batch of {len(image)} and 'name' holds {len(names)} names. "
                "Give every picture one, separated by commas, or connect 'name' of the "
                "Dataset Sample they were made from."
            )
        output, target = _output_folder(folder)
        paths = [result_path(target, order, category, person, format) for person in names]
        _require_inside(output, paths)
        pictures = [to_picture(picture) for picture in photo_pixels(image, "image")]
        write_pictures(pictures, paths, overwrite)
        files = [path.relative_to(output) for path in paths]
        return io.NodeOutput("\n".join(file.as_posix() for file in files), ui={"images": _shown(files)})


def _output_folder(folder: str) -> tuple[Path, Path]:
    """ComfyUI's output folder, and the one below it.

    Raises:
        ValueError: it would lie elsewhere.
    """
    import folder_paths

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


def _require_inside(output: Path, paths: Sequence[Path]) -> None:
    """Raise a ValueError for a file that a link below the output folder would put elsewhere."""
    for path in paths:
        if not _is_inside(output, path):
            raise ValueError(
                f"{path} leads out of ComfyUI's output folder over a link, to {os.path.realpath(path)}. "
                "Take the link away, or choose another 'folder'."
            )


def _shown(files: Sequence[Path]) -> list[dict[str, str]]:
    """What the page needs to show saved pictures."""
    return [{"filename": file.name, "subfolder": file.parent.as_posix(), "type": "output"} for file in files]


NODES = [LadiVTON_SaveResult]
