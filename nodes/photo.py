"""Nodes for people's own photos: who is in it and where, what every pixel shows, and whether a photo will do.

Thin layers over `preprocessing/people/`, `label_pictures.py` and `checks.py`; `fitting.py` frames the person found
here, `person.py` uses the parse map.
"""

from __future__ import annotations

import functools
import logging
import os
from pathlib import Path
from typing import Any

import folder_paths
import torch
from torch import Tensor

from ..ladivton_core.preprocessing.checks import check_garment, check_person, score_of
from ..ladivton_core.preprocessing.framing.fitting import labels_at
from ..ladivton_core.preprocessing.garment.backdrop import ground_to_white
from ..ladivton_core.preprocessing.label_pictures import labels_from_colours
from ..ladivton_core.preprocessing.labels import CATEGORIES, LABEL_SETS
from ..ladivton_core.preprocessing.modes import BODY
from ..ladivton_core.preprocessing.people.blazepose import GRAPHS
from ..ladivton_core.preprocessing.people.chosen import NOBODY, chosen_joints, people_in
from ..ladivton_core.preprocessing.people.finder import SMALLEST_SCORE, Person, PersonFinder, boxes_in, largest
from ..ladivton_core.preprocessing.people.parser import WEIGHTS, load_parser, parse_photo
from ..ladivton_core.preprocessing.pose.dialects import POINTS
from ..ladivton_core.preprocessing.pose.keypoints import pose_document
from .host.listing import Listed, can_be_chosen
from .host.model_files import FOLDER as MODELS
from .host.model_files import graph_folders
from .host.notes import Notes
from .host.types import (
    CATEGORY,
    BoundingBox,
    ParseMap,
    ParseMapType,
    PoseKeypoint,
    TorchPart,
    io,
    one_by_one,
    search_aliases,
)
from .hurdles import stop_at_hurdles
from .person import nobody_input, person_index_input
from .tensors import common_batch, photo_pixels
from .upstream import ground_is_turned_white

log = logging.getLogger(__name__)

PLACES = (MODELS, "RMBG")
"""Folders under ComfyUI's models that may hold a parser's folder: ours, and where ComfyUI-RMBG keeps its own."""


@functools.lru_cache(maxsize=2)
def _finder(stamp: tuple) -> PersonFinder:
    """Loaded once for the files there are; another file under a name is loaded anew."""
    return PersonFinder(graph_folders())


def person_finder() -> PersonFinder:
    """BlazePose from ComfyUI's model folders.

    Raises:
        FileNotFoundError, ImportError: what is missing, and how to get it.
    """
    files = [folder / name for folder in graph_folders() for name in GRAPHS]
    return _finder(tuple((str(file), file.stat().st_mtime_ns) for file in files if file.is_file()))


