"""The clients that come with the pack, run as a person runs them: in another process and folder, nothing installed."""

from __future__ import annotations

import http.server
import io
import json
import os
import re
import shlex
import subprocess
import sys
import threading

import numpy as np
import pytest
from hosting import installation
from hosting.graph import with_person_fitted, with_value
from hosting.places import SAMPLES, WORKFLOWS
from PIL import Image

CLIENTS = SAMPLES / "clients"


@pytest.fixture
def try_on(comfy_server, tmp_path):
    """`try_on(*arguments)`: the client as a process that sees the standard library alone."""

    def run(*arguments, server=comfy_server.url) -> subprocess.CompletedProcess:
        command = [sys.executable, "-I", "-S", str(CLIENTS / "try_on.py"), "--server", server, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)

    return run


@pytest.fixture
def start(tmp_path):
    """The start workflow with one step, and its file."""
    workflow = json.loads((WORKFLOWS / "api" / "tryon_embedded.json").read_text("utf-8"))
    workflow = with_value(workflow, "steps", 1)
    file = tmp_path / "start.json"
    file.write_text(json.dumps(workflow), encoding="utf-8")
    return workflow, file


def pixels(file) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB"))


def test_the_plain_client_gives_the_workflows_picture(try_on, start, client, tmp_path):
    workflow, file = with_person_fitted(start[0]), tmp_path / "small.json"
    workflow = with_value(with_value(workflow, "width", 96), "height", 128)
    file.write_text(json.dumps(workflow), encoding="utf-8")
    garment = tmp_path / "person.png"  # a name that another role's loader has
    garment.write_bytes((SAMPLES / "lower_body_garment.png").read_bytes())
    for again in (1, 2):  # the second comes from ComfyUI's cache
        target = tmp_path / "made" / f"{again}.png"
        said = try_on("--workflow", file, "--seed", 7, "--category", "lower_body", "--output", target, garment)
        assert said.returncode == 0, said.stderr
        assert said.stdout.split() == [str(target)]

    for node in workflow.values():
        for name, value in node["inputs"].items():
            if "[example]" in str(value):
                node["inputs"][name] = f"lower_body_{value}"
    workflow = with_value(with_value(workflow, "category", "lower_body"), "seed", 7)
    (picture,) = client.run(workflow).or_raise().images()
    expected = pixels(io.BytesIO(client.view(picture)))
    assert np.array_equal(pixels(tmp_path / "made" / "1.png"), expected)
    assert np.array_equal(pixels(tmp_path / "made" / "2.png"), expected)


def test_a_person_of_ones_own_may_have_any_size(try_on, start, client, tmp_path):
    workflow, file = with_person_fitted(start[0]), start[1]
    workflow = with_value(with_value(workflow, "width", 96), "height", 128)
    file.write_text(json.dumps(workflow), encoding="utf-8")
    photo = Image.open(SAMPLES / "person.png").convert("RGB").resize((192, 256))
    photo.save(tmp_path / "me.png")
    Image.open(SAMPLES / "parse.png").resize((192, 256), Image.Resampling.NEAREST).save(tmp_path / "labels.png")
    document = json.loads((SAMPLES / "keypoints.json").read_text("utf-8"))
    joints = document["people"][0]["pose_keypoints_2d"]
    halved = [value if place % 3 == 2 else value / 2 for place, value in enumerate(joints)]
    document["people"][0]["pose_keypoints_2d"] = halved
    (tmp_path / "joints.json").write_text(json.dumps(document), encoding="utf-8")

    own = ("--person", "me.png", "--keypoints", "joints.json", "--parse", "labels.png")
    said = try_on("--workflow", file, "--output", "worn.png", *own, SAMPLES / "garment.png")
    assert said.returncode == 0, said.stderr
    assert pixels(tmp_path / "worn.png").shape == (128, 96, 3)
    assert with_person_fitted(workflow)["fit"]["inputs"].keys() == {
        "photo", "keypoints", "parse_map", "width", "height", "fit", "border", "person_index",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no.png"], "there is no file no.png"),
        (["--person", "{garment}", "{garment}"], "needs --keypoints (JSON) and --parse"),
        (["--header", "Bearer", "{garment}"], "--header wants 'Name: value'"),
        (["--parse", "{garment}", "{garment}"], "LadiVTON_LoadParseMap"),  # a coloured picture is no label map
        (["--timeout", "0", "{garment}"], "no result within 0 s; --timeout waits longer"),
        (["--workflow", "{foreign}", "{garment}"], "loads no file called person.*"),
        (["--workflow", "{unknown}", "{garment}"], "Is the pack installed in this ComfyUI"),
    ],
)
def test_what_goes_wrong_is_said_and_what_to_do(try_on, start, tmp_path, arguments, said):
    workflow, _ = start
    files = {"garment": SAMPLES / "garment.png", "foreign": tmp_path / "f.json", "unknown": tmp_path / "u.json"}
    files["foreign"].write_text(json.dumps({"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}))
    stranger = {"class_type": "NobodyHasThis", "inputs": {}}
    files["unknown"].write_text(json.dumps(workflow | {"99": stranger}))
    run = try_on(*(argument.format(**files) for argument in arguments))
    assert run.returncode != 0 and run.stdout == ""
    assert said in run.stderr, run.stderr
    assert "Traceback" not in run.stderr


def test_a_server_that_is_not_there_is_named(try_on, nobody):
    run = try_on(SAMPLES / "garment.png", server=nobody)
    assert run.returncode != 0 and "Traceback" not in run.stderr
    assert f"no ComfyUI answers at {nobody}" in run.stderr and "--server" in run.stderr


def test_a_server_that_is_no_comfyui_is_named(try_on):
    class SomebodyElse(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>a router's page</html>")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), SomebodyElse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        run = try_on(SAMPLES / "garment.png", server=f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
    assert run.returncode != 0 and "Traceback" not in run.stderr
    assert "/upload/image did not answer in JSON: is there a ComfyUI behind it?" in run.stderr


@pytest.mark.long
def test_the_line_with_comfy_cli_runs_as_it_is_written(comfy_server, client, repository, tmp_path):
    (line,) = re.findall(r"^comfy .*$", (CLIENTS / "comfy_cli.md").read_text("utf-8"), re.MULTILINE)
    port = comfy_server.url.rpartition(":")[2]
    assert line.count("8188") == 1
    command = [str(installation.comfy_cli_python()), "-m", "comfy_cli", *shlex.split(line.replace("8188", port))[1:]]
    before = set(client.history())
    environment = {**os.environ, "DO_NOT_TRACK": "1", "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    run = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    (new,) = set(client.history()) - before
    entry = client.history(new)[new]
    assert entry["status"]["status_str"] == "success"
    saved = [image["filename"] for node in entry["outputs"].values() for image in node.get("images", ())]
    assert any(name in run.stdout for name in saved), run.stdout
