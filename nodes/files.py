"""Nodes that read pictures, joints and parse maps from ComfyUI's input folder, or from the pack's examples.

LoadImage would turn a label picture's numbers into colours; here they stay numbers. `person.py` uses what they load.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from ..ladivton_core.disk.documents import read_json
from ..ladivton_core.preprocessing.label_pictures import read_labels
from ..ladivton_core.preprocessing.labels import LABEL_SETS
from ..ladivton_core.preprocessing.pictures import over_white, read_picture
from ..ladivton_core.preprocessing.pose.keypoint_files import pose_frames
from ..ladivton_core.preprocessing.pose.keypoints import DRESSCODE_FRAME, VITONHD_FRAME
from .input_folder import label_pictures, names
from .listing import never_raises
from .types import CATEGORY, ParseMap, ParseMapType, PoseKeypoint, check_choices, io, search_aliases

SAMPLES = Path(__file__).parent.parent / "samples"
EXAMPLE = "[example] "
"""Marks the pack's own files in a list, so that the shipped workflow runs before anything is uploaded."""

PICTURES = (".png", ".jpg", ".jpeg", ".webp")

FRAMES = {"picture": None, "768 x 1024 (VITON-HD)": VITONHD_FRAME, "384 x 512 (Dress Code)": DRESSCODE_FRAME}
"""Pixels a keypoint file counts in: those of the connected picture, or (height, width) of a data set."""


def _listing(*endings: str) -> list[tuple[Path, str]]:
    """The input folder's files with these endings, then the examples: where each lies, and how the list calls it."""
    import folder_paths

    places = ((Path(folder_paths.get_input_directory()), ""), (SAMPLES, EXAMPLE))
    return [(folder / name, mark + name) for folder, mark in places for name in names(folder, *endings)]


@never_raises
def _listed(*endings: str) -> list[str]:
    return [shown for _, shown in _listing(*endings)]


@never_raises
def _listed_labels_first() -> list[str]:
    """PNG files, those first that can be label pictures."""
    listing = _listing(".png")
    able = label_pictures([path for path, _ in listing])
    return [shown for path, shown in sorted(listing, key=lambda entry: entry[0] not in able)]


def _path(file: str) -> Path:
    """Where a chosen file lies.

    Raises:
        ValueError: it is not there, or lies outside ComfyUI's folders.
    """
    import folder_paths

    if file.startswith(EXAMPLE):
        folder, path = SAMPLES, SAMPLES / file.removeprefix(EXAMPLE)
    else:
        name, base = folder_paths.annotated_filepath(file)
        folder = Path(base or folder_paths.get_input_directory())
        path = folder / name.strip()
    if not _is_file_in(folder, path):
        raise ValueError(
            f"There is no file {file!r} in {folder}. "
            "Upload it (POST /upload/image), or copy it there, and press R to refresh the list."
        )
    return path


def _is_file_in(folder: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError, RuntimeError):  # no rights, a name no disk has, links in a circle
        return False


def _exists(file: str | None) -> bool | str:
    if file is None:  # a wire: not known yet
        return True
    if not isinstance(file, str):
        return f"{file!r} is no name of a file."
    if not file:
        return "No file is chosen. Copy one into ComfyUI's input folder and press R to refresh the list."
    try:
        _path(file)
    except ValueError as error:
        return str(error)
    return True


def _digest(file: str, *options: object) -> str:
    digest = hashlib.sha256()
    with _path(file).open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() + repr(options)


