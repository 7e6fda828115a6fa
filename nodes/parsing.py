"""Nodes that make a parse map: a SegFormer from a local folder, or another parser's colour picture.

Thin layers over `ladivton_core/preprocessing/people/parser.py` and `label_pictures.py`; `person.py` uses the result.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from torch import Tensor

from ..ladivton_core.preprocessing.label_pictures import labels_from_colours
from ..ladivton_core.preprocessing.labels import LABEL_SETS
from ..ladivton_core.preprocessing.people.parser import WEIGHTS, load_parser, parse_photo
from .listing import can_be_chosen, never_raises
from .tensors import photo_pixels
from .types import CATEGORY, ParseMap, ParseMapType, TorchPart, check_choices, io, search_aliases

log = logging.getLogger(__name__)

PLACES = ("ladi_vton", "RMBG")
"""Folders under ComfyUI's models that may hold a parser's folder: ours, and where ComfyUI-RMBG keeps its own."""


def parser_folders() -> dict[str, Path]:
    """Folders with a config and weights, by the name shown."""
    import folder_paths

    roots = [Path(folder) for folder in folder_paths.get_folder_paths("ladi_vton")]
    roots += [Path(folder_paths.models_dir) / place for place in PLACES]
    found: dict[str, Path] = {}
    for root in dict.fromkeys(roots):
        try:
            names = sorted(os.listdir(root))
        except OSError:
            continue
        for name in filter(can_be_chosen, names):
            if _holds_a_parser(root / name):
                found.setdefault(f"{root.name}/{name}", root / name)
    return found


def _holds_a_parser(folder: Path) -> bool:
    try:
        return (folder / "config.json").is_file() and (folder / WEIGHTS).is_file()
    except OSError as error:  # lost+found, another user's folder
        log.info("%s is not looked into: %s", folder, error.strerror)
        return False


@never_raises
def _offered() -> list[str]:
    """The list of the node."""
    return list(parser_folders())


class LadiVTON_ParsePerson(io.ComfyNode):
    """A parse map of any photo."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_ParsePerson",
            display_name="Parse Person",
            **search_aliases("segmentation", "human parsing", "segformer", "clothes"),
            category=f"{CATEGORY}/person",
            description="Runs a SegFormer clothes parser on a photo and gives its parse map (ATR18). "
                "The model is a folder of your own with config.json and model.safetensors, in models/ladi_vton or "
                "where ComfyUI-RMBG keeps it (models/RMBG/segformer_clothes); nothing is downloaded.",
            inputs=[
                io.Image.Input("photo", tooltip="Photo of the person, any size."),
                io.Combo.Input(
                    "parser_name", options=_offered(),
                    tooltip="Folder of a SegFormer clothes model under models/ladi_vton or models/RMBG.",
                ),
            ],
            outputs=[ParseMapType.Output("parse_map", display_name="parse_map", tooltip="Labels at the photo's size.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, parser_name: str | None = None) -> bool | str:
        if parser_name is None or parser_name in list(parser_folders()):
            return True
        return (
            f"There is no parser {parser_name!r}. Put a SegFormer clothes model (config.json and {WEIGHTS}) into a "
            "folder under models/ladi_vton and press R; or use another parser's node and 'Labels From Picture'."
        )

    @classmethod
    def execute(cls, photo: Tensor, parser_name: str) -> io.NodeOutput:
        import comfy.model_management as memory

        known = cls.validate_inputs(parser_name)
        if known is not True:
            raise ValueError(known)
        module, labels = load_parser(parser_folders()[parser_name])
        part = TorchPart(module.to(memory.unet_offload_device()), parser_name)
        with part.loaded(memory_required=2_000_000_000) as model:
            return io.NodeOutput(ParseMap(parse_photo(model, photo_pixels(photo, "photo")), labels))


class LadiVTON_LabelsFromPicture(io.ComfyNode):
    """Colours back to labels."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_LabelsFromPicture",
            display_name="Labels From Picture",
            **search_aliases("segmentation", "human parsing", "palette"),
            category=f"{CATEGORY}/person",
            description="Turns the colour picture of another parser's node (ATR, LIP or CIHP colours) into a parse "
                "map. Connect the picture as the parser gives it, not scaled.",
            inputs=[
                io.Image.Input("picture", tooltip="A parser's colour picture."),
                io.Combo.Input(
                    "label_set", options=list(LABEL_SETS), default="ATR18",
                    tooltip="Whose labels: ATR18 for ATR parsers, LIP20-SCHP for SCHP's LIP, CIHP20 for CIHP.",
                ),
            ],
            outputs=[ParseMapType.Output("parse_map", display_name="parse_map", tooltip="Labels, one number a pixel.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, label_set: str | None = None) -> bool | str:
        return check_choices(cls, label_set=label_set)

    @classmethod
    def execute(cls, picture: Tensor, label_set: str = "ATR18") -> io.NodeOutput:
        labels = LABEL_SETS[label_set]
        return io.NodeOutput(
            ParseMap(labels_from_colours(photo_pixels(picture, "picture"), labels, "'picture'"), labels)
        )


NODES = [LadiVTON_ParsePerson, LadiVTON_LabelsFromPicture]
