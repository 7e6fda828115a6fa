"""Body Mask: what is repainted once it is known where the warped garment will lie.

Thin layer over `preprocessing/masks/person_mask.py: mask_body`. `person.py` has the masks that come before the warper.
"""

from __future__ import annotations

from torch import Tensor

from ..ladivton_core.preprocessing.labels import CATEGORIES
from ..ladivton_core.preprocessing.masks.body_mask import EMBEDDED_MARGIN, MARGIN, cloth_on_white
from ..ladivton_core.preprocessing.masks.person_mask import PARTS, mask_body
from ..ladivton_core.preprocessing.masks.underlay import underlay
from ..ladivton_core.preprocessing.modes import BODY
from ..ladivton_core.preprocessing.people.chosen import NOBODY, chosen_points, people_in
from .host.notes import Notes
from .host.types import CATEGORY, ParseMap, ParseMapType, PoseKeypoint, advanced, io, search_aliases
from .person import nobody_input, outfit_input, part_input, person_index_input
from .tensors import as_image, check_area, common_batch, from_image, from_mask, photo_pixels, to_mask


class LadiVTON_BodyMask(io.ComfyNode):
    """The inpaint mask that follows the body and the warped garment."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_BodyMask",
            display_name="Body Mask",
            **search_aliases("inpaint mask", "clothing mask", "outfit mask", "silhouette"),
            category=f"{CATEGORY}/person",
            description="The mask of what is repainted, no larger than needed: the person where the garment goes, "
                "a margin around, and where the warped garment lies. Face, hair, hands and other clothes stay. "
                "For the embedded models and for editors; the published weights know Agnostic Person's masks.",
            inputs=[
                io.Image.Input(
                    "warped_garment", optional=True,
                    tooltip="From Garment Warper: warped_garment or coarse, on white; the mask then takes its shape. "
                        "Without one it is the body's where such a garment goes, for models that warp none.",
                ),
                io.Combo.Input(
                    "category", options=list(CATEGORIES), default="upper_body",
                    tooltip="Which garment is exchanged: decides what is repainted and what is kept.",
                ),
                io.Mask.Input(
                    "silhouette", optional=True,
                    tooltip="The person, white where they are, from Find Person or any cut-out. "
                        "Holes are filled, and the joints add what it leaves out.",
                ),
                PoseKeypoint.Input(
                    "keypoints", optional=True,
                    tooltip="Body joints, with hands where the detector finds them. "
                        "Without them face and hands are not known: keep them with 'keep_mask'.",
                ),
                io.Mask.Input("keep_mask", optional=True, tooltip="Never repainted: hair over a shoulder, a bag."),
                io.Int.Input(
                    "margin", default=MARGIN, min=0, max=256,
                    tooltip="Pixels around the person that are repainted too, counted on a body of the data sets' size "
                        f"at 512 x 384; it follows the body. The embedded models want {EMBEDDED_MARGIN}.",
                ),
                io.Image.Input(
                    "person", optional=True,
                    tooltip="Photo of the person: its colours tell where top and trousers meet and trousers end.",
                ),
                ParseMapType.Input(
                    "parse_map", optional=True,
                    tooltip="Labels of the photo: they decide what is garment, face, hair and shoes, "
                        "in place of the silhouette.",
                ),
                person_index_input(),
                nobody_input(),
                part_input("neck", "the neck under tops and dresses is repainted"),
                part_input("hands", "hands stay"),
                outfit_input(),
                io.Boolean.Input(
                    "draw_underlay", **advanced(), default=False, optional=True,
                    tooltip="Draw what shows beside the new garment where the old one was: wall, skin, the clothes "
                        "below. For models that are too small to draw it; needs 'warped_garment', 'person' and "
                        "'keypoints'.",
                ),
            ],
            outputs=[
                io.Mask.Output("mask", display_name="mask", tooltip="White where the sampler repaints."),
                io.Mask.Output("paste_mask", display_name="paste_mask", tooltip="What of a result goes "
                    "into the photo, for the 'mask' of Stitch Person and EMASC Decoder: no ground beyond silhouette "
                    "or parse map where one is connected, and no skin that 'person' shows bare and that stays so.",
                ),
                io.Image.Output("underlay", display_name="underlay", tooltip="The photo with what shows beside the "
                    "garment, for Try-On Conditioning; middle grey under the garment and where nothing tells. "
                    "Nothing unless 'draw_underlay' is on.",
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, warped_garment: Tensor | None = None, category: str = "upper_body", silhouette: Tensor | None = None,
        keypoints: list | None = None, keep_mask: Tensor | None = None, margin: int = MARGIN,
        person: Tensor | None = None, parse_map: ParseMap | None = None, person_index: int = 0,
        nobody: str = NOBODY[0], neck: str = PARTS[0], hands: str = PARTS[0], whole_outfit: bool = False,
        draw_underlay: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        pictures = {"warped_garment": warped_garment, "person": person}
        sizes = {name: tuple(given.shape[1:3]) for name, given in pictures.items() if given is not None}
        if silhouette is not None:
            sizes["silhouette"] = tuple(silhouette.shape[-2:])
        if not sizes:
            raise ValueError("Nothing tells how large the mask is: connect 'person', 'silhouette' or 'warped_garment'.")
        needed = {"warped_garment": warped_garment, "person": person, "keypoints": keypoints}
        missing = [f"'{name}'" for name, given in needed.items() if given is None]
        if draw_underlay and missing:
            raise ValueError(f"'draw_underlay' is on: connect {', '.join(missing)}, or switch it off.")
        first, size = next(iter(sizes.items()))
        check_area(*size, first)
        notes = Notes("Body Mask")
        if person is not None and sizes["person"] != size:
            raise ValueError(
                f"'person' is {person.shape[1]} x {person.shape[2]} and 'warped_garment' {size[0]} x {size[1]} "
                "(height x width): connect the photo that Agnostic Person took."
            )
        garment = None if warped_garment is None else photo_pixels(warped_garment, "warped_garment").cpu()
        cloth = None if garment is None else cloth_on_white(garment)
        if cloth is not None and not cloth.flatten(1).any(1).all():
            notes.warn("A 'warped_garment' is white all over: the mask follows the person alone.")
        masks = {"silhouette": silhouette, "keep_mask": keep_mask}
        masks = {name: None if given is None else from_mask(given, size, name) for name, given in masks.items()}
        people = None if keypoints is None else people_in(keypoints, size, person_index, BODY, nobody)
        both = mask_body(
            category, size, cloth=cloth, people=people, margin=margin,
            paste=True, nobody=nobody, neck=neck, hands=hands, outfit=whole_outfit,
            person=None if person is None else from_image(person, "person").cpu(),
            parse_map=parse_map and parse_map.labels, labels=parse_map and parse_map.label_set, say=notes.warn, **masks,
        )  # fmt: skip
        repainted, paste, under = both[:, :1], both[:, 1:], None
        if draw_underlay:
            batch = common_batch(
                photo=photo_pixels(person, "person").cpu(), garment=garment, people=chosen_points(people), both=both,
                **masks,
            )  # fmt: skip
            everybody = [people[item if len(people) > 1 else 0] for item in range(len(batch["both"]))]
            drawn, paste = underlay(
                "dresses" if whole_outfit else category, batch["photo"], batch["both"], batch["garment"], everybody,
                batch["silhouette"], batch["keep_mask"],
            )  # fmt: skip
            under = as_image(drawn)
        return io.NodeOutput(to_mask(repainted), to_mask(paste), under, ui=notes.ui)


NODES = [LadiVTON_BodyMask]
