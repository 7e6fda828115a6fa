"""What a shipped workflow leaves to whoever loads the pictures, done as the core's engines do it.

A person of any size comes down to the models' through Fit Person, and a garment is laid on white and padded. A workflow
that somebody names is run as it is: `choice.py` asks for this only where none is named. `preparation.py` is the core's.
"""

from __future__ import annotations

import copy
from typing import Any

from .branches import Nodes

FITTED = "fit"
"""Id of the node that is put in."""


def as_the_core(nodes: Nodes) -> Nodes:
    """The workflow with people fitted and garments padded on white.

    Raises:
        ValueError: see `with_person_fitted`.
    """
    result = dict(copy.deepcopy(nodes))
    if not any(node["class_type"] == "LadiVTON_FitPerson" for node in result.values()):
        result = with_person_fitted(result)
    for node in result.values():
        if node["class_type"] == "LadiVTON_PrepareGarment":
            node["inputs"] |= {"fit": "pad", "backdrop": "white"}
    return result


def with_person_fitted(nodes: Nodes) -> dict[str, dict[str, Any]]:
    """The workflow with 'Fit Person' behind the person's loaders: any photo comes down to the models' 384 x 512.

    Raises:
        ValueError: the workflow does not have exactly one 'Agnostic Person' that is fed by wires.
    """
    result = dict(copy.deepcopy(nodes))
    agnostic = [node["inputs"] for node in result.values() if node["class_type"] == "LadiVTON_AgnosticPerson"]
    if len(agnostic) != 1:
        raise ValueError(f"the workflow has {len(agnostic)} nodes LadiVTON_AgnosticPerson; exactly one was expected")
    sources = [agnostic[0].get(name) for name in ("person", "keypoints", "parse_map")]
    if not all(isinstance(source, list) for source in sources):
        raise ValueError("person, keypoints and parse_map of 'Agnostic Person' must be wires to fit a photo")
    fitted = {tuple(source): [FITTED, output] for output, source in enumerate(sources)}
    for node in result.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list):
                node["inputs"][name] = fitted.get(tuple(value), value)
    options = {"width": 384, "height": 512, "fit": "pad", "border": "edge", "person_index": 0}
    wires = dict(zip(("photo", "keypoints", "parse_map"), sources, strict=True))
    result[FITTED] = {"class_type": "LadiVTON_FitPerson", "inputs": wires | options}
    return result
