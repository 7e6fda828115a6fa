"""The shipped workflow on the shared server, with its example files uploaded."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hosting.graph import the, with_files, with_value
from hosting.places import PACK
from hosting.shipped import NEWER, lacking

EXAMPLE_FILES = {"person": "person.png", "garment": "garment.png", "keypoints": "keypoints.json", "parse": "parse.png"}


@pytest.fixture(scope="session")
def tracked(repository) -> list[str]:
    """Files that git tracks."""
    if not (repository / ".git").exists():
        pytest.skip("the archive holds what git tracks, and this is no git checkout")
    command = ["git", "-c", "core.quotePath=off", "-c", f"safe.directory={repository}", "ls-files"]
    return subprocess.check_output(command, cwd=repository, encoding="utf-8").splitlines()


@pytest.fixture(scope="session")
def archive(tracked, tmp_path_factory) -> Path:
    """The archive of the registry, by comfy-cli; the one that servers run where LADIVTON_PACK names one."""
    import package

    if PACK.is_file():
        return PACK
    file = tmp_path_factory.mktemp("registry") / "node.zip"
    package.pack(file)
    return file


@pytest.fixture(scope="session")
def skip_if_too_old():
    """`skip_if_too_old(name, client)`: ends a test where the server's ComfyUI lacks nodes, as the workflow says."""

    def look(name: str, client) -> None:
        if there_not := lacking(name, client.object_info()):
            assert name in NEWER, there_not
            pytest.skip(f"this ComfyUI has no {', '.join(there_not)}; {name} was tried with {NEWER[name]}")

    return look


@pytest.fixture
def shipped(client, repository) -> dict:
    """`workflows/api/tryon_embedded.json` as it is, but for the uploaded files."""
    text = (repository / "workflows" / "api" / "tryon_embedded.json").read_text(encoding="utf-8")
    files = {role: repository / "samples" / name for role, name in EXAMPLE_FILES.items()}
    return with_files(json.loads(text), files, client.upload)


@pytest.fixture
def quick(small) -> dict:
    """The same, small and with two sampling steps, unguided: for what does not depend on how good the picture is."""
    return with_value(with_value(small, "steps", 2), "guidance", 1.0)


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
def small_files(small_samples) -> dict[str, Path]:
    """The example files by role, pictures at 96 x 128."""
    return {role: small_samples / name for role, name in EXAMPLE_FILES.items()}


@pytest.fixture(scope="session")
def smaller(comfy_server, small_files):
    """`smaller(workflow)`: the shipped workflow on those."""
    from hosting.client import ComfyClient

    client = ComfyClient(comfy_server.url)

    def shrink(workflow: dict) -> dict:
        workflow = with_files(workflow, small_files, lambda file, name: client.upload(file, f"small_{name}"))
        for name, value in {"width": 96, "height": 128, "sigma": 2.5, "grow": 2}.items():
            workflow = with_value(workflow, name, value)
        return workflow

    return shrink


@pytest.fixture(scope="session")
def shrunk(smaller):
    """`shrunk(workflow)`: the shipped workflow at 96 x 128 with three guided steps; `result` shows the picture."""

    def shrink(workflow: dict) -> dict:
        workflow = with_value(with_value(smaller(workflow), "steps", 3), "guidance", 1.5)
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


@pytest.fixture(scope="session")
def shown(comfy_server):
    """`shown(workflow, key="result")`: the pictures (B, H, W, 3) in 0...255 that a preview shows after a run."""
    import io

    import numpy as np
    from hosting.client import ComfyClient
    from PIL import Image

    client = ComfyClient(comfy_server.url)

    def run(workflow: dict, key: str = "result") -> np.ndarray:
        files = client.run(workflow).or_raise().outputs[key]["images"]
        opened = [Image.open(io.BytesIO(client.view(file))).convert("RGB") for file in files]
        return np.stack([np.asarray(picture) for picture in opened]).astype(float)

    return run
