"""Nodes on the person: pose map, agnostic image and inpaint mask; and the widgets in which nodes ask who is meant.

Thin layers over `preprocessing/prepare.py` and `preprocessing/masks/person_mask.py`; `files.py` loads what goes in,
`garment.py` and `conditioning.py` take what comes out. Paper section 3.1.
"""

from __future__ import annotations

import colorsys

import torch
from torch import Tensor

from ..ladivton_core.preprocessing.labels import ATR18, CATEGORIES, LIP20
from ..ladivton_core.preprocessing.masks.agnostic import agnostic_image
from ..ladivton_core.preprocessing.masks.person_mask import PARTS, USUAL, MaskRule, mask_person
from ..ladivton_core.preprocessing.modes import MODES
from ..ladivton_core.preprocessing.people.chosen import NOBODY
from ..ladivton_core.preprocessing.pose.keypoints import JOINTS
from ..ladivton_core.preprocessing.pose.pose_map import SIGMA
from ..ladivton_core.preprocessing.prepare import draw_pose
from .host.notes import Notes
from .host.types import CATEGORY, ParseMap, ParseMapType, PoseKeypoint, PoseMap, advanced, io, search_aliases
from .tensors import as_image, check_area, common_batch, from_image, from_mask, to_image, to_mask

RULES = {"by category": None, "VITON-HD": LIP20, "Dress Code": ATR18}
"""Whose mask is drawn from joints alone."""


def person_index_input(default: int = 0) -> io.Int.Input:
    """The widget that picks one of several people."""
    return io.Int.Input(
        "person_index", **advanced(), default=default, min=-1, max=99,
        tooltip="Which person of the keypoints, counted from 0; -1 takes the largest. "
            "Use the same number in every node.",
    )  # fmt: skip


def mode_input() -> io.Combo.Input:
    """The widget that tells people's own photos from the paper's data sets."""
    return io.Combo.Input(
        "mode", display_name="joints and sizes", **advanced(), options=list(MODES), default="published", optional=True,
        tooltip="'published': joints and pixel sizes exactly as in the paper's code, for its data sets. "
            "'body': for photos of your own: doubtful joints and other people are left out, "
            "and sizes in pixels follow the body.",
    )  # fmt: skip


def nobody_input() -> io.Combo.Input:
    """The widget for frames of a video in which nobody is found."""
    return io.Combo.Input(
        "nobody", display_name="if nobody is found", **advanced(),
        options=list(NOBODY), default=NOBODY[0], optional=True,
        tooltip="A frame in which nobody is found: 'stop' names it, 'pass' leaves it as it is.",
    )  # fmt: skip


def part_input(name: str, otherwise: str) -> io.Combo.Input:
    """The widget that keeps a part of the body, or takes it along."""
    return io.Combo.Input(
        name, **advanced(), options=list(PARTS), default=PARTS[0], optional=True,
        tooltip=f"'keep' never repaints the {name}, 'repaint' always does, as far as the joints tell where they are. "
            f"'usual': {otherwise}.",
    )  # fmt: skip


def outfit_input() -> io.Boolean.Input:
    """The widget for everything that is worn."""
    return io.Boolean.Input(
        "whole_outfit", default=False, optional=True,
        tooltip="Repaint everything that is worn, from collar to shoes, whatever the category: "
            "for models that dress a person in a whole outfit at once.",
    )  # fmt: skip


