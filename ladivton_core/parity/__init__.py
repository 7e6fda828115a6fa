"""Parity with the reference: golden cases recomputed by this library and compared number by number.

`python -m ladivton_core.parity DIR` runs every case of a folder. `case.py` holds what a case, a check
and the table of families are; `rule.py` makes the rule-generated weights and inputs; the families
themselves live in `*_cases.py`. `load_families` imports all of them.
"""

from __future__ import annotations

from .case import FAMILIES, Case, Check, family, read_cases

__all__ = ["FAMILIES", "Case", "Check", "family", "load_families", "read_cases"]


def load_families() -> None:
    """Import every `*_cases` module, which fills `FAMILIES`."""
    from . import dataset_cases, pipeline_cases, stage_cases  # noqa: F401
