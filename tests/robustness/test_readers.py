"""Every reader either reads, or refuses with an error that was meant and names the file."""

from __future__ import annotations

import io
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from malformed import JSON, broken, changed
from PIL import Image
from safetensors.torch import save

from ladivton_core.checkpoints import reading
from ladivton_core.checkpoints.download import _Part
from ladivton_core.checkpoints.inventory import look
from ladivton_core.datasets.reading import examine_pairs, open_labels
from ladivton_core.disk.documents import read_json
from ladivton_core.disk.names import printable
from ladivton_core.disk.pictures import open_picture
from ladivton_core.embedded import embedded_path
from ladivton_core.evaluation.report import combine, faults, html_page, read_measurements, text_table
from ladivton_core.models import NOTE, OtherSettingsError, read_note
from ladivton_core.preprocessing.labels import LIP20
from ladivton_core.preprocessing.pictures import read_picture
from ladivton_core.preprocessing.pose import keypoints
from ladivton_core.preprocessing.pose.keypoints import keypoints_from_dresscode, keypoints_from_openpose
from ladivton_core.training.recipe import read_recipe

JOINT_READERS = [keypoints_from_openpose, keypoints_from_dresscode]
if hasattr(keypoints, "people_in_frame"):  # before that, null people and odd canvases lead to TypeErrors
    JOINT_READERS.append(keypoints.keypoints_from_people)
MEANT = (ValueError, FileNotFoundError)
"""CheckpointError, ConfigError and the like are ValueErrors."""


def tried(read, path, *, names: bool = True):
    """What the reader gives, or None after a refusal that names the file and chains its cause."""
    try:
        return read()
    except MEANT as error:
        assert not names or path.name in str(error), error
        assert printable(str(error)) == str(error)  # no orders to a terminal
        return None


def joints(count: int, width: int) -> list[float]:
    return [float(value % 300 + 1) for value in range(count * width)]


OPENPOSE = {"people": [{"pose_keypoints_2d": joints(25, 3)}], "canvas_width": 384, "canvas_height": 512}
DRESSCODE = {"keypoints": [[10.0, 20.0, 1.0, float(row)] for row in range(18)]}
FIGURES = {"ssim": 0.8, "fid": 9.0, "pictures": 5.0, "people": 5.0}
MEASUREMENT = {
    "dataset": "vitonhd", "order": "paired", "root": "/data", "results": "/out", "figures": {"upper_body": FIGURES},
    "failed": {}, "skipped": [], "meaningless": [], "protocol": {"ssim": "so"}, "versions": {"torch": "2"}, "run": None,
}  # fmt: skip
RUN = {"settings": {"seed": 1, "size": [512, 384]}, "lists": {"paired/upper_body": "ab"}, "versions": {"torch": "2"}}
RECIPE = {
    "preset": "vitonhd",
    "stages": {"tps": {"seconds": 1.0, "figures": {"l1": 0.1}, "settings": {"models": "sd2", "seed": 1, "batch": 2}}},
}


@given(broken(json.dumps(OPENPOSE).encode()) | broken(json.dumps(OPENPOSE).encode("utf-16")))
def test_json_of_broken_bytes(desk, content):
    path = desk / "broken.json"
    path.write_bytes(content)
    tried(lambda: read_json(path), path)


@pytest.mark.parametrize("read", JOINT_READERS)
@given(document=changed(OPENPOSE) | changed(DRESSCODE) | JSON)
def test_joints_of_any_document(read, document):
    try:
        assert read(document, (512, 384)).shape[-2:] == (18, 2)
    except ValueError as error:
        assert str(error)


@given(document=changed(RUN) | JSON)
def test_run_notes_of_any_shape(desk, document):
    (desk / NOTE).write_text(json.dumps(document))
    try:
        found = read_note(desk)
        assert set(found) == {"settings", "lists", "versions"}
    except OtherSettingsError as error:
        assert NOTE in str(error) and "delete it" in str(error)


@given(document=changed(MEASUREMENT) | JSON)
def test_measurements_of_any_shape_are_refused_or_reported(desk, document):
    path = desk / "metrics.json"
    path.write_text(json.dumps(document))
    runs = tried(lambda: read_measurements([path]), path)
    if runs:
        report = combine(runs)
        told = [text_table(report), *faults(report)]
        assert printable("".join(told)) == "".join(told) and html_page(report).endswith("</html>\n")


def test_names_in_measurements_order_no_terminal_about():
    figures = {"\x1b[2J\nall": {"pictures": 1, "people": 2}}
    run = MEASUREMENT | {"figures": figures, "failed": {"fid": "\x1b]0;mine\x07 in \x9b31m"}}
    report = combine([run])
    table = text_table(report)
    assert len(table.splitlines()) == 3 and "\\x1b[2J\\nall" in table
    assert printable(table + "".join(faults(report))) == table + "".join(faults(report))