class LadiVTON_PoseMap(io.ComfyNode):
    """Joints as 18 blurred dots."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_PoseMap",
            display_name="Pose Map",
            **search_aliases("openpose", "pose", "joints", "skeleton"),
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
                io.Int.Input(
                    "width", **advanced(), default=384, min=8, max=8192, step=8,
                    tooltip="Width when no person is connected.",
                ),
                io.Int.Input(
                    "height", **advanced(), default=512, min=8, max=8192, step=8,
                    tooltip="Height when no person is connected.",
                ),
                io.Float.Input(
                    "sigma", **advanced(), default=SIGMA, min=0.5, max=200.0, step=0.5,
                    tooltip="Size of a dot in pixels. The published weights know 9 at 512 x 384.",
                ),
                person_index_input(),
                mode_input(),
                nobody_input(),
            ],
            outputs=[
                PoseMap.Output("pose_map", display_name="pose_map", tooltip="18 channels, one a joint."),
                io.Image.Output("picture", display_name="picture", tooltip="The joints in colour, to look at."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, keypoints: list, person: Tensor | None = None, width: int = 384, height: int = 512, sigma: float = SIGMA,
        person_index: int = 0, mode: str = "published", nobody: str = "stop",
    ) -> io.NodeOutput:  # fmt: skip
        size = (height, width) if person is None else tuple(person.shape[1:3])
        check_area(*size, "height and width of Pose Map" if person is None else "person")
        notes = Notes("Pose Map")
        drawn = draw_pose(keypoints, size, person_index, MODES[mode], nobody, sigma=sigma, say=notes.warn)
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
            display_name="Agnostic Person (Clothes Masked)",
            **search_aliases("virtual try-on", "vton", "clothing mask", "outfit mask", "inpaint mask"),
            category=f"{CATEGORY}/person",
            description="Cuts the old garment, the arms and (Dress Code) "
                "the neck out of the photo and gives the mask of what is to be repainted. "
                "From a parse map as in the paper, from masks you painted or segmented, "
                "or from the joints alone, with the person's silhouette where there is one.",
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
                    "missing_joints", display_name="joints not found", **advanced(),
                    options=["published", "skip"], default=USUAL.missing_joints,
                    tooltip="Joints nobody found: 'skip' leaves them out; "
                        "'published' draws the arms' stroke through the picture's corner, as the paper's code does.",
                ),
                io.Combo.Input(
                    "neck", options=["published", "cut", "keep"], default=USUAL.neck,
                    tooltip="'published' repaints the neck with ATR18 labels only; 'cut' always, "
                        "for garments with another neckline; 'keep' never.",
                ),
                io.Int.Input(
                    "grow", default=USUAL.grow, min=0, max=256,
                    tooltip="Pixels by which the repainted region grows. "
                        "The published weights know 10 at 512 x 384; scale it with the size of your picture.",
                ),
                io.Int.Input(
                    "arm_width", default=0, min=0, max=1024,
                    tooltip="Width of the stroke along the arms in pixels; 0 is the published width.",
                ),
                io.Boolean.Input(
                    "repaint_skirt", **advanced(), default=False,
                    tooltip="Repaint skirts too. The published code leaves Dress Code's skirts in place when a "
                        "lower-body garment is exchanged.",
                ),
                person_index_input(),
                mode_input(),
                io.Mask.Input(
                    "silhouette", optional=True,
                    tooltip="With joints alone: the person, white where they are, from Find Person or any cut-out. "
                        "The mask then follows the body instead of a drawn shape.",
                ),
                nobody_input(),
                io.Combo.Input(
                    "rule", display_name="mask rule", **advanced(),
                    options=list(RULES), default="by category", optional=True,
                    tooltip="With joints alone: the mask that the weights know. 'by category' is VITON-HD's for upper "
                        "bodies and Dress Code's for the others; with Dress Code's weights choose 'Dress Code'.",
                ),
                io.Boolean.Input(
                    "repaint_worn", default=False, optional=True,
                    tooltip="With a parse map: repaint what is worn where the garment goes also where the published "
                        "rule leaves it, such as shirt and trousers under a dress with Dress Code's labels.",
                ),
                part_input("hands", "painted and label masks repaint what the arms' stroke covers, others keep them"),
                outfit_input(),
            ],
            outputs=[
                io.Image.Output("agnostic", display_name="agnostic", tooltip="The photo with "
                    "the repainted region in mid-grey."),
                io.Mask.Output("mask", display_name="mask", tooltip="White where the sampler repaints."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, person: Tensor, category: str = "upper_body", keypoints: list | None = None,
        parse_map: ParseMap | None = None, garment_mask: Tensor | None = None, arms_mask: Tensor | None = None,
        keep_mask: Tensor | None = None, missing_joints: str = USUAL.missing_joints, neck: str = USUAL.neck,
        grow: int = USUAL.grow, arm_width: int = 0, repaint_skirt: bool = False, person_index: int = 0,
        mode: str = "published", silhouette: Tensor | None = None, nobody: str = "stop", rule: str = "by category",
        repaint_worn: bool = False, hands: str = PARTS[0], whole_outfit: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        check_area(*person.shape[1:3], "person")
        picture, notes = from_image(person, "person").cpu(), Notes("Agnostic Person")  # drawing masks is the CPU's work
        given = {
            "garment_mask": garment_mask, "arms_mask": arms_mask, "keep_mask": keep_mask, "silhouette": silhouette
        }  # fmt: skip
        size = (picture.shape[-2], picture.shape[-1])
        made = mask_person(
            picture, category,
            MaskRule(
                mode=MODES[mode], missing_joints=missing_joints, neck=neck, grow=grow, stroke_width=arm_width or None,
                also_repaint=("skirt",) if repaint_skirt else (), repaint_worn=repaint_worn, labels=RULES[rule],
                nobody=nobody, hands=hands, outfit=whole_outfit,
            ),
            keypoints=keypoints, person_index=person_index, parse_map=parse_map and parse_map.labels,
            labels=parse_map and parse_map.label_set, say=notes.warn,
            **{name: None if mask is None else from_mask(mask, size, name) for name, mask in given.items()},
        )  # fmt: skip
        if made.mode.relative:
            notes.say(f"The mask is drawn from {made.source}; strokes and growth follow the body.")
        return io.NodeOutput(to_image(agnostic_image(made.person, made.mask)), to_mask(made.mask), ui=notes.ui)


NODES = [LadiVTON_PoseMap, LadiVTON_AgnosticPerson]
