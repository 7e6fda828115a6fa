"""The shipped workflow on the shared server, with its example files uploaded."""

from __future__ import annotations

import json

import pytest
from hosting.graph import the, with_files, with_value

EXAMPLE_FILES = {"person": "person.png", "garment": "garment.png", "keypoints": "keypoints.json", "parse": "parse.png"}


@pytest.fixture
def shipped(client, repository) -> dict:
    """`workflows/api/tryon_embedded.json` as it is, but for the uploaded files."""
    text = (repository / "workflows" / "api" / "tryon_embedded.json").read_text(encoding="utf-8")
    files = {role: repository / "samples" / name for role, name in EXAMPLE_FILES.items()}
    return with_files(json.loads(text), files, client.upload)


@pytest.fixture
def quick(shipped) -> dict:
    """The same with two sampling steps: for what does not depend on how good the picture is."""
    return with_value(shipped, "steps", 2)


@pytest.fixture
def failure(client):
    """`failure(workflow, class_type)`: what the node of that type says when the workflow fails in it."""

    def run(workflow: dict, class_type: str) -> str:
        result = client.run(workflow)
        assert result.status == "error", f"the run ended as {result.status!r}"
        assert result.error["node_type"] == class_type, result.error["exception_message"]
        kind = result.error["exception_type"].rpartition(".")[2]
        assert kind in ("ValueError", "CheckpointError"), "\n".join(result.error["traceback"])  # said on purpose
        return result.error["exception_message"]

    return run


@pytest.fixture
def node():
    """`node(workflow, class_type)`: the inputs of the one node of that type, to be changed in place."""
    return lambda workflow, class_type: workflow[the(workflow, class_type)]["inputs"]
