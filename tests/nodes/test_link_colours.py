"""Every wire type of the pack's own has a colour that is told from the others, from ComfyUI's and from the ground."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

COMFYUI = {
    "CLIP": "#FFD500", "CLIP_VISION": "#A8DADC", "CONDITIONING": "#FFA931", "IMAGE": "#64B5F6", "LATENT": "#FF9CF9",
    "MASK": "#81C784", "MODEL": "#B39DDB", "VAE": "#FF6E6E", "nothing known": "#999999",
}  # fmt: skip
"""Its dark palette, and the grey of types without a colour."""
GROUND = "#353535"
CLEAR = 15.0
"""CIEDE2000 between two wires side by side; 2.3 is just noticed."""


@pytest.fixture(scope="module")
def colours(repository) -> dict[str, str]:
    text = (repository / "web" / "js" / "link_colours.js").read_text(encoding="utf-8")
    return dict(re.findall(r'(LADI_\w+): "(#[0-9a-f]{6})"', text))


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])


def difference(one: str, other: str) -> float:
    from skimage.color import deltaE_ciede2000, rgb2lab

    return float(deltaE_ciede2000(rgb2lab(rgb(one)), rgb2lab(rgb(other))))


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it."""
    linear = np.where(rgb(colour) <= 0.04045, rgb(colour) / 12.92, ((rgb(colour) + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_every_own_type_has_a_colour_and_no_other(nodes, colours):
    schemas = [node.define_schema() for node in nodes.values()]
    types = {part.get_io_type() for schema in schemas for part in (*schema.inputs, *schema.outputs)}
    assert colours.keys() == {kind for kind in types if kind.startswith("LADI_")}


def test_colours_are_told_apart(colours):
    for (name, one), (other_name, other) in itertools.combinations((colours | COMFYUI).items(), 2):
        if {name, other_name} & colours.keys():
            assert difference(one, other) > CLEAR, f"{name} and {other_name}"


def test_colours_stand_out_from_a_nodes_ground(colours):
    for name, colour in colours.items():
        lighter, darker = sorted((luminance(colour), luminance(GROUND)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) > 3, f"{name}: WCAG asks 3 of graphics"
