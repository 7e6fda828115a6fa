"""Nodes on the garment: on white, and warped onto the person.

Paper section 3.2. `inversion.py` writes the garment into the prompt, `conditioning.py` takes the warped garment.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..ladivton_core.preprocessing.framing.fitting import Fit
from ..ladivton_core.preprocessing.garment.backdrop import (
    CENTRED,
    backdrop_of,
    centred_on_white,
    ground_to_white,
    looks_inverted,
)
from ..ladivton_core.preprocessing.garment.collar import COLLARED, inside_of_collar
from ..ladivton_core.preprocessing.garment.garment import garment_on_white
from ..ladivton_core.preprocessing.labels import CATEGORIES
from ..ladivton_core.runtime.finite import require_finite
from ..ladivton_core.warping.skeleton import LEFT_TO_THE_SPLINE
from ..ladivton_core.warping.warper import sample_garment
from .host.notes import Notes
from .host.types import CATEGORY, PoseMap, Spline, TorchPart, Warper, advanced, io, one_by_one, search_aliases
from .tensors import LARGEST_AREA, check_multiple_of_8, common_batch, from_image, soft_mask, to_image

SQUEEZED = 1.1
"""A garment whose proportions are changed by more than this factor is told."""


class LadiVTON_PrepareGarment(io.ComfyNode):
    """Garment on white, at the models' size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_PrepareGarment",
            display_name="Prepare Garment (Clothing)",
            **search_aliases("clothes", "dress", "outfit", "wardrobe", "fashion", "shirt", "product photo"),
            category=f"{CATEGORY}/garment",
            description="Puts the shop garment on white and brings it to the size the models know. "
                "Transparent pictures come out on white; a plain grey or beige backdrop can be turned white.",
            inputs=[
                io.Image.Input("garment", tooltip="Shop photo of the garment alone, "
                    "lying or hanging, seen from the front."),
                io.Mask.Input(
                    "mask", optional=True,
                    tooltip="White where the garment is; everything else becomes white. "
                        "Not needed on a white backdrop.",
                ),
                io.Boolean.Input(
                    "invert_mask", default=False,
                    tooltip="Turn on for the MASK of Load Image, which is white where a PNG is transparent.",
                ),
                io.Int.Input(
                    "width", **advanced(), default=384, min=8, max=8192, step=8, tooltip="Width of the result."
                ),
                io.Int.Input(
                    "height", **advanced(), default=512, min=8, max=8192, step=8, tooltip="Height of the result."
                ),
                io.Combo.Input(
                    "fit", options=["stretch", "pad", "crop"], default="stretch",
                    tooltip="How other proportions are fitted: 'stretch' as the paper's data sets do, "
                        "'pad' with white, 'crop' what sticks out.",
                ),
                io.Combo.Input(
                    "backdrop", options=["keep", "white"], default="keep", optional=True,
                    tooltip="'white' turns a plain backdrop (grey, beige, off-white, a gradient) white; "
                        "'keep' leaves it, as in the paper. Neither finds a garment in front of something busy.",
                ),
                io.Boolean.Input(
                    "centre", default=False, optional=True,
                    tooltip="Cut the garment out of its white and show it in the middle, filling the picture as in the "
                        "data sets; its proportions are kept, and 'fit' is not used.",
                ),
                io.Combo.Input(
                    "garment_category", **advanced(), options=["any", *CATEGORIES], default="any", optional=True,
                    tooltip="What the garment is, for 'centre': the embedded spline hangs tops as well whole, so with "
                        "'upper_body' they are not centred. 'any' centres everything.",
                ),
                io.Boolean.Input(
                    "open_collar", **advanced(), default=False, optional=True,
                    tooltip="Turn the inside of the back white that a top or dress lying flat shows above its front "
                        "neckline: worn, it is behind the neck. Where it cannot be told with certainty it stays.",
                ),
            ],
            outputs=[
                io.Image.Output("garment_on_white", display_name="garment_on_white", tooltip="Garment on white."),
                io.Image.Output(
                    "large", display_name="large",
                    tooltip="The same at the resolution of its own picture, for Garment Detail.",
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, garment: Tensor, mask: Tensor | None = None, invert_mask: bool = False, width: int = 384,
        height: int = 512, fit: str = "stretch", backdrop: str = "keep", centre: bool = False,
        garment_category: str = "any", open_collar: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        check_multiple_of_8(height, width, "height and width of Prepare Garment")
        pixels, notes = from_image(garment, "garment"), Notes("Prepare Garment")
        if mask is not None:
            soft = soft_mask(mask)
            if soft.shape[-2:] != pixels.shape[-2:]:
                raise ValueError(
                    f"'mask' is {soft.shape[-2]} x {soft.shape[-1]} and 'garment' {pixels.shape[-2]} x "
                    f"{pixels.shape[-1]} (height x width); both must come from the same photo. "
                    "(Load Image gives a 64 x 64 mask for a picture without transparency: disconnect it.)"
                )
            soft = 1 - soft if invert_mask else soft
            for picture, item in enumerate(soft):
                if looks_inverted(item):
                    notes.warn(
                        f"The mask of picture {picture} is white all around and black inside: it seems to be the wrong "
                        "way round. Switch 'invert_mask'; the MASK of Load Image needs it."
                    )
                elif not (item >= 0.5).any():
                    notes.warn(f"The mask of picture {picture} is empty: nothing of the garment is left.")
            pair = common_batch(garment=pixels, mask=soft[:, None])
            pixels = garment_on_white(pair["garment"], pair["mask"])
        shown = (pixels + 1) / 2
        if backdrop == "white":
            grounds = [_whitened(item, picture, notes) for picture, item in enumerate(shown)]
            shown = torch.stack(grounds)
            pixels = torch.where((shown == (pixels + 1) / 2).all(1, keepdim=True), pixels, shown * 2 - 1)
        elif mask is None:
            _say_what_is_behind(shown, notes)
        if open_collar and garment_category in ("any", *COLLARED):
            inside = inside_of_collar(shown) > 0
            shown, pixels = (values.masked_fill(inside, 1.0) for values in (shown, pixels))
        centred = centre and garment_category in ("any", *CENTRED)
        stretched = width * pixels.shape[-2] / (height * pixels.shape[-1])
        if fit == "stretch" and not centred and max(stretched, 1 / stretched) > SQUEEZED:
            notes.warn(
                f"The garment is {pixels.shape[-1]} x {pixels.shape[-2]}, stretched to {width} x {height} (width x "
                f"height) it comes out {abs(stretched - 1):.0%} {'narrower' if stretched < 1 else 'wider'}. "
                "Set 'fit' to 'pad', or switch 'centre' on."
            )
        plan = Fit.plan((pixels.shape[-2], pixels.shape[-1]), (height, width), fit)
        most, made = min(plan.times, math.isqrt(LARGEST_AREA // (height * width))), {}
        for times in {1, most}:
            if centred:
                drawn = [centred_on_white(item, (height, width), times=times) for item in shown.cpu()]
                made[times] = to_image(torch.stack(drawn) * 2 - 1)
            else:
                made[times] = to_image(plan.enlarged(times).apply(pixels, fill=1.0))
        return io.NodeOutput(made[1], made[most], ui=notes.ui)


def _whitened(garment: Tensor, picture: int, notes: Notes) -> Tensor:
    """One garment (3, H, W) in [0, 1] on white; as it is, with a note, where its ground cannot be told."""
    found = ground_to_white(garment.cpu())
    if found is None:
        notes.warn(
            f"The backdrop of picture {picture} is busy, or the garment is worn by somebody, or they have one colour: "
            "it stays, and would be warped along. Cut the garment out and connect its mask."
        )
        return garment
    return found.to(garment)


def _say_what_is_behind(shown: Tensor, notes: Notes) -> None:
    """Note the pictures (B, 3, H, W) in [0, 1] that do not lie on white."""
    for picture, item in enumerate(shown.cpu()):
        kind = backdrop_of(item).kind
        if kind != "white":
            advice = "Set 'backdrop' to 'white'" if kind == "plain" else "Cut the garment out and connect its mask"
            notes.warn(
                f"The garment of picture {picture} lies on a {kind} ground that is not white, "
                f"which the models would lay onto the person. {advice}."
            )


class LadiVTON_GarmentWarper(io.ComfyNode):
    """Lay the garment on the person."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_GarmentWarper",
            display_name="Garment Warper",
            **search_aliases("clothes", "clothing", "dress", "outfit", "thin-plate spline", "tps"),
            category=f"{CATEGORY}/garment",
            description="Bends the garment onto the person's pose with a thin-plate spline (predicted at 256 x 192, "
            "applied at full size) and refines the result.",
            inputs=[
                Warper.Input("warper", tooltip="From Load Garment Warper or Load Embedded Try-On Models."),
                io.Image.Input("garment", tooltip="Garment on white, from Prepare Garment."),
                io.Image.Input("agnostic", tooltip="Person without the old garment, from Agnostic Person."),
                PoseMap.Input("pose_map", tooltip="Pose of the person, from Pose Map."),
                io.Boolean.Input(
                    "photograph", **advanced(), default=False, optional=True,
                    tooltip="For photographs on the embedded warper: trunk, sleeves and legs of the garment go along "
                        "the person's; where they cannot be told, a spline that learned photographs bends it. "
                        "The published warpers have one way only.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "warped_garment",
                    display_name="warped_garment",
                    tooltip="Warped and refined garment, for Try-On Conditioning.",
                ),
                io.Image.Output("coarse", display_name="coarse", tooltip="The same before refinement."),
                io.Image.Output(
                    "grid", display_name="grid", tooltip="The spline's mesh over the coarse garment, to look at."
                ),
                Spline.Output(
                    "spline", display_name="spline",
                    tooltip="Where in the garment's picture every pixel looks, for Garment Detail.",
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, warper: TorchPart, garment: Tensor, agnostic: Tensor, pose_map: Tensor, photograph: bool = False
    ) -> io.NodeOutput:
        check_multiple_of_8(agnostic.shape[1], agnostic.shape[2], "agnostic")
        batch = common_batch(
            garment=from_image(garment, "garment"), agnostic=from_image(agnostic, "agnostic"), pose_map=pose_map
        )
        warped, coarse, meshes, splines = [], [], [], []
        notes = Notes("Garment Warper")
        # At full size the refinement U-Net holds some 500 float32 a pixel: 64 + 128 channels, and what they come from.
        with warper.loaded(memory_required=2000 * agnostic.shape[1] * agnostic.shape[2]) as network:
            # One by one: memory stays flat, and an item does not depend on its batch.
            for item in one_by_one(range(len(batch["garment"]))):
                one = (tensor[item : item + 1].to(warper.device) for tensor in batch.values())
                result = network(*one, photograph=photograph)
                if photograph and network.garment_parts is not None and not result.dressed:
                    notes.warn(f"The garment of picture {item} {LEFT_TO_THE_SPLINE}.")
                for made in (result.grid, result.warped):  # sampling at places that are no numbers gives a flat picture
                    require_finite(made, "The garment warper", f"Load another copy of its file ({warper.source}).")
                warped.append(to_image(result.warped))
                coarse.append(to_image(result.coarse))
                meshes.append(to_image(_with_mesh(result.coarse, result.grid)))
                splines.append(result.grid.to(meshes[0].device))
        return io.NodeOutput(*map(torch.cat, (warped, coarse, meshes, splines)), ui=notes.ui)


def _with_mesh(coarse: Tensor, grid: Tensor, cells: int = 16) -> Tensor:
    """Coarse garment (B, 3, H, W) with the lines of a regular mesh in the garment's frame drawn where they went."""
    height, width = coarse.shape[-2:]
    rows = torch.arange(height, device=coarse.device) * cells % height < cells
    columns = torch.arange(width, device=coarse.device) * cells % width < cells
    mesh = (rows[:, None] | columns[None]).to(coarse).expand(coarse.shape[0], 1, height, width)
    # Beyond the garment's picture its border repeats, and so would the mesh: leave that part plain.
    inside = (grid.abs() <= 1).all(-1)[:, None].to(coarse)
    lines = sample_garment(mesh, grid) * inside
    red = coarse.new_tensor([1.0, -0.6, -0.6]).view(1, 3, 1, 1)
    return coarse * (1 - lines) + red * lines


NODES = [LadiVTON_PrepareGarment, LadiVTON_GarmentWarper]