class LadiVTON_LoadPicture(io.ComfyNode):
    """Photo with its own transparency as a mask."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_LoadPicture",
            display_name="Load Picture or Example",
            **search_aliases("load image", "example", "person photo", "garment photo"),
            category=f"{CATEGORY}/person",
            description="Like Load Image, and also offers the examples that ship with this pack, "
                "so that its workflows run before anything is uploaded. Load Image can take its place.",
            inputs=[
                io.Combo.Input(
                    "image", options=_listed(*PICTURES), upload=io.UploadType.image,
                    tooltip="Picture in ComfyUI's input folder. Entries with [example] ship with this pack.",
                ),
            ],
            outputs=[
                io.Image.Output("picture", display_name="IMAGE", tooltip="The picture; "
                    "what is transparent is laid over white."),
                io.Mask.Output(
                    "opaque", display_name="opaque",
                    tooltip="White where the picture is not transparent: a cut-out garment's mask for Prepare Garment.",
                ),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, image: str | None = None) -> bool | str:
        return _exists(image)

    @classmethod
    def fingerprint_inputs(cls, image: str) -> str:
        return _digest(image)

    @classmethod
    def execute(cls, image: str) -> io.NodeOutput:
        colours, opaque = read_picture(_path(image))
        # What a background remover leaves under full transparency is no colour of the picture.
        picture = over_white(torch.cat([colours, opaque])) if bool((opaque < 1).any()) else colours
        return io.NodeOutput(picture[None].movedim(1, -1).contiguous(), opaque)


class LadiVTON_LoadKeypoints(io.ComfyNode):
    """OpenPose or Dress Code JSON as POSE_KEYPOINT."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_LoadKeypoints",
            display_name="Load Keypoints",
            **search_aliases("openpose", "pose", "joints"),
            category=f"{CATEGORY}/person",
            description="Reads body joints from a JSON file in ComfyUI's input folder: OpenPose (18 or 25 points, "
                "as in VITON-HD), Dress Code, COCO's 17 or BlazePose's 33 points. "
                "A pose detector node that gives POSE_KEYPOINT can take its place.",
            inputs=[
                io.Combo.Input(
                    "file", options=_listed(".json"),
                    tooltip="JSON file in ComfyUI's input folder. Entries with [example] ship with this pack.",
                ),
                io.Combo.Input(
                    "coordinates", options=list(FRAMES), default="picture",
                    tooltip="Pixels the file counts in, when it does not say so itself: "
                        "'picture' for the picture the joints are used with, or the size of a data set's originals. "
                        "Dress Code files are recognised.",
                ),
            ],
            outputs=[PoseKeypoint.Output("keypoints", display_name="keypoints", tooltip="Joints of everyone in the "
                "file.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, file: str | None = None, coordinates: str | None = None) -> bool | str:
        known = check_choices(cls, coordinates=coordinates)
        return _exists(file) if known is True else known

    @classmethod
    def fingerprint_inputs(cls, file: str, coordinates: str = "picture") -> str:
        return _digest(file, coordinates)

    @classmethod
    def execute(cls, file: str, coordinates: str = "picture") -> io.NodeOutput:
        path = _path(file)
        document = read_json(path, expected="an OpenPose or Dress Code keypoint file", called=path.name)
        return io.NodeOutput(pose_frames(document, path.name, FRAMES[coordinates]))


class LadiVTON_LoadParseMap(io.ComfyNode):
    """Label picture as numbers."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_LoadParseMap",
            display_name="Load Parse Map",
            **search_aliases("segmentation", "human parsing", "label map"),
            category=f"{CATEGORY}/person",
            description="Reads a human parse map (which pixel is hair, which is upper clothes...) "
                "from a palette or grey PNG in ComfyUI's input folder and keeps its label numbers, "
                "which Load Image would turn into colours. A parser's colour picture is read by its colours.",
            inputs=[
                io.Combo.Input(
                    "file", options=_listed_labels_first(), upload=io.UploadType.image,
                    tooltip="Label PNG (palette or grey) in ComfyUI's input folder; "
                        "pictures that can be one come first. "
                        "Entries with [example] ship with this pack.",
                ),
                io.Combo.Input(
                    "label_set", options=list(LABEL_SETS), default="LIP20",
                    tooltip="What the numbers mean: LIP20 for VITON-HD, ATR18 for Dress Code and ATR parsers, "
                        "LIP20-SCHP for SCHP's LIP, CIHP20, FASHN18.",
                ),
            ],
            outputs=[ParseMapType.Output("parse_map", display_name="parse_map", tooltip="Labels, one number a pixel.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, file: str | None = None, label_set: str | None = None) -> bool | str:
        known = check_choices(cls, label_set=label_set)
        return _exists(file) if known is True else known

    @classmethod
    def fingerprint_inputs(cls, file: str, label_set: str = "LIP20") -> str:
        return _digest(file, label_set)

    @classmethod
    def execute(cls, file: str, label_set: str = "LIP20") -> io.NodeOutput:
        labels = LABEL_SETS[label_set]
        return io.NodeOutput(ParseMap(read_labels(_path(file), labels)[None], labels))


NODES = [LadiVTON_LoadPicture, LadiVTON_LoadKeypoints, LadiVTON_LoadParseMap]
