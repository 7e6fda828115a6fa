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


@pytest.fixture(scope="session")
def shrunk(comfy_server, repository, tmp_path_factory):
    """`shrunk(workflow)`: the shipped workflow at 96 x 128 with three guided steps, joints and parse map along."""
    from hosting.client import ComfyClient
    from PIL import Image

    client, folder, scale = ComfyClient(comfy_server.url), tmp_path_factory.mktemp("small"), 4
    files = {"keypoints": folder / "keypoints.json"}
    for role, how in (("person", Image.LANCZOS), ("garment", Image.LANCZOS), ("parse", Image.NEAREST)):
        files[role] = folder / f"{role}.png"
        with Image.open(repository / "samples" / f"{role}.png") as picture:
            picture.resize((picture.width // scale, picture.height // scale), how).save(files[role])
    joints = json.loads((repository / "samples" / "keypoints.json").read_text(encoding="utf-8"))
    for person in joints["people"]:
        flat = person["pose_keypoints_2d"]
        person["pose_keypoints_2d"] = [value if i % 3 == 2 else value / scale for i, value in enumerate(flat)]
    files["keypoints"].write_text(json.dumps(joints), encoding="utf-8")

    def shrink(workflow: dict) -> dict:
        workflow = with_files(workflow, files, lambda file, name: client.upload(file, f"small_{name}"))
        settings = {"width": 96, "height": 128, "sigma": 2.5, "grow": 2, "steps": 3, "guidance": 1.5}
        for name, value in settings.items():
            workflow = with_value(workflow, name, value)
        decoder = the(workflow, "LadiVTON_EMASCDecoder")
        for key in [key for key, node in workflow.items() if node["class_type"] in ("PreviewImage", "SaveImage")]:
            del workflow[key]
        workflow["result"] = {"class_type": "PreviewImage", "inputs": {"images": [decoder, 0]}}
        return workflow

    return shrink


@pytest.fixture(scope="session")
def small(shrunk, repository) -> dict:
    """The shipped workflow, shrunk; copy it."""
    text = (repository / "workflows" / "api" / "tryon_embedded.json").read_text(encoding="utf-8")
    return shrunk(json.loads(text))


@pytest.fixture
def shown(client):
    """`shown(workflow, key="result")`: the pictures (B, H, W, 3) in 0...255 that a preview shows after a run."""
    import io

    import numpy as np
    from PIL import Image

    def run(workflow: dict, key: str = "result") -> np.ndarray:
        files = client.run(workflow).or_raise().outputs[key]["images"]
        opened = [Image.open(io.BytesIO(client.view(file))).convert("RGB") for file in files]
        return np.stack([np.asarray(picture) for picture in opened]).astype(float)

    return run
