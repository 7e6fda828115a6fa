"""What a release promises of its nodes, as data. `tests/nodes/test_promises.py` holds today's nodes to it."""

from __future__ import annotations

from typing import Any


def promised(schema: Any) -> dict[str, Any]:
    """What a workflow file relies on, of a node's V3 schema."""
    return {
        "inputs": [
            {"id": part.id, "type": part.get_io_type(), "optional": bool(part.optional)}
            | {key: getattr(part, key) for key in ("default", "min", "max") if getattr(part, key, None) is not None}
            | ({"options": list(part.options)} if is_fixed(part) else {})
            for part in schema.inputs
        ],
        "outputs": [{"name": part.display_name, "type": part.get_io_type()} for part in schema.outputs],
    }


def is_fixed(part: Any) -> bool:
    """Whether a combo box offers the same on every machine: file lists hold what lies in somebody's folders."""
    return hasattr(part, "options") and not part.id.endswith("_name") and part.id not in ("image", "file", "root")
