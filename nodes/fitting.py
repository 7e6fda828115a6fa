"""Nodes that bring any photo to the models' size, with its joints, parse map and mask, and put the result back.

The paper's data sets have one size; real photos do not. Thin layers over `preprocessing/framing/fitting.py`;
`person.py` takes what comes out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..ladivton_core.finishing.stitching import stitch
from ..ladivton_core.mask_edges import soften_mask
from ..ladivton_core.preprocessing.framing.fitting import Border, Fit, labels_at
from ..ladivton_core.preprocessing.framing.framing import STEADY, framed_together
from ..ladivton_core.preprocessing.labels import CATEGORIES
from ..ladivton_core.preprocessing.masks.agnostic import nothing_to_repaint
from ..ladivton_core.preprocessing.modes import MODES
from ..ladivton_core.preprocessing.pose.keypoints import pose_document
from .notes import Notes
from .people import (
    first_joints,
    mode_input,
    nobody_input,
    own_pixels,
    people_of,
    person_index_input,
    warn_of_joints_outside,
)
from .tensors import as_image, check_multiple_of_8, common_batch, from_mask, photo_pixels, to_mask
from .types import CATEGORY, FitRecord, ParseMap, ParseMapType, PoseKeypoint, check_choices, io, search_aliases

FILLS: dict[str, Border] = {
    "edge": None, "white": 1.0, "grey": 0.5, "black": 0.0, "reflect": "reflect", "blur": "blur"
}  # fmt: skip
WHOLE = "whole photo"


class LadiVTON_FitPerson(io.ComfyNode):
    """Any photo at the models' size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_FitPerson",
            display_name="Fit Person",
            **search_aliases("virtual try-on", "resize person", "crop person"),
            category=f"{CATEGORY}/person",
            description="Brings a photo of any size to one the models can work with, together with its joints, "
                "parse map and mask. With 'framing' it shows the chosen person as the data sets do, "
                "however small they stand in the photo. 'Stitch Person' puts the result back into the photo.",
            inputs=[
                io.Image.Input("photo", tooltip="Photo of the person, any size."),
                PoseKeypoint.Input("keypoints", optional=True, tooltip="Joints in the photo."),
                ParseMapType.Input("parse_map", optional=True, tooltip="Parse map of the photo, "
                    "at its size or another of the same proportions."),
                io.Mask.Input("mask", optional=True, tooltip="Mask of the photo, at its size."),
                io.Int.Input("width", default=384, min=8, max=8192, step=8, tooltip="Width of the fitted picture."),
                io.Int.Input("height", default=512, min=8, max=8192, step=8, tooltip="Height of the fitted picture."),
                io.Combo.Input(
                    "fit", options=["pad", "crop", "stretch"], default="pad",
                    tooltip="'pad' keeps all of the photo, 'crop' fills the size and cuts what sticks out, "
                        "'stretch' changes the proportions, as the paper's data sets do.",
                ),
                io.Combo.Input(
                    "border", options=list(FILLS), default="edge",
                    tooltip="What padding shows: the photo's edge drawn out, one colour, the photo mirrored, "
                        "or that out of focus.",
                ),
                person_index_input(),
                mode_input(),
                io.Combo.Input(
                    "framing", options=[WHOLE, *CATEGORIES], default=WHOLE, optional=True,
                    tooltip="Needs keypoints. A category shows the chosen person as its data set does: "
                        "'upper_body' from head to hips, 'lower_body' from chest to shoes, "
                        "'dresses' from head to shoes. 'fit' then counts for frames without a person only.",
                ),
                nobody_input(),
                io.Combo.Input(
                    "steady", options=list(STEADY), default=STEADY[0], optional=True,
                    tooltip="Frames of a video, with 'framing': 'smooth' lets the window follow the person without "
                        "trembling, 'one window' holds still around everywhere they go.",
                ),
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
    def validate_inputs(
        cls, fit: str | None = None, border: str | None = None, mode: str | None = None, framing: str | None = None,
        nobody: str | None = None, steady: str | None = None,
    ) -> bool | str:  # fmt: skip
        return check_choices(cls, fit=fit, border=border, mode=mode, framing=framing, nobody=nobody, steady=steady)

    @classmethod
    def execute(
        cls, photo: Tensor, keypoints: list | None = None, parse_map: ParseMap | None = None,
        mask: Tensor | None = None, width: int = 384, height: int = 512, fit: str = "pad", border: str = "edge",
        person_index: int = 0, mode: str = "published", framing: str = WHOLE, nobody: str = "stop",
        steady: str = STEADY[0],
    ) -> io.NodeOutput:  # fmt: skip
        allowed = cls.validate_inputs(fit, border, mode, framing, nobody, steady)
        if allowed is not True:  # a wire may bring anything
            raise ValueError(allowed)
        check_multiple_of_8(height, width, "height and width of Fit Person")
        pixels, size = photo_pixels(photo, "photo"), (height, width)
        source, notes = (pixels.shape[-2], pixels.shape[-1]), Notes("Fit Person")
        if framing != WHOLE and keypoints is None:
            raise ValueError(
                f"'framing' is {framing!r}, which needs to know where the person is: connect 'keypoints', e.g. from "
                f"Find Person, or choose {WHOLE!r}."
            )
        people = None if keypoints is None else people_of(keypoints, source, person_index, MODES[mode], nobody)
        labels = None if parse_map is None else labels_at(parse_map.labels, source)[:, None]
        batch = common_batch(
            photo=pixels, keypoints=None if people is None else first_joints(people), parse_map=labels,
            mask=None if mask is None else from_mask(mask, source, "mask"),
        )  # fmt: skip
        warn_of_joints_outside(notes, batch["keypoints"], source)
        if people is not None and MODES[mode].alone and any(len(body) > 1 for body in people):
            own = own_pixels(people, source).to(pixels.device)
            for name in ("parse_map", "mask"):
                batch[name] = None if batch[name] is None else torch.where(own, batch[name], 0)
        plans = [Fit.plan(source, size, fit)]
        if framing != WHOLE:
            plans = _framed(batch["keypoints"], framing, source, size, plans[0], steady, notes)
        fitted = {name: _fitted(tensor, plans, FILLS[border] if name == "photo" else 0, name != "photo")
                  for name, tensor in batch.items() if name != "keypoints"}  # fmt: skip
        return io.NodeOutput(
            as_image(fitted["photo"]),
            None if people is None else _documents(people, plans, size, MODES[mode].alone),
            None if labels is None else ParseMap(fitted["parse_map"][:, 0], parse_map.label_set),
            None if mask is None else to_mask(fitted["mask"]),
            tuple(plans),
            ui=notes.ui,
        )


def _framed(
    joints: Tensor, framing: str, source: tuple[int, int], size: tuple[int, int], whole: Fit, steady: str, notes: Notes
) -> list[Fit]:
    """A window around the person of every picture; the whole picture where the joints do not tell where they are."""
    plans = []
    found = framed_together(joints.cpu(), framing, source, size, steady)
    for picture, plan in enumerate(found):
        if plan is None:
            if joints[picture].any():
                notes.warn(f"The joints of picture {picture} do not tell where the person is: all of it is shown.")
            plan = whole
        elif (scale := plan.placed[2] / plan.taken[2]) > 2:
            notes.warn(
                f"The person of picture {picture} is small in the photo and is enlarged {scale:.1f} times: "
                "the result will be soft. Use a photo in which they are larger."
            )
        plans.append(plan)
    return plans


def _fitted(tensor: Tensor | None, plans: list[Fit], fill: Border, nearest: bool) -> Tensor | None:
    """Every item (B, C, H, W) through its own plan, or all through the only one."""
    if tensor is None:
        return None
    if len(plans) == 1:
        return plans[0].apply(tensor, fill=fill, nearest=nearest)
    tensor = tensor.expand(len(plans), *tensor.shape[1:])
    items = zip(plans, tensor, strict=True)
    return torch.cat([plan.apply(item[None], fill=fill, nearest=nearest) for plan, item in items])


def _documents(people: list[Tensor], plans: list[Fit], size: tuple[int, int], everyone: bool) -> list[dict]:
    """Frames of POSE_KEYPOINT in the fitted pictures: the chosen person, and the others behind them if asked for."""
    frames = len(people) if len(plans) == 1 else len(plans)
    documents = []
    for item in range(frames):
        bodies = people[item if len(people) > 1 else 0]
        bodies = bodies if everyone else bodies[:1]
        points = plans[item if len(plans) > 1 else 0].apply_points(bodies[..., :2])
        scores = bodies[..., 2:] if everyone else (points > 0).any(-1, keepdim=True)
        documents.append(pose_document(torch.cat([points, scores.to(points)], -1), size, chosen=0))
    return documents


class LadiVTON_StitchPerson(io.ComfyNode):
    """The result back in the photo."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_StitchPerson",
            display_name="Stitch Person",
            **search_aliases("uncrop", "paste back"),
            category=f"{CATEGORY}/person",
            description="Puts a result back into the photo that 'Fit Person' took it from, at the photo's own size. "
                "Only the masked part is taken; every other pixel stays the photo's, bit for bit.",
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
                io.Combo.Input(
                    "blend", options=["feather", "poisson"], default="feather", optional=True,
                    tooltip="'feather' mixes along the mask's edge; 'poisson' also carries the light around the mask "
                        "into it, and needs the package opencv-python-headless.",
                ),
                io.Boolean.Input(
                    "match_colour", default=False, optional=True,
                    tooltip="Give the result the colours that the photo has around the mask; "
                        "the VAE shifts them a little.",
                ),
            ],
            outputs=[io.Image.Output("stitched", display_name="IMAGE", tooltip="The photo with the result in it.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, blend: str | None = None) -> bool | str:
        return check_choices(cls, blend=blend)

    @classmethod
    def execute(
        cls, result: Tensor, photo: Tensor, fit: tuple[Fit, ...], mask: Tensor | None = None, feather: int = 0,
        blend: str = "feather", match_colour: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        batch = common_batch(
            result=photo_pixels(result, "result"), photo=photo_pixels(photo, "photo"),
            mask=None if mask is None else from_mask(mask, fit[0].size), fits=torch.arange(len(fit)),
        )  # fmt: skip
        notes = Notes("Stitch Person")
        empty = [] if batch["mask"] is None else nothing_to_repaint(batch["mask"])
        if empty:
            notes.warn(f"Picture {', '.join(map(str, empty))} stays the photo: 'mask' is black there.")
        weight = None if batch["mask"] is None else soften_mask(batch["mask"], feather=feather)
        stitched = [
            stitch(
                batch["result"][item], batch["photo"][item].to(batch["result"]), fit[int(plan)],
                None if weight is None else weight[item], blend=blend, match_colour=match_colour,
            )
            for item, plan in enumerate(batch["fits"])
        ]  # fmt: skip
        return io.NodeOutput(as_image(torch.stack(stitched)), ui=notes.ui)


NODES = [LadiVTON_FitPerson, LadiVTON_StitchPerson]
