"""Parity with the reference: golden cases recomputed by this library and compared number by number.

`python -m ladivton_core.parity DIR` runs every case of a folder. `case.py` holds what a case, a check
and the table of families are; `rule.py` makes the rule-generated weights and inputs; the families
themselves live in `*_cases.py`, one file a stage. `load_families` imports all of them.
"""

from __future__ import annotations

from .case import FAMILIES, Case, Check, family, read_cases

__all__ = ["FAMILIES", "Case", "Check", "family", "load_families", "read_cases"]

_FAMILY_MODULES = ("warping_cases", "dataset_cases", "inversion_cases", "denoising_cases", "decoding_cases",
                   "pipeline_cases", "training_cases")  # fmt: skip


def load_families() -> None:
    """Import every `*_cases` module, which fills `FAMILIES`."""
    from importlib import import_module

    for name in _FAMILY_MODULES:
        import_module(f".{name}", __name__)