class LadiVTON_FindPerson(io.ComfyNode):
    """Joints, silhouette and box of the people in a photo."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_FindPerson",
            display_name="Find Person",
            **search_aliases("pose", "openpose", "blazepose", "joints", "silhouette"),
            category=f"{CATEGORY}/person",
            description="Finds everyone in a photo: joints with their scores, and the silhouette and box of one of "
                "them. Runs BlazePose on this machine, on the CPU; nothing leaves it. "
                "Needs the package ai-edge-litert and three files (10 MB) in models/ladi_vton/pose.",
            inputs=[
                io.Image.Input("photo", tooltip="Photo of any size, with the head of the person in it."),
                io.Int.Input(
                    "person_index", default=-1, min=-1, max=99,
                    tooltip="Whose silhouette and box come out, counted from 0; -1 takes the largest. "
                        "The keypoints hold everyone.",
                ),
                io.Float.Input(
                    "smallest_score", default=SMALLEST_SCORE, min=0.05, max=1.0, step=0.05, round=0.01,
                    tooltip="How sure the detector must be that there is somebody.",
                ),
                nobody_input(),
                BoundingBox.Input(
                    "boxes", optional=True, extra_dict={"forceInput": True},  # newer pages have a widget for one box
                    tooltip="Where to look, from a detector such as SAM 3 or RT-DETR: one person a box, counted in "
                        "their order. Finds people who are small in the photo.",
                ),
            ],
            hidden=[io.Hidden.dynprompt],
            outputs=[
                PoseKeypoint.Output(
                    "keypoints", display_name="keypoints", tooltip="Joints and hands of everyone, with scores."
                ),
                io.Mask.Output("silhouette", display_name="silhouette", tooltip="White where the chosen person is."),
                BoundingBox.Output(
                    "box", display_name="box",
                    tooltip="The chosen person's box in pixels: a list a photo, as ComfyUI's own detectors give.",
                ),
                io.Int.Output("count", display_name="count", tooltip="How many people the first photo shows."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, photo: Tensor, person_index: int = -1, smallest_score: float = SMALLEST_SCORE, nobody: str = NOBODY[0],
        boxes: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        import comfy.model_management as memory

        stop_at_hurdles(cls.hidden)
        find, pixels, notes = person_finder(), photo_pixels(photo, "photo"), Notes("Find Person")
        size = (pixels.shape[-2], pixels.shape[-1])
        documents, silhouettes, found, counts = [], [], [], []
        places = None if boxes is None else boxes_in(boxes, len(pixels))
        for picture, item in enumerate(one_by_one(pixels)):
            people = (
                find(item, smallest_score) if places is None else find.inside(item, places[picture], smallest_score)
            )
            person = _chosen(people, person_index, picture, nobody)
            _say_what_was_found(notes, people, person, picture)
            everyone = torch.stack([one.points for one in people]) if people else torch.zeros(0, POINTS, 3)
            documents.append(pose_document(everyone, size))
            silhouettes.append(torch.zeros(size) if person is None else person.silhouette)
            found.append([])
            if person is not None:
                left, top, right, bottom = person.box
                found[-1].append({"x": left, "y": top, "width": right - left, "height": bottom - top})
            counts.append(len(people))
        return io.NodeOutput(
            documents, torch.stack(silhouettes).to(memory.intermediate_device()), found, counts[0], ui=notes.ui
        )


def _chosen(people: list[Person], person_index: int, picture: int, nobody: str) -> Person | None:
    """The person meant.

    Raises:
        ValueError: there is nobody, unless that may pass; or fewer people than asked for.
    """
    if not people:
        if nobody == "pass":
            return None
        raise ValueError(
            f"Picture {picture} of 'photo' shows nobody. BlazePose looks for a head with a body below it: "
            "for a photo from chest to shoes take the joints from another pose detector or paint a 'garment_mask'. "
            "Somebody smaller than a sixteenth of the photo is not seen either: connect a detector's 'boxes', "
            "or crop the photo around them. "
            "To let frames of a video without a person pass, set 'nobody' to 'pass'."
        )
    if not -1 <= person_index < len(people):
        raise ValueError(
            f"Picture {picture} of 'photo' shows {len(people)} people; person {person_index} is not among "
            f"0 to {len(people) - 1}. Choose one of them, or -1 for the largest."
        )
    return people[largest(people) if person_index == -1 else person_index]


def _say_what_was_found(notes: Notes, people: list[Person], person: Person | None, picture: int) -> None:
    if person is None:
        notes.warn(f"Picture {picture} shows nobody and passes unchanged.")
        return
    if len(people) > 1:
        notes.say(
            f"Picture {picture} shows {len(people)} people; the silhouette is one's, the keypoints are everyone's."
        )
    if person.headless:
        notes.warn(
            f"Picture {picture} shows no head: its joints are guesses. Trousers and skirts come out right in most such "
            "photos, tops and dresses seldom. Look at the mask; take the joints from another pose detector, "
            "or paint a 'garment_mask'."
        )


def parser_folders() -> dict[str, Path]:
    """Folders with a config and weights, by the name shown."""
    roots = [Path(folder) for folder in folder_paths.get_folder_paths("ladi_vton")]
    roots += [Path(folder_paths.models_dir) / place for place in PLACES]
    found: dict[str, Path] = {}
    for root in dict.fromkeys(roots):
        try:
            names = sorted(os.listdir(root))
        except (OSError, ValueError):
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


def _find_parser(name: str) -> Path:
    """The folder of a chosen parser.

    Raises:
        ValueError: it is not in the list.
    """
    known = parser_folders()
    if name not in known:
        raise ValueError(
            f"There is no parser {name!r}. Put a SegFormer clothes model (config.json and {WEIGHTS}) into a "
            "folder under models/ladi_vton and press R; or use another parser's node and 'Labels From Picture'."
        )
    return known[name]


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
                    "parser_name", options=Listed.by(_find_parser, parser_folders),
                    tooltip="Folder of a SegFormer clothes model under models/ladi_vton or models/RMBG.",
                ),
            ],
            outputs=[ParseMapType.Output("parse_map", display_name="parse_map", tooltip="Labels at the photo's size.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, photo: Tensor, parser_name: str) -> io.NodeOutput:
        import comfy.model_management as memory

        module, labels = load_parser(_find_parser(parser_name))
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
    def execute(cls, picture: Tensor, label_set: str = "ATR18") -> io.NodeOutput:
        labels = LABEL_SETS[label_set]
        return io.NodeOutput(
            ParseMap(labels_from_colours(photo_pixels(picture, "picture"), labels, "'picture'"), labels)
        )


class LadiVTON_CheckInputs(io.ComfyNode):
    """A score and words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_CheckInputs",
            display_name="Check Inputs",
            **search_aliases("validate", "quality check", "virtual try-on"),
            category=f"{CATEGORY}/person",
            description="Says before sampling whether photo and garment will do: nobody's shoulders, a person too "
                "small or cut off, seen from the side or from behind, a parse map of another photo, "
                "a category that is not worn, a garment on a busy ground or on somebody.",
            inputs=[
                io.Image.Input("photo", tooltip="Photo of the person."),
                PoseKeypoint.Input("keypoints", tooltip="Joints in the photo, e.g. from Find Person."),
                io.Combo.Input("category", options=list(CATEGORIES), default="upper_body", tooltip="Which garment "
                    "is to be exchanged."),
                ParseMapType.Input("parse_map", optional=True, tooltip="Parse map of the photo."),
                io.Image.Input("garment", optional=True, tooltip="The garment's picture."),
                person_index_input(default=-1),
                io.Float.Input(
                    "stop_below", default=0.0, min=0.0, max=1.0, step=0.05, round=0.01,
                    tooltip="Stop the workflow when the score is lower; 0 only tells.",
                ),
            ],
            hidden=[io.Hidden.dynprompt],
            is_output_node=True,  # its words are the result: it looks also with nothing connected behind it
            outputs=[
                io.Float.Output(
                    "score", display_name="score", tooltip="1: nothing speaks against it; the lowest of a batch."
                ),
                io.String.Output("report", display_name="report", tooltip="What was found, a line each."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, photo: Tensor, keypoints: list, category: str = "upper_body", parse_map: ParseMap | None = None,
        garment: Tensor | None = None, person_index: int = -1, stop_below: float = 0.0,
    ) -> io.NodeOutput:  # fmt: skip
        size, notes = (photo.shape[1], photo.shape[2]), Notes("Check Inputs")
        batch = common_batch(
            keypoints=chosen_joints(people_in(keypoints, size, person_index, BODY, nobody="pass")),
            parse_map=None if parse_map is None else labels_at(parse_map.labels, size),
        )
        lines, scores = [], []
        for picture, joints in enumerate(batch["keypoints"]):
            parse = None if parse_map is None else batch["parse_map"][picture]
            found = check_person(joints, size, category, parse, parse_map.label_set if parse_map else None)
            scores.append(score_of(found))
            lines += [f"Photo {picture}: {finding.text}" for finding in found]
        garments = [] if garment is None else photo_pixels(garment, "garment")
        for picture, item in enumerate(garments):
            on_white = ground_to_white(item.cpu()) if ground_is_turned_white(cls.hidden) else None
            found = check_garment(item.cpu() if on_white is None else on_white, _wearers(item, notes))
            scores.append(score_of(found))
            lines += [f"Garment {picture}: {finding.text}" for finding in found]
        score, report = min(scores), "\n".join(lines) or "Nothing speaks against this try-on."
        for line in lines:
            notes.warn(line)
        notes.say(f"Score {score:.2f}.")
        if score < stop_below:
            raise ValueError(f"The score is {score:.2f}, below 'stop_below' {stop_below:.2f}.\n{report}")
        return io.NodeOutput(score, report, ui=notes.ui)


def _wearers(garment: Tensor, notes: Notes) -> int:
    """How many people wear what the garment's picture (3, H, W) shows; 0 with a note where no detector is installed."""
    try:
        return sum(person.wears_the_picture for person in person_finder()(garment, twice=False))
    except (FileNotFoundError, ImportError):
        notes.say("Whether somebody wears the garment is not looked at: Find Person's files or package are missing.")
        return 0


NODES = [LadiVTON_FindPerson, LadiVTON_ParsePerson, LadiVTON_LabelsFromPicture, LadiVTON_CheckInputs]
