"""Nodes on the person: pose map, agnostic image and inpaint mask.

Paper section 3.1. Thin layers over `ladivton_core/preprocessing`; `files.py` loads what goes in, `garment.py`
and `sampling.py` take what comes out.
"""

from __future__ import annotations

import colorsys

import torch
from torch import Tensor

from ..ladivton_core.preprocessing.agnostic import GROW, agnostic_image, agnostic_mask
from ..ladivton_core.preprocessing.agreement import labels_in_doubt, outside_picture
from ..ladivton_core.preprocessing.keypoints import JOINTS, keypoints_from_people
from ..ladivton_core.preprocessing.labels import CATEGORIES
from ..ladivton_core.preprocessing.pose_map import SIGMA, pose_map
from ..ladivton_core.preprocessing.regions import region_mask
from .notes import Notes
from .tensors import as_image, common_batch, from_image, from_mask, to_image, to_mask
from .types import CATEGORY, ParseMap, ParseMapType, PoseKeypoint, PoseMap, check_choices, io

# Painted masks have no data set of their own: VITON-HD's published stroke, 90 px on 512.
STROKE_AT_512 = 90


def joints_of(keypoints: list, size: tuple[int, int], person_index: int) -> Tensor:
    """COCO-18 joints (B, 18, 2) of one person a picture, in pixels of `size` (height, width).

    Raises:
        ValueError: a picture shows nobody.
    """
    joints = keypoints_from_people(keypoints, size, person_index)
    for picture, found in enumerate((joints > 0).flatten(1).any(1).tolist()):
        if not found:
            raise ValueError(
                f"Picture {picture} of 'keypoints' shows nobody. "
                "Take a photo in which the person is seen from head to hips, "
                "or check the pose detector's output before this node."
            )
    return joints


def warn_of_joints_outside(notes: Notes, joints: Tensor | None, size: tuple[int, int]) -> None:
    """Note when joints (B, 18, 2) do not fit a picture of `size` (height, width)."""
    found = None if joints is None else outside_picture(joints, size)
    if found:
        notes.warn(
            f"{found} They are of another picture, or count the pixels of another size: "
            "see 'coordinates' of Load Keypoints."
        )


def person_index_input() -> io.Int.Input:
    """The widget that picks one of several people."""
    return io.Int.Input(
        "person_index", default=0, min=-1, max=99,
        tooltip="Which person of the keypoints, counted from 0; -1 takes the largest. "
            "Use the same number in every node.",
    )  # fmt: skip


