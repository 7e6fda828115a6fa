"""Nodes that bring any photo to the models' size, with its joints, parse map and mask, and put the result back.

The paper's data sets have one size; real photos do not. Thin layers over `ladivton_core/preprocessing/fitting.py`;
`person.py` takes what comes out.
"""

from __future__ import annotations

from torch import Tensor

from ..ladivton_core.decoding.emasc import soften_mask
from ..ladivton_core.preprocessing.fitting import Fit
from .notes import Notes
from .person import joints_of, person_index_input, warn_of_joints_outside
from .tensors import as_image, check_multiple_of_8, common_batch, from_mask, to_mask
from .types import CATEGORY, FitRecord, ParseMap, ParseMapType, PoseKeypoint, check_choices, io

FILLS = {"edge": None, "white": 1.0, "grey": 0.5, "black": 0.0}


class LadiVTON_FitPerson(io.ComfyNode):
    """Any photo at the models' size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_FitPerson",
            display_name="Fit Person",
            category=f"{CATEGORY}/person",
            description="Brings a photo of any size to one the models can work with, together with its joints, "
                "parse map and mask. 'Stitch Person' puts the result back into the photo.",
            inputs=[
                io.Image.Input("photo", tooltip="Photo of the person, any size."),
                PoseKeypoint.Input("keypoints", optional=True, tooltip="Joints in the photo."),
                ParseMapType.Input("parse_map", optional=True, tooltip="Parse map of the photo, at its size."),
                io.Mask.Input("mask", optional=True, tooltip="Mask of the photo, at its size."),
                io.Int.Input("width", default=384, min=8, max=8192, step=8, tooltip="Width of the fitted picture."),
                io.Int.Input("height", default=512, min=8, max=8192, step=8, tooltip="Height of the fitted picture."),
                io.Combo.Input(
                    "fit", options=["pad", "crop", "stretch"], default="pad",
                    tooltip="'pad' keeps all of the photo, 'crop' fills the size and cuts what sticks out, "
                        "'stretch' changes the proportions, as the paper's data sets do.",
                ),
                io.Combo.Input("border", options=list(FILLS), default="edge", tooltip="What padding shows."),
                person_index_input(),
            ],
            outputs=[
                io.Image.Output("person", display_name="person", tooltip="The fitted photo."),
                PoseKeypoint.Output(
                    "fitted_keypoints", display_name="keypoints", tooltip="Joints of the "
                        "chosen person in the fitted photo."
                ),
                ParseMapType.Output("fitted_parse_map", display_name="parse_map", tooltip="The fitted parse map."),
                io.Mask.Output("fitted_mask", display_name="mask", tooltip="The fitted mask."),
                FitRecord.Output("fit_record", display_name="fit", tooltip="What was done, for Stitch Person."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, fit: str | None = None, border: str | None = None) -> bool | str:
        return check_choices(cls, fit=fit, border=border)

    @classmethod
    def execute(
        cls, photo: Tensor, keypoints: list | None = None, parse_map: ParseMap | None = None,
        mask: Tensor | None = None, width: int = 384, height: int = 512, fit: str = "pad", border: str = "edge",
        person_index: int = 0,
    ) -> io.NodeOutput:  # fmt: skip
        check_multiple_of_8(height, width, "height and width of Fit Person")
        pixels = photo[..., :3].movedim(-1, 1).contiguous()
        source = (pixels.shape[-2], pixels.shape[-1])
        plan = Fit.plan(source, (height, width), fit)
        labels = None if parse_map is None else parse_map.labels[:, None]
        if labels is not None and tuple(labels.shape[-2:]) != source:
            raise ValueError(
                f"'parse_map' is {labels.shape[-2]} x {labels.shape[-1]} and 'photo' {source[0]} x {source[1]} "
                "(height x width); load the parse map of this photo."
            )
        masked = None if mask is None else from_mask(mask, source)
        joints = None if keypoints is None else joints_of(keypoints, source, person_index)
        notes = Notes("Fit Person")
        warn_of_joints_outside(notes, joints, source)
        joints = None if joints is None else plan.apply_points(joints)
        return io.NodeOutput(
            as_image(plan.apply(pixels, fill=FILLS[border])),
            None if joints is None else [_document(item, (height, width)) for item in joints.tolist()],
            None if labels is None else ParseMap(plan.apply(labels, fill=0, nearest=True)[:, 0], parse_map.label_set),
            None if masked is None else to_mask(plan.apply(masked, fill=0, nearest=True)),
            plan,
            ui=notes.ui,
        )


def _document(joints: list[list[float]], size: tuple[int, int]) -> dict:
    """One frame of POSE_KEYPOINT from 18 joints (x, y); missing ones, (0, 0), get confidence 0."""
    flat = [value for x, y in joints for value in (x, y, float(x > 0 or y > 0))]
    return {"people": [{"pose_keypoints_2d": flat}], "canvas_height": size[0], "canvas_width": size[1]}


class LadiVTON_StitchPerson(io.ComfyNode):
    """The result back in the photo."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_StitchPerson",
            display_name="Stitch Person",
            category=f"{CATEGORY}/person",
            description="Puts a result back into the photo that 'Fit Person' took it from, at the photo's own size.",
            inputs=[
                io.Image.Input("result", tooltip="From EMASC Decoder."),
                io.Image.Input("photo", tooltip="The photo that went into Fit Person."),
                FitRecord.Input("fit", tooltip="From Fit Person."),
                io.Mask.Input(
                    "mask", optional=True,
                    tooltip="Only this part of the result is taken, e.g. the mask of "
                        "Agnostic Person; all of it without.",
                ),
                io.Int.Input("feather", default=0, min=0, max=256, tooltip="Pixels over "
                    "which the mask's edge is blended."),
            ],
            outputs=[io.Image.Output("stitched", display_name="IMAGE", tooltip="The photo with the result in it.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, result: Tensor, photo: Tensor, fit: Fit, mask: Tensor | None = None, feather: int = 0
    ) -> io.NodeOutput:
        batch = common_batch(
            result=result[..., :3].movedim(-1, 1).contiguous(), photo=photo[..., :3].movedim(-1, 1).contiguous(),
            mask=None if mask is None else from_mask(mask, fit.size),
        )  # fmt: skip
        weight = None if batch["mask"] is None else soften_mask(batch["mask"], feather=feather)
        return io.NodeOutput(as_image(fit.restore(batch["result"], batch["photo"], weight)))


NODES = [LadiVTON_FitPerson, LadiVTON_StitchPerson]
