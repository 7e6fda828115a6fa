"""Nodes that read pictures, joints and parse maps from ComfyUI's input folder, or from the pack's examples.

LoadImage would turn a label picture's numbers into colours; here they stay numbers. `host/listing.py` knows what lies
where; `person.py` uses what they load. A new node starts at the example that belongs to the other nodes' ones, and not
at whatever comes first in its list.
"""

from __future__ import annotations

import torch

from ..ladivton_core.disk.documents import read_json
from ..ladivton_core.disk.pictures import endings
from ..ladivton_core.preprocessing.label_pictures import read_labels
from ..ladivton_core.preprocessing.labels import LABEL_SETS
from ..ladivton_core.preprocessing.pictures import over_white, read_picture
from ..ladivton_core.preprocessing.pose.keypoint_files import pose_frames
from ..ladivton_core.preprocessing.pose.keypoints import DRESSCODE_FRAME, VITONHD_FRAME
from .host.listing import digest_of, example, find_input, input_files
from .host.types import CATEGORY, ParseMap, ParseMapType, PoseKeypoint, io, search_aliases

FRAMES = {"picture": None, "768 x 1024 (VITON-HD)": VITONHD_FRAME, "384 x 512 (Dress Code)": DRESSCODE_FRAME}
"""Pixels a keypoint file counts in: those of the connected picture, or (height, width) of a data set."""


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
                    "image", options=input_files(*endings()), default=example("person.png"), upload=io.UploadType.image,
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
    def fingerprint_inputs(cls, image: str) -> str:
        return digest_of(image)

    @classmethod
    def execute(cls, image: str) -> io.NodeOutput:
        colours, opaque = read_picture(find_input(image))
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
                    "file", options=input_files(".json"), default=example("keypoints.json"),
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
    def fingerprint_inputs(cls, file: str, coordinates: str = "picture") -> str:
        return digest_of(file, coordinates)

    @classmethod
    def execute(cls, file: str, coordinates: str = "picture") -> io.NodeOutput:
        path = find_input(file)
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
                    "file", options=input_files(*endings(), labels_first=True), default=example("parse.png"),
                    upload=io.UploadType.image,
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
    def fingerprint_inputs(cls, file: str, label_set: str = "LIP20") -> str:
        return digest_of(file, label_set)

    @classmethod
    def execute(cls, file: str, label_set: str = "LIP20") -> io.NodeOutput:
        labels = LABEL_SETS[label_set]
        return io.NodeOutput(ParseMap(read_labels(find_input(file), labels)[None], labels))


NODES = [LadiVTON_LoadPicture, LadiVTON_LoadKeypoints, LadiVTON_LoadParseMap]
