"""Nodes on the person: pose map, agnostic image and inpaint mask.

Paper section 3.1. Thin layers over `ladivton_core/preprocessing`; `files.py` loads what goes in, `garment.py`
and `sampling.py` take what comes out.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import torch
from torch import Tensor

from ..ladivton_core.preprocessing.framing.fitting import labels_at
from ..ladivton_core.preprocessing.labels import ATR18, CATEGORIES, LIP20
from ..ladivton_core.preprocessing.masks.agnostic import GROW, agnostic_image, agnostic_mask, nothing_to_repaint
from ..ladivton_core.preprocessing.masks.body_region import body_region
from ..ladivton_core.preprocessing.masks.regions import empty_masks, region_mask
from ..ladivton_core.preprocessing.modes import MODES
from ..ladivton_core.preprocessing.pose.agreement import labels_in_doubt
from ..ladivton_core.preprocessing.pose.keypoints import JOINTS
from ..ladivton_core.preprocessing.pose.pose_map import SIGMA, pose_map
from .notes import Notes
from .people import (
    first_joints,
    joints_of,
    mode_input,
    nobody_input,
    own_pixels,
    people_of,
    person_index_input,
    warn_of_joints_outside,
)
from .tensors import as_image, check_area, common_batch, from_image, from_mask, to_image, to_mask
from .types import CATEGORY, ParseMap, ParseMapType, PoseKeypoint, PoseMap, check_choices, io, search_aliases

RULES = {"by category": None, "VITON-HD": LIP20, "Dress Code": ATR18}
"""Whose mask is drawn from joints alone."""


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
                    "width", default=384, min=8, max=8192, step=8, tooltip="Width when no person is connected."
                ),
                io.Int.Input(
                    "height", default=512, min=8, max=8192, step=8, tooltip="Height when no person is connected."
                ),
                io.Float.Input(
                    "sigma", default=SIGMA, min=0.5, max=200.0, step=0.5,
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
    def validate_inputs(cls, mode: str | None = None, nobody: str | None = None) -> bool | str:
        return check_choices(cls, mode=mode, nobody=nobody)

    @classmethod
    def execute(
        cls, keypoints: list, person: Tensor | None = None, width: int = 384, height: int = 512, sigma: float = SIGMA,
        person_index: int = 0, mode: str = "published", nobody: str = "stop",
    ) -> io.NodeOutput:  # fmt: skip
        size = (height, width) if person is None else tuple(person.shape[1:3])
        check_area(*size, "height and width of Pose Map" if person is None else "person")
        joints = joints_of(keypoints, size, person_index, MODES[mode], nobody)
        notes = Notes("Pose Map")
        warn_of_joints_outside(notes, joints if mode == "published" else None, size)
        drawn = pose_map(joints, size, sigma, mode)
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
                mode_input(),
                io.Mask.Input(
                    "silhouette", optional=True,
                    tooltip="With joints alone: the person, white where they are, from Find Person or any cut-out. "
                        "The mask then follows the body instead of a drawn shape.",
                ),
                nobody_input(),
                io.Combo.Input(
                    "rule", options=list(RULES), default="by category", optional=True,
                    tooltip="With joints alone: the mask that the weights know. 'by category' is VITON-HD's for upper "
                        "bodies and Dress Code's for the others; with Dress Code's weights choose 'Dress Code'.",
                ),
            ],
            outputs=[
                io.Image.Output("agnostic", display_name="agnostic", tooltip="The photo with "
                    "the repainted region in mid-grey."),
                io.Mask.Output("mask", display_name="mask", tooltip="White where the sampler repaints."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(
        cls, category: str | None = None, missing_joints: str | None = None, neck: str | None = None,
        mode: str | None = None, nobody: str | None = None, rule: str | None = None,
    ) -> bool | str:  # fmt: skip
        return check_choices(
            cls, category=category, missing_joints=missing_joints, neck=neck, mode=mode, nobody=nobody, rule=rule
        )

    @classmethod
    def execute(
        cls, person: Tensor, category: str = "upper_body", keypoints: list | None = None,
        parse_map: ParseMap | None = None, garment_mask: Tensor | None = None, arms_mask: Tensor | None = None,
        keep_mask: Tensor | None = None, missing_joints: str = "skip", neck: str = "published", grow: int = GROW,
        arm_width: int = 0, repaint_skirt: bool = False, person_index: int = 0, mode: str = "published",
        silhouette: Tensor | None = None, nobody: str = "stop", rule: str = "by category",
    ) -> io.NodeOutput:  # fmt: skip
        allowed = cls.validate_inputs(category, missing_joints, neck, mode, nobody, rule)
        if allowed is not True:  # a wire may bring anything
            raise ValueError(allowed)
        check_area(*person.shape[1:3], "person")
        picture = from_image(person, "person").cpu()  # drawing masks is the CPU's work
        size, notes = (picture.shape[-2], picture.shape[-1]), Notes("Agnostic Person")
        # Shapes drawn from joints alone have no published pixels: they follow the body.
        mode = "body" if parse_map is None and garment_mask is None else mode
        people = None if keypoints is None else people_of(keypoints, size, person_index, MODES[mode], nobody)
        joints = None if people is None else first_joints(people)
        warn_of_joints_outside(notes, joints if mode == "published" else None, size)
        given = {
            "garment_mask": garment_mask, "arms_mask": arms_mask, "keep_mask": keep_mask, "silhouette": silhouette
        }  # fmt: skip
        masks = {name: None if mask is None else from_mask(mask, size, name) for name, mask in given.items()}
        labels = None if parse_map is None else labels_at(parse_map.labels, size)
        own = own_pixels(people, size) if people is not None and MODES[mode].alone else None
        batch = common_batch(person=picture, keypoints=joints, parse_map=labels, own=own, **masks)
        if batch["own"] is not None and batch["parse_map"] is not None:
            batch["parse_map"] = torch.where(batch["own"][:, 0], batch["parse_map"], 0)
        settings = {"stroke_width": arm_width or None, "grow": grow}
        if batch["parse_map"] is not None:
            if batch["garment_mask"] is not None or batch["arms_mask"] is not None:
                raise ValueError("Both 'parse_map' and region masks are connected. Disconnect one of them.")
            if batch["keypoints"] is None:
                raise ValueError("'parse_map' needs 'keypoints' beside it: connect Load Keypoints or a pose detector.")
            doubt = labels_in_doubt(batch["parse_map"], batch["keypoints"], parse_map.label_set)
            notes.warn(doubt and f"{doubt} Check 'label_set' of Load Parse Map, and that all are of one photo.")
            repainted = parse_map.label_set.regions_of(category).repaint
            worn = torch.isin(batch["parse_map"], torch.tensor(parse_map.label_set.ids(repainted)))[:, None]
            source, mask = "the parse map", _each(
                lambda rows: agnostic_mask(
                    batch["parse_map"][rows], batch["keypoints"][rows], category, parse_map.label_set, mode=mode,
                    missing_joints=missing_joints, neck=neck, also_repaint=("skirt",) if repaint_skirt else (),
                    numbers=rows.tolist(), **settings,
                ), batch, nobody,
            )  # fmt: skip
            empty_masks("keep_mask", batch["keep_mask"], notes.warn)
            if batch["keep_mask"] is not None:
                mask = mask * (1 - batch["keep_mask"])
        elif batch["garment_mask"] is not None:
            # The stroke hides sleeves; a lower-body garment has none.
            along_arms = batch["keypoints"] if category != "lower_body" else None
            worn = batch["garment_mask"]
            source, mask = "the painted masks", region_mask(
                batch["garment_mask"], arms=batch["arms_mask"], keep=batch["keep_mask"], keypoints=along_arms,
                mode=mode, say=notes.warn, **settings,
            )  # fmt: skip
        elif batch["keypoints"] is not None:
            worn = None
            source = "the joints alone" if silhouette is None else "the joints and the silhouette"
            mask = _each(
                lambda rows: body_region(
                    batch["keypoints"][rows], category, size, **settings,
                    silhouette=None if silhouette is None else batch["silhouette"][rows],
                    keep=None if keep_mask is None else batch["keep_mask"][rows],
                    labels=RULES[rule], neck=neck, numbers=rows.tolist(), say=notes.warn,
                ), batch, nobody,
            )  # fmt: skip
        else:
            raise ValueError(
                "Nothing tells where the garment is. Connect 'keypoints' (Find Person, Load Keypoints or a pose "
                "detector), better with a 'parse_map' or 'silhouette'; or a painted 'garment_mask'."
            )
        if silhouette is not None and not source.startswith("the joints"):
            notes.warn(f"'silhouette' is not used: the mask is drawn from {source}. Disconnect one of them.")
        if arms_mask is not None and batch["garment_mask"] is None:
            notes.warn("'arms_mask' is not used: it belongs to a 'garment_mask'. Connect one, or disconnect it.")
        if batch["own"] is not None:
            mask = mask * batch["own"]
        if mode != "published":
            notes.say(f"The mask is drawn from {source}; strokes and growth follow the body.")
        # The paper's code goes on with an empty mask, and so does a run over its data sets.
        may_be_empty = parse_map is not None and mode == "published"
        _say_if_empty(notes, mask, worn, category, source, may_be_empty)
        return io.NodeOutput(to_image(agnostic_image(batch["person"], mask)), to_mask(mask), ui=notes.ui)


def _each(draw: Callable[[Tensor], Tensor], batch: dict[str, Tensor | None], nobody: str) -> Tensor:
    """Masks (B, 1, H, W) of those pictures that show somebody; empty ones for the rest, if they may pass."""
    some = (batch["keypoints"] > 0).flatten(1).any(1)
    if nobody != "pass" or bool(some.all()):
        return draw(torch.arange(len(some)))
    masks = torch.zeros(len(some), 1, *batch["person"].shape[-2:])
    masks[some] = draw(some.nonzero().flatten())
    return masks


_CHECKS = {
    "the parse map": "Check 'category', and the label set of the parse map.",
    "the painted masks": "Check that a painted mask is white (at least half) over the garment.",
    "the joints alone": "Check 'category', and that 'keep_mask' does not cover the garment.",
    "the joints and the silhouette": "Check 'category', and that 'silhouette' is white where the person is.",
}
"""What may be wrong with the mask's source."""


def _say_if_empty(
    notes: Notes, mask: Tensor, worn: Tensor | None, category: str, source: str, may_be_empty: bool
) -> None:
    """Where there is no old garment (B, 1, H, W) the mask is empty, or nothing but the stroke along the arms: a note.

    Raises:
        ValueError: no picture has anything to repaint, unless that may be.
    """
    check = f"nothing of a garment of the category {category} is found in {source} there. {_CHECKS[source]}"
    empty = nothing_to_repaint(mask)
    if empty:
        text = f"Nothing is repainted in picture {', '.join(map(str, empty))}: {check}"
        if len(empty) == len(mask) and not may_be_empty:
            raise ValueError(text)
        notes.warn(text)
    bare = [] if worn is None else [picture for picture in nothing_to_repaint(worn) if picture not in empty]
    if bare:
        notes.warn(f"Only the arms are repainted in picture {', '.join(map(str, bare))}: {check}")


NODES = [LadiVTON_PoseMap, LadiVTON_AgnosticPerson]
