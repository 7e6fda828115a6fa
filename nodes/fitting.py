"""Nodes that bring any photo to the models' size, with its joints, parse map and mask, and put the result back.

The paper's data sets have one size; real photos do not. Thin layers over `preprocessing/prepare.py` and
`finishing/stitching.py`; `person.py` takes what comes out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..ladivton_core.finishing.editing import at_window, bring_back, mask_at
from ..ladivton_core.preprocessing.framing.fitting import Border, Fit
from ..ladivton_core.preprocessing.framing.framing import STEADY
from ..ladivton_core.preprocessing.labels import CATEGORIES
from ..ladivton_core.preprocessing.masks.agnostic import nothing_to_repaint
from ..ladivton_core.preprocessing.masks.parts import face_and_hands
from ..ladivton_core.preprocessing.modes import MODES
from ..ladivton_core.preprocessing.people.chosen import people_in
from ..ladivton_core.preprocessing.prepare import fit_person
from .host.notes import Notes
from .host.types import CATEGORY, FitRecord, ParseMap, ParseMapType, PoseKeypoint, advanced, io, search_aliases
from .person import mode_input, nobody_input, person_index_input
from .tensors import as_image, check_multiple_of_8, common_batch, from_mask, photo_pixels, soft_mask, to_mask

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
                        "'dresses' from head to shoes. 'fit' then counts for frames without a person only. "
                        "Who lies or stands on their head is turned upright; 'Stitch Person' turns the result back.",
                ),
                nobody_input(),
                io.Combo.Input(
                    "steady", **advanced(), options=list(STEADY), default=STEADY[0], optional=True,
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
    def execute(
        cls, photo: Tensor, keypoints: list | None = None, parse_map: ParseMap | None = None,
        mask: Tensor | None = None, width: int = 384, height: int = 512, fit: str = "pad", border: str = "edge",
        person_index: int = 0, mode: str = "published", framing: str = WHOLE, nobody: str = "stop",
        steady: str = STEADY[0],
    ) -> io.NodeOutput:  # fmt: skip
        check_multiple_of_8(height, width, "height and width of Fit Person")
        pixels, notes = photo_pixels(photo, "photo"), Notes("Fit Person")
        size = (pixels.shape[-2], pixels.shape[-1])
        fitted = fit_person(
            pixels, (height, width), fit=fit, border=FILLS[border], mode=MODES[mode], steady=steady, say=notes.warn,
            people=None if keypoints is None else people_in(keypoints, size, person_index, MODES[mode], nobody),
            parse_map=parse_map and parse_map.labels, mask=None if mask is None else from_mask(mask, size),
            framing=None if framing == WHOLE else framing,
        )  # fmt: skip
        return io.NodeOutput(
            as_image(fitted.photo),
            fitted.keypoints,
            parse_map and ParseMap(fitted.parse_map, parse_map.label_set),
            None if mask is None else to_mask(fitted.mask),
            fitted.fits,
            ui=notes.ui,
        )


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
                "Only the masked part is taken; every other pixel stays the photo's, bit for bit. "
                "Takes what any model answers: of another size, moved by a few pixels, "
                "or a whole new picture of which only the clothes are wanted.",
            inputs=[
                io.Image.Input(
                    "result", tooltip="From EMASC Decoder, or any editor's picture of the fitted person: "
                        "of any size whose proportions fit.",
                ),
                io.Image.Input("photo", tooltip="The photo that went into Fit Person."),
                FitRecord.Input("fit", tooltip="From Fit Person."),
                io.Mask.Input(
                    "mask", optional=True,
                    tooltip="Only this part of the result is taken, e.g. the mask of "
                        "Agnostic Person or Body Mask; all of it without.",
                ),
                io.Int.Input(
                    "feather", default=0, min=0, max=256, tooltip="Pixels over which the mask's edge is blended."
                ),
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
                io.Mask.Input(
                    "keep_mask", optional=True,
                    tooltip="Never taken from the result, whatever 'mask' says: face, hair, a bag. "
                        "What is grey is taken in part.",
                ),
                PoseKeypoint.Input(
                    "keypoints", optional=True,
                    tooltip="Joints in the fitted picture, from Fit Person: face and hands then stay the photo's, "
                        "and 'register' follows them.",
                ),
                io.Boolean.Input(
                    "only_changed", default=False, optional=True,
                    tooltip="Take only what differs from the photo: for editors, which draw the whole picture anew. "
                        "With 'mask' within it.",
                ),
                io.Boolean.Input(
                    "register", default=False, optional=True,
                    tooltip="First move the result back to where the photo's surroundings are, "
                        "or say that it does not fit: editors shift and scale a little. "
                        "Needs the package opencv-python-headless.",
                ),
                io.Image.Input(
                    "onto", optional=True,
                    tooltip="The photo with other results already in it, from another Stitch Person: "
                        "they stay where this result changes nothing.",
                ),
                io.Boolean.Input(
                    "one_photo", **advanced(), default=False, optional=True,
                    tooltip="Put all results of a batch into one photo, one after another.",
                ),
            ],
            outputs=[
                io.Image.Output("stitched", display_name="IMAGE", tooltip="The photo with the result in it."),
                io.Mask.Output(
                    "taken", display_name="taken", tooltip="How much of every pixel of the photo is the result's."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, result: Tensor, photo: Tensor, fit: tuple[Fit, ...], mask: Tensor | None = None, feather: int = 0,
        blend: str = "feather", match_colour: bool = False, keep_mask: Tensor | None = None,
        keypoints: list | None = None, only_changed: bool = False, register: bool = False, onto: Tensor | None = None,
        one_photo: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        size, notes = fit[0].size, Notes("Stitch Person")
        batch = common_batch(
            result=photo_pixels(result, "result"), photo=photo_pixels(photo, "photo"),
            mask=None if mask is None else from_mask(_in_window(mask, fit, "mask"), size),
            keep_mask=None if keep_mask is None else _in_window(keep_mask, fit, "keep_mask")[:, None].clamp(0, 1),
            keypoints=None if keypoints is None else face_and_hands(keypoints, size),
            onto=None if onto is None else photo_pixels(onto, "onto"), fits=torch.arange(len(fit)),
        )  # fmt: skip
        empty = [] if batch["mask"] is None else nothing_to_repaint(batch["mask"])
        if empty:
            notes.warn(f"Picture {', '.join(map(str, empty))} stays the photo: 'mask' is black there.")
        stitched: list[Tensor] = []
        taken: list[Tensor] = []
        for item, plan in enumerate(batch["fits"]):
            before = (
                stitched.pop() if one_photo and stitched else None if batch["onto"] is None else batch["onto"][item]
            )
            made, share = bring_back(
                batch["result"][item], batch["photo"][item], fit[int(plan)],
                mask=None if batch["mask"] is None else batch["mask"][item],
                keep=None if batch["keep_mask"] is None else batch["keep_mask"][item],
                person=None if batch["keypoints"] is None else batch["keypoints"][item],
                feather=feather, blend=blend, match_colour=match_colour, only_changed=only_changed, register=register,
                onto=before, say=notes.say,
            )  # fmt: skip
            share = torch.maximum(share, taken.pop()) if one_photo and taken else share
            stitched.append(made)
            taken.append(share)
        return io.NodeOutput(as_image(torch.stack(stitched)), to_mask(torch.stack(taken)), ui=notes.ui)


def _in_window(mask: Tensor, fits: tuple[Fit, ...], what: str) -> Tensor:
    """A MASK of the photo or of the window, of any size with their proportions, in the windows of these fits."""
    mask = soft_mask(mask, what)
    size, window = tuple(mask.shape[-2:]), fits[0].size
    if size == window:
        return mask
    if size == fits[0].source:
        masks = common_batch(mask=mask[:, None], fits=torch.arange(len(fits)))
        shown = [
            fits[int(plan)].apply(one[None], fill=0) for plan, one in zip(masks["fits"], masks["mask"], strict=True)
        ]
        return torch.cat(shown)[:, 0]
    return mask_at(at_window(mask, fits[0], lambda _: None, what)[0], window)


NODES = [LadiVTON_FitPerson, LadiVTON_StitchPerson]
