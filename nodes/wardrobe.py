"""Nodes for many people in many garments in one run: lists of people, a batch of garments, one labelled sheet.

Wardrobe People hands people on as a list, so that every node behind it runs once a person on the whole batch of
garments. `encoded_person.py` has the nodes between; `comparison.py` draws.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..ladivton_core.preprocessing.labels import CATEGORIES
from ..ladivton_core.preprocessing.masks.agnostic import agnostic_image
from .comparison import labelled_table
from .encoded_person import EncodedPerson
from .tensors import as_image, photo_pixels, to_image, to_mask
from .types import CATEGORY, Choice, EncodedPersonType, PoseMap, check_choices, io, search_aliases

PEOPLE, GARMENTS = 6, 8
LARGEST_SHEET = 100_000_000
"""Pixels of a sheet, 1.2 GB as an IMAGE."""


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
    def validate_inputs(cls, category: str | None = None) -> bool | str:
        return check_choices(cls, category=category)

    @classmethod
    def execute(cls, category: str = "upper_body") -> io.NodeOutput:
        return io.NodeOutput(category)


class LadiVTON_WardrobePeople(io.ComfyNode):
    """People, one after the other."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        further = [
            EncodedPersonType.Input(f"person_{number}", optional=True, tooltip=f"Person {number}, or several.")
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
                EncodedPersonType.Input("person_1", tooltip="From Encode Person; a batch counts as several people."),
                *further,
            ],
            outputs=[
                EncodedPersonType.Output("encoded_person", display_name="encoded_person", is_output_list=True,
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
    def execute(cls, person_1: EncodedPerson, **more: EncodedPerson | None) -> io.NodeOutput:
        connected = [person_1] + [more[name] for name in sorted(more) if more[name] is not None]
        people = [person for batch in connected for person in batch.one_by_one()]
        return io.NodeOutput(
            people,
            [to_image(person.picture) for person in people],
            [to_image(agnostic_image(person.picture, person.mask)) for person in people],
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


class LadiVTON_WardrobeSheet(io.ComfyNode):
    """Everybody in everything."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_WardrobeSheet",
            display_name="Wardrobe Sheet",
            **search_aliases("grid", "contact sheet", "lookbook", "outfits"),
            category=f"{CATEGORY}/wardrobe",
            description="One picture of a whole wardrobe run: a row for each person, a column for each garment, "
                "with their names.",
            inputs=[
                io.Image.Input("results", tooltip="From EMASC Decoder: a batch of garments for each person."),
                io.Image.Input("person", tooltip="From Wardrobe People, for the first column."),
                io.Image.Input("garments", tooltip="From Wardrobe Garments, for the first row."),
                io.String.Input(
                    "person_names", default="",
                    tooltip="Names of the people, separated by commas; empty numbers them.",
                ),
                io.String.Input(
                    "garment_names", default="",
                    tooltip="Names of the garments, separated by commas; empty numbers them.",
                ),
                io.Int.Input("height", default=512, min=16, max=4096, tooltip="Height of a picture in pixels."),
                io.Int.Input("gap", default=8, min=0, max=256, tooltip="White space between pictures in pixels."),
            ],
            outputs=[io.Image.Output("sheet", display_name="IMAGE", tooltip="The sheet.")],
            is_input_list=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls, results: list[Tensor], person: list[Tensor], garments: list[Tensor], person_names: list[str],
        garment_names: list[str], height: list[int], gap: list[int],
    ) -> io.NodeOutput:  # fmt: skip
        people, clothes = _pictures(person), _pictures(garments)
        rows = [_pictures([batch]) for batch in results]
        if len(rows) != len(people) or any(len(row) != len(clothes) for row in rows):
            sizes = " and ".join(sorted({str(len(row)) for row in rows}))
            raise ValueError(
                f"'results' are {len(rows)} batches of {sizes} pictures, "
                f"for {len(people)} people in {len(clothes)} garments. "
                "Connect 'person' of Wardrobe People, 'garments' of Wardrobe Garments, "
                "and the decoder behind Garment Conditioning."
            )
        names = _names(person_names[0], len(people), "person")
        table = [[None, *clothes]] + [[one, *row] for one, row in zip(people, rows, strict=True)]
        captions = [["", *_names(garment_names[0], len(clothes), "garment")]]
        captions += [[name] + [""] * len(clothes) for name in names]
        return io.NodeOutput(as_image(labelled_table(table, captions, height[0], gap[0], LARGEST_SHEET)[None]))


def _pictures(batches: list[Tensor]) -> list[Tensor]:
    """Every picture (1, 3, H, W) of a list of IMAGEs."""
    return [picture[None, ..., :3].movedim(-1, 1).float() for batch in batches for picture in batch]


def _names(text: str, count: int, what: str) -> list[str]:
    """Names (count,) from a list with commas; those missing are numbered."""
    given = [name.strip() for name in text.split(",")] if text.strip() else []
    if len(given) > count:
        raise ValueError(f"'{what}_names' has {len(given)} names for {count}: {text!r}.")
    return [name or f"{what} {number}" for number, name in enumerate(given + [""] * (count - len(given)), 1)]


NODES = [LadiVTON_Category, LadiVTON_WardrobePeople, LadiVTON_WardrobeGarments, LadiVTON_WardrobeSheet]