class LadiVTON_PoseMap(io.ComfyNode):
    """Joints as 18 blurred dots."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_PoseMap",
            display_name="Pose Map",
            category=f"{CATEGORY}/person",
            description="Draws the 18 body joints as blurred dots, one channel a joint: "
                "the form in which the warper and the try-on model see the pose.",
            inputs=[
                PoseKeypoint.Input("keypoints", tooltip="Body joints from Load Keypoints or any pose detector."),
                io.Image.Input(
                    "person", optional=True,
                    tooltip="Photo the joints belong to: gives the size of the map and the backdrop of the picture. "
                        "Without it the two sizes below count.",
                ),
                io.Int.Input("width", default=384, min=8, max=8192, step=8, tooltip="Width when no person is "
                    "connected."),
                io.Int.Input("height", default=512, min=8, max=8192, step=8, tooltip="Height when no person is "
                    "connected."),
                io.Float.Input(
                    "sigma", default=SIGMA, min=0.5, max=200.0, step=0.5,
                    tooltip="Size of a dot in pixels. The published weights know 9 at 512 x 384.",
                ),
                person_index_input(),
            ],
            outputs=[
                PoseMap.Output("pose_map", display_name="pose_map", tooltip="18 channels, one a joint."),
                io.Image.Output("picture", display_name="picture", tooltip="The joints in colour, to look at."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, keypoints: list, person: Tensor | None = None, width: int = 384, height: int = 512, sigma: float = SIGMA,
        person_index: int = 0,
    ) -> io.NodeOutput:  # fmt: skip
        size = (height, width) if person is None else tuple(person.shape[1:3])
        joints = joints_of(keypoints, size, person_index)
        notes = Notes("Pose Map")
        warn_of_joints_outside(notes, joints, size)
        drawn = pose_map(joints, size, sigma)
        backdrop = None if person is None else (from_image(person, "person") + 1) / 2
        pair = common_batch(keypoints=drawn, person=backdrop)
        return io.NodeOutput(pair["keypoints"], as_image(_coloured(pair["keypoints"], pair["person"])), ui=notes.ui)


def _coloured(dots: Tensor, backdrop: Tensor | None) -> Tensor:
    """Pose map (B, 18, H, W) in rainbow colours over a darkened backdrop; (B, 3, H, W) in [0, 1]."""
    rainbow = torch.tensor([colorsys.hsv_to_rgb(joint / JOINTS, 0.9, 1.0) for joint in range(JOINTS)])
    colours = torch.einsum("bjhw,jc->bchw", dots, rainbow)
    cover = dots.amax(1, keepdim=True)
    under = 0.0 if backdrop is None else backdrop.to(dots) * 0.6
    return (under * (1 - cover) + colours).clamp(0, 1)


class LadiVTON_AgnosticPerson(io.ComfyNode):
    """The person without the old garment."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_AgnosticPerson",
            display_name="Agnostic Person",
            category=f"{CATEGORY}/person",
            description="Cuts the old garment, the arms and (Dress Code) "
                "the neck out of the photo and gives the mask of what is to be repainted. "
                "From a parse map as in the paper, or from masks you painted or segmented.",
            inputs=[
                io.Image.Input("person", tooltip="Photo of the person, e.g. 384 x 512."),
                io.Combo.Input(
                    "category", options=list(CATEGORIES), default="upper_body",
                    tooltip="Which garment is exchanged: decides what is repainted and what is kept.",
                ),
                PoseKeypoint.Input(
                    "keypoints", optional=True,
                    tooltip="Body joints; the stroke along the arms and the neck line follow them. "
                        "Needed with a parse map.",
                ),
                ParseMapType.Input("parse_map", optional=True, tooltip="Labels of the photo, from Load Parse Map."),
                io.Mask.Input(
                    "garment_mask", optional=True, tooltip="Instead of a parse map: the old garment, white where it is."
                ),
                io.Mask.Input(
                    "arms_mask", optional=True,
                    tooltip="With a garment mask: arms and hands. "
                        "What the stroke along the arms leaves of them is kept; without keypoints they are repainted.",
                ),
                io.Mask.Input("keep_mask", optional=True, tooltip="Never repainted: face, hair, hands, bag."),
                io.Combo.Input(
                    "missing_joints", options=["published", "skip"], default="skip",
                    tooltip="Joints nobody found: 'skip' leaves them out; "
                        "'published' draws the arms' stroke through the picture's corner, as the paper's code does.",
                ),
                io.Combo.Input(
                    "neck", options=["published", "cut", "keep"], default="published",
                    tooltip="'published' repaints the neck with ATR18 labels only; 'cut' always, "
                        "for garments with another neckline; 'keep' never.",
                ),
                io.Int.Input(
                    "grow", default=GROW, min=0, max=256,
                    tooltip="Pixels by which the repainted region grows. "
                        "The published weights know 10 at 512 x 384; scale it with the size of your picture.",
                ),
                io.Int.Input(
                    "arm_width", default=0, min=0, max=1024,
                    tooltip="Width of the stroke along the arms in pixels; 0 is the published width.",
                ),
                io.Boolean.Input(
                    "repaint_skirt", default=False,
                    tooltip="Repaint skirts too. The published code leaves Dress Code's skirts in place when a "
                        "lower-body garment is exchanged.",
                ),
                person_index_input(),
            ],
            outputs=[
                io.Image.Output("agnostic", display_name="agnostic", tooltip="The photo with "
                    "the repainted region in mid-grey."),
                io.Mask.Output("mask", display_name="mask", tooltip="White where the sampler repaints."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(
        cls, category: str | None = None, missing_joints: str | None = None, neck: str | None = None
    ) -> bool | str:
        return check_choices(cls, category=category, missing_joints=missing_joints, neck=neck)

    @classmethod
    def execute(
        cls, person: Tensor, category: str = "upper_body", keypoints: list | None = None,
        parse_map: ParseMap | None = None, garment_mask: Tensor | None = None, arms_mask: Tensor | None = None,
        keep_mask: Tensor | None = None, missing_joints: str = "skip", neck: str = "published", grow: int = GROW,
        arm_width: int = 0, repaint_skirt: bool = False, person_index: int = 0,
    ) -> io.NodeOutput:  # fmt: skip
        picture = from_image(person, "person").cpu()  # drawing masks is the CPU's work
        size = (picture.shape[-2], picture.shape[-1])
        joints = None if keypoints is None else joints_of(keypoints, size, person_index)
        notes = Notes("Agnostic Person")
        warn_of_joints_outside(notes, joints, size)
        masks = {
            name: None if mask is None else from_mask(mask, size, name)
            for name, mask in {"garment_mask": garment_mask, "arms_mask": arms_mask, "keep_mask": keep_mask}.items()
        }
        labels = None if parse_map is None else _labels_at(parse_map, size)
        batch = common_batch(person=picture, keypoints=joints, parse_map=labels, **masks)
        if batch["parse_map"] is not None:
            if batch["garment_mask"] is not None or batch["arms_mask"] is not None:
                raise ValueError("Both 'parse_map' and region masks are connected. Disconnect one of them.")
            if batch["keypoints"] is None:
                raise ValueError("'parse_map' needs 'keypoints' beside it: connect Load Keypoints or a pose detector.")
            doubt = labels_in_doubt(batch["parse_map"], batch["keypoints"], parse_map.label_set)
            notes.warn(doubt and f"{doubt} Check 'label_set' of Load Parse Map, and that all are of one photo.")
            mask = agnostic_mask(
                batch["parse_map"], batch["keypoints"], category, parse_map.label_set, missing_joints=missing_joints,
                stroke_width=arm_width or None, grow=grow, neck=neck, also_repaint=("skirt",) if repaint_skirt else (),
            )  # fmt: skip
            if batch["keep_mask"] is not None:
                mask = mask * (1 - batch["keep_mask"])
        elif batch["garment_mask"] is not None:
            # The stroke hides sleeves; a lower-body garment has none.
            along_arms = batch["keypoints"] if category != "lower_body" else None
            mask = region_mask(
                batch["garment_mask"], arms=batch["arms_mask"], keep=batch["keep_mask"], keypoints=along_arms,
                stroke_width=arm_width or int(STROKE_AT_512 / 512 * size[0]), grow=grow,
            )  # fmt: skip
        else:
            raise ValueError(
                "Connect a 'parse_map' (with 'keypoints'), or a 'garment_mask', so that the garment can be found."
            )
        return io.NodeOutput(to_image(agnostic_image(batch["person"], mask)), to_mask(mask), ui=notes.ui)


def _labels_at(parse_map: ParseMap, size: tuple[int, int]) -> Tensor:
    """Labels (B, H, W) at the photo's size, by nearest neighbour as the data sets do (SPEC 1.1).

    Raises:
        ValueError: other proportions than the photo.
    """
    labels = parse_map.labels
    height, width = labels.shape[-2:]
    if (height, width) == size:
        return labels
    if abs(height * size[1] - width * size[0]) > 0.01 * height * size[1]:
        raise ValueError(
            f"'parse_map' is {height} x {width} and 'person' {size[0]} x {size[1]} (height x width): "
            "not the same proportions. Send both through 'Fit Person', or load the parse map of this photo."
        )
    resized = torch.nn.functional.interpolate(labels[:, None].float(), size=size, mode="nearest-exact")
    return resized[:, 0].long()


NODES = [LadiVTON_PoseMap, LadiVTON_AgnosticPerson]
