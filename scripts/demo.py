"""Dress a person in a garment through a real ComfyUI: `make demo`, or this file on any system.

Starts ComfyUI (installing one first when there is none, see `hosting/installation.py`), uploads the
pictures, queues `workflows/api/tryon_embedded.json`, shows progress, and writes the result to
`output/demo`. What is not given comes from `samples/`, in the category asked for. A person without joints and parse map
is found in the photo (`tryon_photo.json`), one with joints alone is framed by them (`tryon_photo_pose_nodes.json`); the
result then has the photo's size, and its colours: the profile of the photo's file.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hosting import installation, pose
from hosting.places import LOGS, OUTPUT, REPOSITORY, SAMPLES, WORKFLOWS
from hosting.progress import ProgressBar, Step, again
from hosting.server import ComfyServer, ServerError, exit_on_terminate

if TYPE_CHECKING:
    from hosting.client import Run

DEFAULTS = {"person": "person.png", "garment": "garment.png", "keypoints": "keypoints.json", "parse": "parse.png"}

LOG = LOGS / "demo.log"

DRAWN_ONLY = (
    "This is the work of the small models that come with the pack, which know drawn people only: "
    "look at bare arms, necks and folds. README.md says which files dress people in photographs."
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--person", type=Path, help="photo of the person, any size")
    parser.add_argument("--garment", type=Path, help="shop photo of the garment")
    parser.add_argument("--keypoints", type=Path, help="the person's joints: OpenPose or Dress Code JSON")
    parser.add_argument("--parse", type=Path, help="the person's parse map: label PNG")
    parser.add_argument("--category", choices=("upper_body", "lower_body", "dresses"))
    parser.add_argument("--seed", type=int, help="noise seed")
    parser.add_argument("--workflow", type=Path, help="API format; without it the one that fits what is given")
    parser.add_argument("--output", type=Path, default=OUTPUT / "demo", help="folder for the result")
    chosen = parser.parse_args()
    if chosen.parse and chosen.person and not chosen.keypoints:
        parser.error("a parse map needs the person's joints beside it (--keypoints); leave it away to have them found")
    chosen.roles, fitting = list(DEFAULTS), "tryon_embedded"
    if chosen.person and not chosen.parse:
        fitting = "tryon_photo_pose_nodes" if chosen.keypoints else "tryon_photo"
        chosen.roles = [role for role in chosen.roles if role in ("person", "garment") or getattr(chosen, role)]
    chosen.finds_person = fitting == "tryon_photo" and chosen.workflow is None
    chosen.own_photo = chosen.person is not None
    chosen.own_person = chosen.person is not None and fitting == "tryon_embedded"
    chosen.workflow = chosen.workflow or WORKFLOWS / "api" / f"{fitting}.json"
    prefix = "" if chosen.category in (None, "upper_body") else f"{chosen.category}_"
    for role, name in DEFAULTS.items():
        if role not in chosen.roles:
            continue
        if getattr(chosen, role) is None:
            setattr(chosen, role, SAMPLES / f"{prefix}{name}")
        if not getattr(chosen, role).is_file():
            parser.error(f"{role}: there is no file {getattr(chosen, role)}")
    return chosen


def dress(chosen: argparse.Namespace, host: installation.Host) -> list[Path]:
    """Run the workflow on a server of its own; the pictures written, the result first."""
    from hosting.client import ComfyClient
    from hosting.graph import read_nodes, uses_embedded, with_files, with_person_fitted, with_value

    with contextlib.ExitStack() as stack:
        with Step("[demo] starting ComfyUI", LOG):
            workflow = read_nodes(chosen.workflow)
            server = stack.enter_context(ComfyServer(host, log=LOG))
        if server.failed_imports():
            raise ServerError("ComfyUI could not import the pack:\n" + server.log())
        client = ComfyClient(server.url)
        if chosen.finds_person:
            pose.provide(server.base, pose.graphs(host))
        files = {role: getattr(chosen, role) for role in chosen.roles}
        workflow = with_files(workflow, files, client.upload)
        if chosen.own_person:
            workflow = with_person_fitted(workflow)
        for name in ("category", "seed"):
            if getattr(chosen, name) is not None:
                workflow = with_value(workflow, name, getattr(chosen, name))
        if chosen.category and any("framing" in node["inputs"] for node in workflow.values()):
            workflow = with_value(workflow, "framing", chosen.category)
        with ProgressBar(workflow) as bar:
            run = client.run(workflow, on_event=bar).or_raise()
        print(f"Done in {run.seconds:.1f} s.")
        for line in _warnings(workflow, run):
            print(line)
        if chosen.own_photo and uses_embedded(workflow):
            print(DRAWN_ONLY)
        results = _results(workflow, run)
        return [_save(client.view(image), image["filename"], index, chosen) for index, image in enumerate(results)]


def _results(workflow: dict, run: Run) -> list[dict]:
    """The pictures that the workflow saves; what it only previews stays away."""
    saved = [key for key, node in workflow.items() if node["class_type"] == "SaveImage"]
    return [image for key in saved for image in run.outputs.get(key, {}).get("images", [])] or run.images()


def _warnings(workflow: dict, run: Run) -> list[str]:
    """What nodes found to look wrong."""
    said = [(key, line) for key in workflow for line in run.outputs.get(key, {}).get("text", [])]
    titles = {key: node.get("_meta", {}).get("title", node["class_type"]) for key, node in workflow.items()}
    return [f"{titles[key]}: {line}" for key, line in said if str(line).startswith("Warning: ")]


def _save(content: bytes, filename: str, index: int, chosen: argparse.Namespace) -> Path:
    name = f"{chosen.person.stem}_wears_{chosen.garment.stem}"
    name += f"_seed{chosen.seed}" if chosen.seed is not None else ""
    name += f"_{index}" if index else ""
    target = chosen.output / (name + Path(filename).suffix)
    sys.path.append(str(REPOSITORY))
    from ladivton_core.disk.writing import write_bytes

    write_bytes(target, in_colours_of(chosen.person, content) if chosen.own_photo else content)
    return target


def in_colours_of(photo: Path, content: bytes) -> bytes:
    """A result's PNG in the colours of its photo's file, which a server cannot know: ComfyUI's own nodes save sRGB."""
    import numpy as np
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from ladivton_core.preprocessing.pictures import as_file

    result = Image.open(io.BytesIO(content))
    pixels, profile = as_file(photo, np.asarray(result.convert("RGB")))
    if profile is None:
        return content
    made, info = io.BytesIO(), PngInfo()
    for name, text in result.text.items():  # the workflow
        info.add_text(name, text)
    Image.fromarray(pixels).save(made, "PNG", pnginfo=info, icc_profile=profile)
    return made.getvalue()


def main() -> None:
    chosen = arguments()
    exit_on_terminate()
    try:
        host = installation.find_or_install(photo=chosen.finds_person)
        installation.run_inside(host)
        pictures = dress(chosen, host)
    except KeyboardInterrupt:
        sys.exit("Stopped.")
    except installation.InstallationError as error:
        sys.exit(str(error))
    except (ServerError, ValueError, RuntimeError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}\n\nAll that ComfyUI said: {LOG}\nTo try again: {again()}")
    for picture in pictures:
        print(f"The picture: {picture.absolute()}")


if __name__ == "__main__":
    main()
