"""Nodes for many people in many garments in one run: everybody and everything encoded once, people as a list.

Encode Person and Garment Conditioning are the halves of `conditioning.py`'s node. Wardrobe People hands people on as a
list, so that every node behind it runs once a person on the whole batch of garments; `comparison.py` draws the sheet.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..ladivton_core.encodings import PersonEncoding, count, item
from ..ladivton_core.preprocessing.labels import CATEGORIES
from .conditioning import (
    conditioning_outputs,
    dress,
    encode_person,
    lay_garment_inputs,
    of_empty_masks,
    posterior_inputs,
    text_inputs,
)
from .host.notes import Notes
from .host.types import CATEGORY, Choice, EncodedPerson, PoseMap, ProgressBar, io, search_aliases
from .tensors import from_image, photo_pixels, to_image, to_mask
from .upstream import photo_for_drawn_models

PEOPLE, GARMENTS = 6, 8


class LadiVTON_Category(io.ComfyNode):
    """One value for every 'category'."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_Category",
            display_name="Garment Category",
            **search_aliases("upper body", "lower body", "dresses", "clothes"),
            category=f"{CATEGORY}/wardrobe",
            description="Which garment is exchanged, once for the whole graph: wire it to every 'category'.",
            inputs=[
                io.Combo.Input(
                    "category", options=list(CATEGORIES), default="upper_body",
                    tooltip="Upper body, lower body or dresses.",
                ),
            ],
            outputs=[
                Choice.Output("category_out", display_name="category",
                    tooltip="For Agnostic Person, Textual Inversion Encoder and the other nodes with a category."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, category: str = "upper_body") -> io.NodeOutput:
        return io.NodeOutput(category)


class LadiVTON_EncodePerson(io.ComfyNode):
    """The half of Try-On Conditioning that stays with the person."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_EncodePerson",
            display_name="Encode Person",
            **search_aliases("vae encode", "wardrobe", "virtual try-on"),
            category=f"{CATEGORY}/wardrobe",
            description="Encodes a person once for any number of garments: "
                "with Garment Conditioning, a new garment runs nothing of the person again.",
            inputs=[
                io.Vae.Input("vae", tooltip="Stable Diffusion VAE (or the embedded one)."),
                io.Image.Input("person", tooltip="Photo of the person, whole."),
                io.Mask.Input("mask", tooltip="White where the sampler repaints, from Agnostic Person or Body Mask."),
                PoseMap.Input("pose_map", tooltip="Pose of the person, from Pose Map."),
                io.Boolean.Input(
                    "latent_of_person", default=False,
                    tooltip="Put the encoded person into the LATENT of Garment Conditioning "
                        "instead of leaving it empty, as in Try-On Conditioning.",
                ),
            ],
            outputs=[
                EncodedPerson.Output("encoded_person", display_name="encoded_person",
                    tooltip="For Garment Conditioning and Wardrobe People."),
            ],
            hidden=[io.Hidden.dynprompt],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, vae, person: Tensor, mask: Tensor, pose_map: Tensor, latent_of_person: bool = False
    ) -> io.NodeOutput:
        progress, notes = ProgressBar((2 if latent_of_person else 1) * person.shape[0]), Notes("Encode Person")
        people = encode_person(vae, person, mask, pose_map, with_latents=latent_of_person, progress=progress)
        notes.warn(of_empty_masks(people.mask))
        notes.warn(photo_for_drawn_models(vae, cls.hidden))
        return io.NodeOutput(people, ui=notes.ui)


class LadiVTON_GarmentConditioning(io.ComfyNode):
    """The half of Try-On Conditioning that changes with the garment."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_GarmentConditioning",
            display_name="Garment Conditioning",
            **search_aliases("wardrobe", "clothes", "outfit", "virtual try-on"),
            category=f"{CATEGORY}/wardrobe",
            description="Try-On Conditioning for a person from Encode Person: the same channels, to the bit, "
                "without encoding the person again.",
            inputs=[
                *text_inputs(),
                io.Vae.Input("vae", tooltip="The VAE that encoded the person."),
                EncodedPerson.Input("encoded_person", tooltip="From Encode Person or Wardrobe People."),
                io.Image.Input("warped_garment", tooltip="From Garment Warper."),
                *posterior_inputs(),
                *lay_garment_inputs(),
            ],
            outputs=conditioning_outputs(),
        )  # fmt: skip

    @classmethod
    def execute(
        cls, positive: list, negative: list, vae, encoded_person: PersonEncoding, warped_garment: Tensor,
        sample_posterior: bool = True, posterior_seed: int = 1234, no_pose: bool = False, lay_garment: bool = False,
        underlay: Tensor | None = None,
    ) -> io.NodeOutput:  # fmt: skip
        garment = from_image(warped_garment, "warped_garment")
        return io.NodeOutput(
            *dress(
                encoded_person, positive, negative, vae, garment, sample_posterior=sample_posterior,
                posterior_seed=posterior_seed, no_pose=no_pose, lay_garment=lay_garment,
                underlay=underlay, progress=ProgressBar(garment.shape[0]),
            )
        )  # fmt: skip


