"""What a golden case, a check and the table of families are.

A case is `<name>.json` (family, seed, configuration, tolerance) with, usually, `<name>.safetensors`
(the expected tensors). A family is a function that recomputes a case and yields one `Check` a tensor;
it registers itself with `@family("name")`. Read `rule.py` next for where inputs and weights come from.
Source: `reference/golden/README.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..disk.documents import read_json


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: what was compared, usually the name of the expected tensor.
        error: how far off; NaN and shape mismatches are infinite.
        tolerance: the largest error that passes.
    """

    name: str
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Case:
    """One golden case.

    Attributes:
        name: file stem.
        folder: where it lies; the `datasets/` folder of toy files lies beside it.
        meta: the JSON document.
        tensors: expected tensors by name, empty when the case has no safetensors file.
    """

    name: str
    folder: Path
    meta: dict[str, Any]
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """Key of `FAMILIES`."""
        return self.meta.get("family", self.name)

    @property
    def config(self) -> dict[str, Any]:
        """The case's own configuration."""
        return self.meta.get("config", {})

    @property
    def seed(self) -> int:
        """Seed of the rule for the inputs and, unless the family says otherwise, for the weights."""
        return int(self.meta["seed"])

    @property
    def gain(self) -> float:
        """Gain of the rule for matrices; 1 unless the case says a plain number."""
        gain = self.meta.get("gain", 1.0)
        return float(gain) if isinstance(gain, (int, float)) else 1.0

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """Rule-generated inputs by name, float32, as `meta["inputs"]` lists them."""
        from .rule import rule_input

        return {
            spec["name"]: rule_input(
                self.seed, spec["name"], spec["shape"], spec["lo"], spec["hi"], spec.get("block", 1)
            )
            for spec in self.meta.get("inputs", [])
        }

    @property
    def datasets(self) -> Path:
        """Folder of the toy data sets: `datasets/` beside the case, else beside the case's folder.

        Raises:
            FileNotFoundError: neither exists.
        """
        for place in (
            self.folder / "datasets",
            self.folder.parent / "datasets",
            self.folder.parent / "public" / "datasets",
        ):
            if place.is_dir():
                return place
        raise FileNotFoundError(
            f"case {self.name} needs the toy data sets, but there is no {self.folder / 'datasets'}."
        )

    def checks(self, computed: dict[str, Tensor], exact: Iterable[str] = ()) -> Iterator[Check]:
        """One check an expected tensor; those `computed` lacks fail, so that nothing is passed over.

        A stored tensor named `<name>_s<k>` is every k-th row and column of `computed["<name>"]`.
        """
        exact = set(exact)
        for name in self.tensors:
            actual = computed.get(name)
            if actual is None and (stride := re.fullmatch(r"(.+)_s(\d+)", name)) and stride[1] in computed:
                step = int(stride[2])
                actual = computed[stride[1]][..., ::step, ::step]
            if actual is None:
                yield Check(f"{name} (not computed)", float("inf"), 0.0)
            elif name in exact:
                yield self.check_exact(name, actual)
            else:
                yield self.check(name, actual)

    def tolerance_of(self, name: str) -> tuple[float, float]:
        """(absolute, relative) tolerance of a tensor; a number under the tensor's own name replaces both."""
        tolerance = self.meta.get("tolerance", {})
        if isinstance(tolerance.get(name), (int, float)):
            return float(tolerance[name]), 0.0
        return float(tolerance.get("atol", 0.0)), float(tolerance.get("rtol", 0.0))

    def check(self, name: str, actual: Tensor, *, expected: Tensor | None = None) -> Check:
        """Compare a tensor element by element: |actual - expected| <= atol + rtol * |expected|.

        The check reports the element that comes closest to failing (or fails worst).
        """
        expected = self.tensors[name] if expected is None else expected
        return compare(name, actual, expected, *self.tolerance_of(name))

    def check_exact(self, name: str, actual: Tensor, *, expected: Tensor | None = None) -> Check:
        """Compare integers, masks and ids: the number of differing elements, none allowed."""
        expected = self.tensors[name] if expected is None else expected
        if tuple(actual.shape) != tuple(expected.shape):
            return Check(f"{name} {tuple(actual.shape)} is not {tuple(expected.shape)}", float("inf"), 0.0)
        return Check(name, float((actual.double() != expected.double()).sum()), 0.0)


def compare(name: str, actual: Tensor, expected: Tensor, atol: float, rtol: float) -> Check:
    """`Check` of two tensors of one shape at the element with the largest error relative to its allowance."""
    if tuple(actual.shape) != tuple(expected.shape):
        return Check(f"{name} {tuple(actual.shape)} is not {tuple(expected.shape)}", float("inf"), atol)
    if expected.numel() == 0:
        return Check(name, 0.0, atol)
    expected = expected.detach().double().flatten()
    error = (actual.detach().double().flatten().cpu() - expected).abs()
    allowed = atol + rtol * expected.abs()
    if not bool(torch.isfinite(error).all()):
        return Check(name, float("inf"), atol)
    # an exact zero with no allowance is fine; any error without allowance must win
    ratio = torch.where(error == 0, 0.0, error / allowed.clamp_min(torch.finfo(torch.float64).tiny))
    worst = int(ratio.argmax())
    if float(ratio[worst]) == 0.0:
        return Check(name, 0.0, float(allowed.max()))
    return Check(name, float(error[worst]), float(allowed[worst]))


Family = Callable[[Case], Iterable[Check]]
"""Recomputes a case and yields its checks."""

FAMILIES: dict[str, Family] = {}
"""Every family by the name a case's JSON gives."""


def family(*names: str) -> Callable[[Family], Family]:
    """Register a function as the family of these names."""

    def register(function: Family) -> Family:
        for name in names:
            FAMILIES[name] = function
        return function

    return register


def read_case(path: Path) -> Case:
    """Read `<name>.json` and, when it lies beside it, `<name>.safetensors`.

    Raises:
        ValueError: the JSON is not an object, or the safetensors file cannot be read.
    """
    meta = read_json(path, expected="a golden case")
    if not isinstance(meta, dict):
        raise ValueError(f"{path} holds a {type(meta).__name__}; a golden case is a JSON object.")
    tensors: dict[str, Tensor] = {}
    file = path.with_suffix(".safetensors")
    if file.exists():
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            tensors = load_file(file)
        except SafetensorError as error:
            raise ValueError(f"{file} is not a readable safetensors file ({error}); copy it again.") from error
    return Case(path.stem, path.parent, meta, tensors)


def read_cases(folder: Path | str) -> Iterator[Case]:
    """Every case of a folder in name order (only the folder itself, not `datasets/` below it)."""
    for path in sorted(Path(folder).glob("[!.]*.json")):
        yield read_case(path)
