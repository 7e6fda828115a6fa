"""Nodes for people's own photos: who is in it and where, and whether a photo will do.

Thin layers over `preprocessing/people/finder.py` and `checks.py`; `fitting.py` frames the person found here.
"""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Tensor

from ..ladivton_core.preprocessing.people.finder import SMALLEST_SCORE, Person, PersonFinder, largest
from ..ladivton_core.preprocessing.people.pose_graphs import FOLDER, GRAPHS
from ..ladivton_core.preprocessing.pose.keypoints import pose_document
from .model_files import FOLDER as MODELS
from .notes import Notes
from .people import NOBODY, nobody_input
from .tensors import photo_pixels
from .types import CATEGORY, BoundingBox, PoseKeypoint, check_choices, io, search_aliases


def graph_folders() -> list[Path]:
    """Where BlazePose's graphs may lie: `pose` under every folder of models/ladi_vton."""
    import folder_paths

    return [Path(folder) / FOLDER for folder in folder_paths.get_folder_paths(MODELS)]


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
            ],
            outputs=[
                PoseKeypoint.Output("keypoints", display_name="keypoints", tooltip="Joints of everyone, with scores."),
                io.Mask.Output("silhouette", display_name="silhouette", tooltip="White where the chosen person is."),
                BoundingBox.Output(
                    "box", display_name="box", tooltip="The chosen person's box in pixels, one a photo."
                ),
                io.Int.Output("count", display_name="count", tooltip="How many people the first photo shows."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, nobody: str | None = None) -> bool | str:
        return check_choices(cls, nobody=nobody)

    @classmethod
    def execute(
        cls, photo: Tensor, person_index: int = -1, smallest_score: float = SMALLEST_SCORE, nobody: str = NOBODY[0]
    ) -> io.NodeOutput:
        import comfy.model_management as memory
        from comfy.utils import ProgressBar

        find, pixels, notes = person_finder(), photo_pixels(photo, "photo"), Notes("Find Person")
        size, progress = (pixels.shape[-2], pixels.shape[-1]), ProgressBar(len(pixels))
        documents, silhouettes, boxes, counts = [], [], [], []
        for picture, item in enumerate(pixels):
            memory.throw_exception_if_processing_interrupted()
            people = find(item, smallest_score)
            person = _chosen(people, person_index, picture, nobody)
            _say_what_was_found(notes, people, person, picture)
            everyone = torch.stack([one.joints for one in people]) if people else torch.zeros(0, 18, 3)
            documents.append(pose_document(everyone, size))
            silhouettes.append(torch.zeros(size) if person is None else person.silhouette)
            left, top, right, bottom = (0, 0, 0, 0) if person is None else person.box
            boxes.append({"x": left, "y": top, "width": right - left, "height": bottom - top})
            counts.append(len(people))
            progress.update(1)
        return io.NodeOutput(
            documents, torch.stack(silhouettes).to(memory.intermediate_device()), boxes, counts[0], ui=notes.ui
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
            "Somebody who is small in a large photo is not seen either: crop the photo around them. "
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
            f"Picture {picture} shows no head: its joints are guesses, often far off. "
            "Take the joints from another pose detector, or paint a 'garment_mask'."
        )


NODES = [LadiVTON_FindPerson]