class LadiVTON_WardrobePeople(io.ComfyNode):
    """People, one after the other."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        further = [
            EncodedPerson.Input(f"person_{number}", optional=True, tooltip=f"Person {number}, or several.")
            for number in range(2, PEOPLE + 1)
        ]
        return io.Schema(
            node_id="LadiVTON_WardrobePeople",
            display_name="Wardrobe People",
            **search_aliases("several people", "list", "batch", "outfit"),
            category=f"{CATEGORY}/wardrobe",
            description="Hands people on one by one: every node behind it runs once a person, "
                "each time with the whole batch of garments. People may differ in size.",
            inputs=[
                EncodedPerson.Input("person_1", tooltip="From Encode Person; a batch counts as several people."),
                *further,
            ],
            outputs=[
                EncodedPerson.Output("encoded_person", display_name="encoded_person", is_output_list=True,
                    tooltip="For Garment Conditioning."),
                io.Image.Output("person", display_name="person", is_output_list=True,
                    tooltip="The photos, for Wardrobe Sheet, and for EMASC Decoder to paste back into."),
                io.Image.Output("agnostic", display_name="agnostic", is_output_list=True,
                    tooltip="For Garment Warper."),
                io.Mask.Output("mask", display_name="mask", is_output_list=True, tooltip="What is repainted."),
                PoseMap.Output("pose_map", display_name="pose_map", is_output_list=True, tooltip="For Garment Warper."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, person_1: PersonEncoding, **more: PersonEncoding | None) -> io.NodeOutput:
        connected = [person_1] + [more[name] for name in sorted(more) if more[name] is not None]
        people = [item(batch, place) for batch in connected for place in range(count(batch))]
        return io.NodeOutput(
            people,
            [to_image(person.person) for person in people],
            [to_image(person.agnostic) for person in people],
            [to_mask(person.mask) for person in people],
            [person.pose_map for person in people],
        )


class LadiVTON_WardrobeGarments(io.ComfyNode):
    """Garments as one batch."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        further = [
            io.Image.Input(f"garment_{number}", optional=True, tooltip=f"Garment {number}, or several.")
            for number in range(2, GARMENTS + 1)
        ]
        return io.Schema(
            node_id="LadiVTON_WardrobeGarments",
            display_name="Wardrobe Garments",
            **search_aliases("clothes", "outfits", "batch", "several garments"),
            category=f"{CATEGORY}/wardrobe",
            description="Garments of one size as one batch, which every person tries on in one go.",
            inputs=[
                io.Image.Input("garment_1", tooltip="Garment on white, from Prepare Garment; "
                    "a batch counts as several garments."),
                *further,
            ],
            outputs=[io.Image.Output("garments", display_name="garments", tooltip="For Textual Inversion Encoder "
                "and Garment Warper.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, garment_1: Tensor, **more: Tensor | None) -> io.NodeOutput:
        connected = {"garment_1": garment_1} | {name: more[name] for name in sorted(more) if more[name] is not None}
        for name, garment in connected.items():
            if garment.shape[1:3] != garment_1.shape[1:3]:
                raise ValueError(
                    f"'{name}' is {garment.shape[1]} x {garment.shape[2]} and 'garment_1' {garment_1.shape[1]} x "
                    f"{garment_1.shape[2]} (height x width). Put 'Prepare Garment' before each, at one size."
                )
        batches = [photo_pixels(garment, name).to(garment_1.device) for name, garment in connected.items()]
        return io.NodeOutput(torch.cat(batches).movedim(1, -1).contiguous())


NODES = [
    LadiVTON_Category, LadiVTON_EncodePerson, LadiVTON_GarmentConditioning, LadiVTON_WardrobePeople,
    LadiVTON_WardrobeGarments,
]  # fmt: skip
