"""Parity family of the data sets: files under `datasets/` to masks, pictures and pose maps.

Masks must be equal to the pixel; pictures may differ by two 8-bit levels (JPEG decoders). What the tensors
mean is in the case's `note`; published §1. `stage_cases.py` does the next ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..datasets.dresscode import DressCode
from ..datasets.sample import SIZE, TryOnSample
from ..datasets.vitonhd import VitonHD
from ..preprocessing import worn_garment
from .case import Case, Check, compare, family

_LEVELS = 2.0
_POSE = 1e-6
# Sums over a channel of up to 2e5 pixels, each within `_POSE` but rounding both ways.
_POSE_SUM = 1e-3


def load_sample(case: Case, spec: Mapping[str, Any], size: tuple[int, int]) -> tuple[TryOnSample, VitonHD | DressCode]:
    """The sample that `spec` (category, im_name, c_name, key or dataset) describes, and the data set it came from.

    Raises:
        ValueError: no split and order of the data set pairs these two names.
    """
    name = spec.get("dataset") or spec["key"].split("/")[0]
    wanted = (spec["im_name"], spec["c_name"])
    for split, order in (("test", "unpaired"), ("test", "paired"), ("train", "paired")):
        root = case.datasets / name
        try:
            if name == "vitonhd":
                dataset: VitonHD | DressCode = VitonHD(root, split, order, size)
            else:
                dataset = DressCode(root, split, order, (spec["category"],), size)
        except FileNotFoundError:
            continue  # a toy tree holds the lists it needs only
        pairs = [pair[-2:] for pair in dataset.pairs]
        if wanted in pairs:
            return dataset[pairs.index(wanted)], dataset
    raise ValueError(f"no pair list under {case.datasets / name} pairs {wanted[0]} with {wanted[1]}")


@family("dataset")
def dataset(case: Case) -> Iterator[Check]:
    """Every listed sample at its size, and its mask at the other sizes stored for it."""
    for spec in case.meta["samples"]:
        size = tuple(spec.get("size") or case.meta.get("size") or case.config.get("size") or SIZE)
        prefix = f"{spec['key']}/"
        expected = {key.removeprefix(prefix): t for key, t in case.tensors.items() if key.startswith(prefix)}
        sample, source = load_sample(case, spec, size)
        yield from _pictures(prefix, expected, sample, source)
        yield from _pose(prefix, expected, sample)
        for key, bits in expected.items():
            match = re.fullmatch(r"inpaint_mask_bits_?(\d*)", key)
            if match is None:
                continue
            height = int(match[1] or size[0])
            if height != size[0]:
                other = load_sample(case, spec, (height, round(height * size[1] / size[0])))[0]
            else:
                other = sample
            yield _mask(prefix + key, bits, other.mask)
        if "hole_pixels" in spec:
            yield Check(f"{prefix}hole_pixels", abs(float(sample.mask.sum()) - spec["hole_pixels"]), 0.0)
        changed = (sample.agnostic != sample.person * (1 - sample.mask)).sum()
        yield Check(f"{prefix}im_mask", float(changed), 0.0)


def _pictures(
    prefix: str, expected: Mapping[str, Tensor], sample: TryOnSample, source: VitonHD | DressCode
) -> Iterator[Check]:
    worn = worn_garment(sample.person[None], sample.parse[None], sample.category, source.labels)[0]
    for key, picture in (("image_u8", sample.person), ("cloth_u8", sample.garment), ("im_cloth_u8", worn)):
        if key in expected:
            stride = picture.shape[-1] // expected[key].shape[-1]
            levels = ((picture + 1) * 127.5).round()[:, ::stride, ::stride]
            yield compare(prefix + key, levels, expected[key], _LEVELS, 0.0)


def _pose(prefix: str, expected: Mapping[str, Tensor], sample: TryOnSample) -> Iterator[Check]:
    pose = sample.pose_map
    if "pose_sum" in expected:
        yield compare(f"{prefix}pose_sum", pose.double().sum(dim=(1, 2)), expected["pose_sum"], _POSE_SUM, 0.0)
    if "pose_argmax" in expected:
        yield compare(f"{prefix}pose_argmax", pose.flatten(1).argmax(dim=1), expected["pose_argmax"], 0.0, 0.0)
    if "pose_map_latent" in expected:
        latent = expected["pose_map_latent"]
        small = F.interpolate(pose[None], size=latent.shape[-2:], mode="bilinear", align_corners=False)[0]
        yield compare(f"{prefix}pose_map_latent", small, latent, _POSE, 0.0)


def _mask(name: str, bits: Tensor, mask: Tensor) -> Check:
    packed = torch.from_numpy(np.packbits(mask.numpy().astype(bool).flatten()))
    if packed.shape != bits.shape:
        return Check(f"{name} {tuple(packed.shape)} is not {tuple(bits.shape)}", float("inf"), 0.0)
    return Check(name, float(np.unpackbits((packed ^ bits).numpy()).sum()), 0.0)
