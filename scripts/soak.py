"""Hundreds of queued prompts in one ComfyUI: `make soak`, or this file on any system.

The shipped try-on at 96 x 128, mixed with prompts that fail, that are cancelled and that save results. Afterwards the
server's memory must be where it was after the first tenth, within 3 %, and the first prompt, run again, must give the
same picture to the bit. Exit code 1 when it does not.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from hosting import installation
from hosting.places import SAMPLES, WORKFLOWS
from hosting.server import ComfyServer, exit_on_terminate

SCALE = 4
ALLOWED = 0.03
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**20), "MALLOC_TRIM_THRESHOLD_": "0"}
"""glibc otherwise keeps freed blocks for later, and resident memory would tell little about leaks."""

Workflow = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=500)
    options = parser.parse_args()
    exit_on_terminate()
    host = installation.find_or_install(tests=True)
    installation.run_inside(host)
    with ComfyServer(host, environment=ALLOCATOR) as server:
        sys.exit(soak(server, options.prompts))


def soak(server: ComfyServer, prompts: int) -> int:
    """Run the prompts; the exit code."""
    import psutil
    from hosting.client import ComfyClient
    from tqdm import tqdm

    client, process = ComfyClient(server.url), psutil.Process(server.pid)
    workflow = small(client)
    first = picture(client, workflow, 1)
    ends, memory = {"success": 0, "error": 0, "interrupted": 0}, []
    for number in tqdm(range(prompts), unit="prompt", mininterval=0.1 if sys.stderr.isatty() else 30):
        ends[turn(client, workflow, number)] += 1
        memory.append(process.memory_info().rss)
    same = picture(client, workflow, 1) == first
    warm = max(len(memory) // 10, 1)
    start, end = (sorted(part)[len(part) // 2] for part in (memory[warm : 2 * warm], memory[-warm:]))
    growth = end / start - 1
    print(f"{prompts} prompts: {ends}; memory {start / 2**20:.0f} MiB after the first {warm}, {end / 2**20:.0f} MiB at")
    print(f"the end ({growth:+.1%}); the first picture again: {'identical' if same else 'ANOTHER'}")
    return 0 if same and growth <= ALLOWED and server.alive() and ends["success"] else 1


def turn(client, workflow: Workflow, number: int) -> str:
    """One prompt of the mix; how it ended."""
    from hosting.graph import the, with_value

    prompt = with_value(workflow, "seed", number)
    if number % 5 == 1:  # fails in a node
        prompt[the(prompt, "LadiVTON_PrepareGarment")]["inputs"]["width"] = 100
    cancelled = number % 5 == 3

    def cancel(event: dict[str, Any]) -> None:
        if cancelled and event["type"] == "progress":
            client.interrupt()

    return client.run(prompt, on_event=cancel).status


def picture(client, workflow: Workflow, seed: int) -> bytes:
    """Pixels of the try-on."""
    from hosting.graph import with_value
    from PIL import Image

    gc.collect()
    client.free()
    run = client.run(with_value(workflow, "seed", seed)).or_raise()
    (shown,) = run.outputs["result"]["images"]
    return Image.open(io.BytesIO(client.view(shown))).tobytes()


def small(client) -> Workflow:
    """The shipped workflow on the example scaled down, with 2 steps and a preview in place of what it saves."""
    from hosting.graph import the
    from PIL import Image

    workflow = json.loads((WORKFLOWS / "api" / "tryon_embedded.json").read_text(encoding="utf-8"))
    size = (384 // SCALE, 512 // SCALE)
    joints = json.loads((SAMPLES / "keypoints.json").read_text(encoding="utf-8"))
    for person in joints["people"]:
        flat = person["pose_keypoints_2d"]
        person["pose_keypoints_2d"] = [value if place % 3 == 2 else value / SCALE for place, value in enumerate(flat)]
    with tempfile.TemporaryDirectory() as folder:
        person, parse, keypoints = (Path(folder) / name for name in ("soak_person.png", "soak_parse.png", "soak.json"))
        Image.open(SAMPLES / "person.png").convert("RGB").resize(size).save(person)
        Image.open(SAMPLES / "parse.png").resize(size, Image.Resampling.NEAREST).save(parse)
        keypoints.write_text(json.dumps(joints), encoding="utf-8")
        names = {file: client.upload(file) for file in (person, parse, keypoints)}
    for node in list(workflow):
        if workflow[node]["class_type"] in ("SaveImage", "PreviewImage", "LadiVTON_ComparisonSheet"):
            del workflow[node]
    for node in workflow.values():
        if node["class_type"] == "LadiVTON_LoadPicture" and "person" in node["inputs"]["image"]:
            node["inputs"]["image"] = names[person]
    workflow[the(workflow, "LadiVTON_LoadParseMap")]["inputs"]["file"] = names[parse]
    workflow[the(workflow, "LadiVTON_LoadKeypoints")]["inputs"]["file"] = names[keypoints]
    workflow[the(workflow, "LadiVTON_PrepareGarment")]["inputs"] |= {"width": size[0], "height": size[1]}
    workflow[the(workflow, "LadiVTON_PoseMap")]["inputs"]["sigma"] = 2.5
    workflow[the(workflow, "LadiVTON_AgnosticPerson")]["inputs"]["grow"] = 2
    workflow[the(workflow, "LadiVTON_TryOnSampler")]["inputs"]["steps"] = 2
    decoder = the(workflow, "LadiVTON_EMASCDecoder")
    workflow["result"] = {"class_type": "PreviewImage", "inputs": {"images": [decoder, 0]}}
    return workflow


if __name__ == "__main__":
    main()
