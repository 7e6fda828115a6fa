"""The archive of the registry, unpacked into a ComfyUI that has nothing else: it imports, serves and runs.

The input folder has names that no locale knows, and the server's locale is none.
`LADIVTON_PACK=ARCHIVE python scripts/test.py` runs all tests of servers in an archive; `.ci/run` does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request

import pytest
from hosting.client import ComfyClient
from hosting.places import PACK_NAME, WORKFLOWS
from hosting.server import ComfyServer


@pytest.fixture(scope="module")
def registry_server(comfy_host, archive, tmp_path_factory):
    """A server with the unpacked archive among odd names."""
    inputs, environment = tmp_path_factory.mktemp("inputs"), {}
    if os.name != "nt":  # names of bytes, and locales
        for name in (b"\xff\xfe.png", "Zoë.png".encode(), b"\xff.json"):
            with open(os.path.join(os.fsencode(inputs), name), "wb"):
                pass
        os.mkdir(os.path.join(os.fsencode(inputs), b"\xffdata"))
        (inputs / "circle").symlink_to(inputs / "circle")
        environment = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
                       "PYTHONIOENCODING": "utf-8"}  # fmt: skip
    given = ("--input-directory", str(inputs))
    with ComfyServer(comfy_host, given, pack=archive, environment=environment) as server:
        yield server


@pytest.fixture
def get(registry_server):
    """`get(path)`: the bytes the server answers with."""

    def answer(path: str) -> bytes:
        with urllib.request.urlopen(registry_server.url + urllib.parse.quote(path), timeout=60) as response:
            assert response.status == 200
            return response.read()

    return answer


def test_no_import_fails_and_all_nodes_and_examples_are_there(registry_server, nodes_of_the_checkout):
    assert not registry_server.failed_imports(), registry_server.log()
    nodes = ComfyClient(registry_server.url).object_info()
    assert nodes.keys() >= nodes_of_the_checkout
    assert "person [example].png [temp]" in nodes["LadiVTON_LoadPicture"]["input"]["required"]["image"][1]["options"]


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


def test_its_own_client_runs_its_own_start_workflow(registry_server, tmp_path):
    samples = registry_server.base / "custom_nodes" / PACK_NAME / "samples"
    client, garment, worn = samples / "clients" / "try_on.py", samples / "garment.png", tmp_path / "worn.png"
    command = [
        sys.executable,
        "-I",
        "-S",
        str(client),
        "--server",
        registry_server.url,
        "--output",
        str(worn),
        str(garment),
    ]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=900)
    assert worn.stat().st_size > 50_000
    assert not list(samples.parent.rglob("*.part")) and len(list((registry_server.base / "output").iterdir())) == 1
