"""Garment Detail: the garment's own letters, stripes and weave in the finished photo.

Thin layer over `finishing/detail.py`; it comes behind Stitch Person (`fitting.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..ladivton_core.finishing.detail import garment_detail
from ..ladivton_core.preprocessing.framing.fitting import Fit
from .host.notes import Notes
from .host.types import CATEGORY, FitRecord, Spline, advanced, io, one_by_one, search_aliases
from .tensors import as_image, common_batch, photo_pixels, soft_mask, to_mask


class LadiVTON_GarmentDetail(io.ComfyNode):
    """What the models' size could not hold, from the garment's own picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_GarmentDetail",
            display_name="Garment Detail",
            **search_aliases("sharpen clothes", "texture", "logo", "letters", "print", "pattern", "upscale"),
            category=f"{CATEGORY}/garment",
            description="Gives a finished photo the garment's fine detail back, such as letters, stripes and weave: "
                "lays the garment's picture where the spline hung it, at the photo's own resolution, "
                "and takes its detail as far as it agrees with the result. Everything else stays as it is. "
                "Needs the package opencv-python-headless, unless the garment was laid there.",
            inputs=[
                io.Image.Input("picture", tooltip="The finished photo, from Stitch Person."),
                io.Image.Input("garment", tooltip="The garment that was warped, in more pixels: "
                    "'large' of Prepare Garment."),
                FitRecord.Input(
                    "fit", optional=True,
                    tooltip="From Fit Person. Without it the picture shows what the models saw, e.g. enlarged.",
                ),
                Spline.Input(
                    "spline", optional=True,
                    tooltip="From Garment Warper. Without it the garment is looked for in 'region', "
                        "which succeeds where it hangs much as in its picture.",
                ),
                io.Mask.Input(
                    "region", optional=True,
                    tooltip="Where the picture may change: 'taken' of Stitch Person. All of it without.",
                ),
                io.Boolean.Input(
                    "laid", **advanced(), default=False, optional=True,
                    tooltip="On behind 'lay_garment' of Try-On Conditioning: the garment lies just where the spline "
                        "hung it, so that nothing has to be moved onto the result and OpenCV is not needed.",
                ),
            ],
            outputs=[
                io.Image.Output("detailed", display_name="IMAGE", tooltip="The picture with the garment's detail."),
                io.Mask.Output(
                    "weight", display_name="weight",
                    tooltip="How much of the finest detail is the garment's; nothing changed where it is black.",
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, picture: Tensor, garment: Tensor, fit: tuple[Fit, ...] | None = None, spline: Tensor | None = None,
        region: Tensor | None = None, laid: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        notes = Notes("Garment Detail")
        batch = common_batch(
            picture=photo_pixels(picture, "picture"), garment=photo_pixels(garment, "garment"), spline=spline,
            region=None if region is None else soft_mask(region, "region")[:, None].clamp(0, 1),
            fits=None if fit is None else torch.arange(len(fit)),
        )  # fmt: skip
        detailed, weights = [], []
        for item in one_by_one(range(len(batch["picture"]))):
            given = {name: None if tensor is None else tensor[item] for name, tensor in batch.items()}
            plan = None if fit is None else fit[int(given["fits"])]
            made, weight = garment_detail(
                given["picture"], given["garment"], plan, spline=given["spline"], region=given["region"], laid=laid,
                say=lambda text, item=item: notes.warn(f"Picture {item}: {text}"),
            )  # fmt: skip
            detailed.append(made)
            weights.append(weight)
        return io.NodeOutput(as_image(torch.stack(detailed)), to_mask(torch.stack(weights)), ui=notes.ui)


NODES = [LadiVTON_GarmentDetail]