@given(document=changed(RECIPE) | JSON)
def test_recipes_of_any_shape(desk, document):
    (desk / "recipe.json").write_text(json.dumps(document))
    tried(lambda: read_recipe(desk), desk / "recipe.json")


@given(document=changed({"url": "http://127.0.0.1/a", "validator": '"one"'}) | JSON)
def test_download_notes_of_any_shape_start_anew(desk, document):
    part = _Part(desk / "model.bin")
    part.path.write_bytes(b"begun")
    part.note.write_text(json.dumps(document))
    validator = part.validator("http://127.0.0.1/a")
    assert validator is None or validator.isprintable()


@given(st.text(st.characters(exclude_categories=("Cs",))) | st.from_regex(r"([\w .]{0,9}[\t ]){0,4}"))
def test_pair_lists_of_any_text(desk, text):
    path = desk / "pairs.txt"
    path.write_text(text, encoding="utf-8")
    pairs, faults = tried(lambda: examine_pairs(path), path) or ([], [])
    assert all(len(pair) == 2 and not set("/\\\n\t\0") & set("".join(pair)) for pair in pairs)
    assert all(fault.startswith("line ") for fault in faults)


def encoded(mode: str, kind: str) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # held upright
    more = {"exif": exif} if kind in ("JPEG", "WEBP") else {}
    Image.linear_gradient("L").resize((24, 32)).convert(mode).save(buffer, kind, **more)
    return buffer.getvalue()


@pytest.mark.filterwarnings(  # Pillow's, of tags in broken TIFF that it passes over
    "ignore:Corrupt EXIF data:UserWarning",
    "ignore:Tag data larger than file:UserWarning",
    "ignore:Metadata Warning:UserWarning",
    "ignore:Truncated File Read:UserWarning",
)
@pytest.mark.parametrize(
    ("mode", "kind"), [("RGB", "PNG"), ("P", "PNG"), ("RGB", "JPEG"), ("RGB", "WEBP"), ("L", "TIFF")]
)
@given(data=st.data())
def test_pictures_of_broken_bytes(desk, mode, kind, data):
    path = desk / f"picture.{kind.lower()}"
    path.write_bytes(data.draw(broken(encoded(mode, kind))))
    for read in (open_picture, lambda path: open_labels(path, LIP20)):
        picture = tried(lambda read=read: read(path), path)
        assert picture is None or picture.width * picture.height <= 50_331_648
    tried(lambda: read_picture(path), path)


def test_damaged_exif_data_cost_the_orientation_and_not_the_picture(desk, caplog):
    whole = encoded("RGB", "WEBP")
    path = desk / "photo.webp"
    path.write_bytes(whole)
    assert read_picture(path)[0].shape == (3, 24, 32)
    path.write_bytes(whole.replace(b"MM\0*", b"??\0*"))  # the byte order of its data
    assert read_picture(path)[0].shape == (3, 32, 24)
    assert "photo.webp has damaged EXIF data" in caplog.text


def test_pixels_that_are_no_colours_are_refused_by_name(desk):
    path = desk / "lab.tiff"
    Image.linear_gradient("L").convert("RGB").convert("LAB").save(path)
    with pytest.raises(ValueError, match="lab.tiff has pixels of the kind LAB, which are not read"):
        open_picture(path)


def weights(kind: str) -> bytes:
    tensors = {"conv.0.weight": torch.arange(6.0).reshape(2, 3), "conv.1.weight": torch.ones(2, dtype=torch.float16)}
    if kind == "safetensors":
        return save(tensors)
    buffer = io.BytesIO()
    torch.save({"state_dict": tensors, "epoch": 3}, buffer, _use_new_zipfile_serialization=kind == "zip")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["safetensors", "zip", "pickle"])
@given(data=st.data())
def test_weight_files_of_broken_bytes(desk, kind, data):
    path = desk / f"weights.{kind}"
    path.write_bytes(data.draw(broken(weights(kind))))
    state = tried(lambda: reading.read_state_dict(path), path)
    assert state is None or all(isinstance(tensor, torch.Tensor) for tensor in state.values())
    assert look(path).what


@given(document=changed({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}, "metadata": {}}) | JSON)
def test_index_files_of_any_shape(desk, document):
    path = desk / "m.safetensors.index.json"
    (desk / "one.safetensors").write_bytes(weights("safetensors"))
    path.write_text(json.dumps(document))
    tried(lambda: reading.read_state_dict(path), path, names=False)
    assert look(path).what


@given(data=st.data())
def test_a_shipped_file_with_accidents_never_loads_as_something_else(desk, data):
    """The embedded EMASC with a few bytes of its header changed: loaded as EMASC, or refused."""
    whole = embedded_path("emasc").read_bytes()
    size = int.from_bytes(whole[:8], "little")
    path = desk / "emasc.safetensors"
    path.write_bytes(data.draw(broken(whole[: 8 + size])) + whole[8 + size :])
    from ladivton_core.checkpoints import build

    tried(lambda: build.load("emasc", path), path)
