"""The archive of the registry, unpacked into a ComfyUI that has nothing else: it imports, serves and runs.

`LADIVTON_PACK=ARCHIVE python scripts/test.py tests/host` runs all host tests in it; `.ci/run` does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.parse
import urllib.request

import package
import pytest
from hosting.client import ComfyClient
from hosting.places import PACK_NAME, REPOSITORY, WORKFLOWS
from hosting.server import ComfyServer


@pytest.fixture(scope="module")
def installed(comfy_host, tmp_path_factory):
    """A server with the unpacked archive."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("the archive holds what git tracks, and this is no git checkout")
    archive = tmp_path_factory.mktemp("registry") / "node.zip"
    package.pack(archive)
    with ComfyServer(comfy_host, pack=archive) as server:
        yield server


@pytest.fixture
def get(installed):
    """`get(path)`: the bytes the server answers with."""

    def answer(path: str) -> bytes:
        with urllib.request.urlopen(installed.url + urllib.parse.quote(path), timeout=60) as response:
            assert response.status == 200
            return response.read()

    return answer


def test_no_import_fails_and_all_nodes_are_there(installed, nodes_of_the_checkout):
    assert not [line for line in installed.failed_imports() if PACK_NAME in line], installed.log()
    assert ComfyClient(installed.url).object_info().keys() >= nodes_of_the_checkout


@pytest.fixture
def nodes_of_the_checkout(repository) -> set[str]:
    return json.loads((repository / "locales" / "en" / "nodeDefs.json").read_text("utf-8")).keys()


def test_templates_help_and_texts_are_served(get, nodes_of_the_checkout):
    names = json.loads(get("/workflow_templates"))[PACK_NAME]
    assert sorted(names) == sorted(file.stem for file in WORKFLOWS.glob("*.json"))
    for name in names:
        assert json.loads(get(f"/api/workflow_templates/{PACK_NAME}/{name}.json"))["nodes"]
        assert get(f"/api/workflow_templates/{PACK_NAME}/{name}.jpg")[:2] == b"\xff\xd8"
    for node in nodes_of_the_checkout:
        assert get(f"/extensions/{PACK_NAME}/docs/{node}.md")
    assert json.loads(get("/i18n"))["en"]["nodeDefs"].keys() >= nodes_of_the_checkout


def test_its_own_client_runs_its_own_start_workflow(installed, tmp_path):
    samples = installed.base / "custom_nodes" / PACK_NAME / "samples"
    client, garment, worn = samples / "clients" / "try_on.py", samples / "garment.png", tmp_path / "worn.png"
    command = [sys.executable, "-I", "-S", str(client), "--server", installed.url, "--output", str(worn), str(garment)]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=900)
    assert worn.stat().st_size > 50_000
    assert not list(samples.parent.rglob("*.part")) and len(list((installed.base / "output").iterdir())) == 1
