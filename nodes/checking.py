"""The node that says before sampling whether photo and garment will do.

A thin layer over `ladivton_core/preprocessing/checks.py`.
"""

from __future__ import annotations

from torch import Tensor

from ..ladivton_core.preprocessing.checks import check_garment, check_person, score_of
from ..ladivton_core.preprocessing.framing.fitting import labels_at
from ..ladivton_core.preprocessing.labels import CATEGORIES
from ..ladivton_core.preprocessing.modes import BODY
from .notes import Notes
from .people import first_joints, people_of, person_index_input
from .photo import person_finder
from .tensors import common_batch, photo_pixels
from .types import CATEGORY, ParseMap, ParseMapType, PoseKeypoint, check_choices, io, search_aliases


class LadiVTON_CheckInputs(io.ComfyNode):
    """A score and words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        person_index = person_index_input()
        person_index.default = -1
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
                person_index,
                io.Float.Input(
                    "stop_below", default=0.0, min=0.0, max=1.0, step=0.05, round=0.01,
                    tooltip="Stop the workflow when the score is lower; 0 only tells.",
                ),
            ],
            is_output_node=True,  # its words are the result: it looks also with nothing connected behind it
            outputs=[
                io.Float.Output(
                    "score", display_name="score", tooltip="1: nothing speaks against it; the lowest of a batch."
                ),
                io.String.Output("report", display_name="report", tooltip="What was found, a line each."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, category: str | None = None) -> bool | str:
        return check_choices(cls, category=category)

    @classmethod
    def execute(
        cls, photo: Tensor, keypoints: list, category: str = "upper_body", parse_map: ParseMap | None = None,
        garment: Tensor | None = None, person_index: int = -1, stop_below: float = 0.0,
    ) -> io.NodeOutput:  # fmt: skip
        size, notes = (photo.shape[1], photo.shape[2]), Notes("Check Inputs")
        batch = common_batch(
            keypoints=first_joints(people_of(keypoints, size, person_index, BODY, nobody="pass")),
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
            found = check_garment(item.cpu(), _wearers(item, notes))
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
    """How many people the garment's picture (3, H, W) shows; 0 with a note where no detector is installed."""
    try:
        return len(person_finder()(garment))
    except (FileNotFoundError, ImportError):
        notes.say("Whether somebody wears the garment is not looked at: Find Person's files or package are missing.")
        return 0


NODES = [LadiVTON_CheckInputs]
