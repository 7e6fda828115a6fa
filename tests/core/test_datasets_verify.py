"""`python -m ladivton_core.datasets verify`: whole sets pass, every kind of damage is found and named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ladivton_core.datasets import DATASETS, DressCode, VitonHD, recognise
from ladivton_core.datasets import __main__ as command
from ladivton_core.datasets.layouts import find
from ladivton_core.datasets.reading import examine_pairs
from ladivton_core.datasets.results import result_path
from ladivton_core.datasets.verification import verify
from ladivton_core.evaluation.truth import people_of

TREES = Path(__file__).parent.parent / "golden" / "datasets"
SAMPLES = Path(__file__).parents[2] / "samples" / "datasets"
SIZE = (24, 32)  # (width, height): whole sets of many files in no time
COUNT = 40


def picture(path: Path, value: int = 200, mode: str = "RGB", size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value,) * 3).save(path)


def document(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def pairs(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def vitonhd(tmp_path) -> Path:
    """Forty people, each in the next one's garment."""
    root = tmp_path / "vitonhd"
    names = [f"{number:05d}_00" for number in range(COUNT)]
    pairs(root / "test_pairs.txt", *(f"{a}.jpg {b}.jpg" for a, b in zip(names, names[1:] + names[:1], strict=True)))
    for name in names:
        for folder in ("image", "cloth"):
            picture(root / "test" / folder / f"{name}.jpg")
        picture(root / "test" / "image-parse-v3" / f"{name}.png", 19, "L")
        people = [{"pose_keypoints_2d": [300.0, 400.0, 0.9] * 25}]
        document(root / "test" / "openpose_json" / f"{name}_keypoints.json", {"people": people})
    return root


@pytest.fixture
def dresscode(tmp_path) -> Path:
    """Ten people of every category, test and train."""
    root = tmp_path / "dresscode"
    for category in ("dresses", "upper_body", "lower_body"):
        folder = root / category
        names = [f"{number:06d}" for number in range(10)]
        lines = [f"{name}_0.jpg {name}_1.jpg" for name in names]
        for file in ("train_pairs.txt", "test_pairs_paired.txt", "test_pairs_unpaired.txt"):
            pairs(folder / file, *lines)
        for name in names:
            for ending in ("0", "1"):
                picture(folder / "images" / f"{name}_{ending}.jpg")
            picture(folder / "masks" / f"{name}_1.png", 255, "L")
            picture(folder / "label_maps" / f"{name}_4.png", 17, "L")
            document(folder / "keypoints" / f"{name}_2.json", {"keypoints": [[100.0, 200.0, 0, 0]] * 18})
    return root


@pytest.fixture(autouse=True)
def spoken(caplog):
    caplog.set_level("INFO")
    return caplog


def kinds(report, broken: bool = True) -> dict[str, list[str]]:
    """Files by kind of finding."""
    found: dict[str, list[str]] = {}
    for finding in report.findings:
        if finding.broken == broken:
            found.setdefault(finding.kind, []).append(finding.path.relative_to(report.root).as_posix())
    return found


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("trees", [TREES, SAMPLES], ids=["golden", "samples"])
def test_the_toy_sets_are_whole(name, trees, capfd):
    assert command.main(["verify", "--dataset", name, "--root", str(trees / name)]) == 0


def test_released_sizes_are_nothing_unusual():
    for name in DATASETS:
        assert verify(name, TREES / name).findings == []


def test_counts_are_told_by_split_category_and_order(dresscode, spoken, tmp_path):
    out = tmp_path / "deep" / "report.json"
    assert command.main(["verify", "--dataset", "dresscode", "--root", str(dresscode), "--json", str(out)]) == 0
    report = json.loads(out.read_text("utf-8"))
    assert report["ok"] and report["absent"] == []
    assert (report["people"], report["garments"], len(report["lists"])) == (30, 30, 9)
    assert report["lists"][-1] == {
        "split": "test", "order": "unpaired", "category": "lower_body", "pairs": 10, "people": 10, "garments": 10,
        "path": "lower_body/test_pairs_unpaired.txt",
    }  # fmt: skip
    assert report["counts"] == {"broken": {}, "unusual": {"unusual size": 90}}
    assert "test unpaired dresses: 10 pairs of 10 people and 10 garments" in spoken.messages
    assert "  and 85 more; --json lists them all" in spoken.messages
    assert spoken.messages[-1] == "Nothing is broken."


def test_a_set_with_only_a_test_split_is_fine_and_says_so(vitonhd, spoken):
    assert command.main(["verify", "--dataset", "vitonhd", "--root", str(vitonhd)]) == 0
    assert "not there, skipped: train paired upper_body (train_pairs.txt)" in spoken.messages
    assert command.main(["verify", "--dataset", "vitonhd", "--root", str(vitonhd), "--split", "train"]) == 1
    assert "none of VITON-HD's pair lists (train_pairs.txt)" in spoken.messages[-1]


def test_nothing_there_is_an_error(tmp_path, spoken):
    for root in (tmp_path, tmp_path / "nowhere"):
        assert command.main(["verify", "--dataset", "dresscode", "--root", str(root)]) == 1
    assert "there is no folder" in spoken.messages[-1]


def test_every_damage_of_a_vitonhd_is_found(vitonhd, spoken):
    test = vitonhd / "test"
    (test / "image" / "00001_00.jpg").unlink()
    (test / "cloth" / "00002_00.jpg").write_bytes((test / "cloth" / "00002_00.jpg").read_bytes()[:300])
    picture(test / "image-parse-v3" / "00003_00.png", 20, "L")
    picture(test / "image-parse-v3" / "00004_00.png", 5, "RGB")
    picture(test / "image-parse-v3" / "00005_00.png", 5, "L", size=(32, 32))
    picture(test / "cloth-mask" / "00011_00.jpg", 255, "L", size=(12, 16))
    joints = test / "openpose_json"
    document(joints / "00006_00_keypoints.json", {"people": []})
    document(joints / "00007_00_keypoints.json", {"people": [{"pose_keypoints_2d": [0.0] * 75}]})
    document(joints / "00008_00_keypoints.json", {"people": [{"pose_keypoints_2d": [1.0, 2.0]}]})
    (joints / "00009_00_keypoints.json").write_text("{")
    (joints / "00010_00_keypoints.json").unlink()
    document(joints / "00012_00_keypoints.json", {"people": [{"pose_keypoints_2d": [1e300, 2.0, 1.0] * 25}]})
    with (vitonhd / "test_pairs.txt").open("a") as file:
        file.write("00001_00.jpg\n../00001_00.jpg 00002_00.jpg\n00000_00.jpg 00001_00.jpg\n")

    report = verify("vitonhd", vitonhd)
    assert kinds(report) == {
        "malformed pair": ["test_pairs.txt"] * 2,
        "missing file": ["test/image/00001_00.jpg", "test/openpose_json/00010_00_keypoints.json"],
        "unreadable file": [
            "test/image-parse-v3/00004_00.png", "test/openpose_json/00009_00_keypoints.json", "test/cloth/00002_00.jpg",
        ],
        "wrong labels": ["test/image-parse-v3/00003_00.png"],
        "wrong size": ["test/image-parse-v3/00005_00.png", "test/cloth-mask/00011_00.jpg"],
        "empty keypoints": [
            "test/openpose_json/00006_00_keypoints.json", "test/openpose_json/00007_00_keypoints.json",
        ],
        "wrong keypoints": ["test/openpose_json/00008_00_keypoints.json"],
        "joints that are no numbers": ["test/openpose_json/00012_00_keypoints.json"],
    }  # fmt: skip
    assert kinds(report, broken=False)["repeated pair"] == ["test_pairs.txt"]
    assert command.main(["verify", "--dataset", "vitonhd", "--root", str(vitonhd), "--show", "1"]) == 1
    assert "BROKEN  malformed pair: 2" in spoken.messages
    assert any("test_pairs.txt: line 41: '00001_00.jpg' holds 1 names" in line for line in spoken.messages)


def test_every_damage_of_a_dress_code_is_found(dresscode):
    folder = dresscode / "upper_body"
    (folder / "masks" / "000001_1.png").unlink()
    picture(folder / "masks" / "000002_1.png", 255, "L", size=(12, 16))
    picture(folder / "masks" / "000003_1.png", 0, "L")
    picture(folder / "label_maps" / "000004_4.png", 18, "L")
    document(folder / "keypoints" / "000005_2.json", {"keypoints": [[1, 2]] * 17})
    (dresscode / "dresses" / "test_pairs_unpaired.txt").unlink()
    (dresscode / "dresses" / "train_pairs.txt").write_text("")
    pairs(dresscode / "lower_body" / "train_pairs.txt", "000001.jpg 000001_1.jpg")

    report = verify("dresscode", dresscode)
    assert kinds(report) == {
        "malformed pair": ["dresses/train_pairs.txt", "lower_body/train_pairs.txt"],
        "missing file": ["upper_body/masks/000001_1.png"],
        "wrong size": ["upper_body/masks/000002_1.png"],
        "empty mask": ["upper_body/masks/000003_1.png"],
        "wrong labels": ["upper_body/label_maps/000004_4.png"],
        "wrong keypoints": ["upper_body/keypoints/000005_2.json"],
    }
    assert report.absent == ["test unpaired dresses (test_pairs_unpaired.txt)"]


def test_joints_that_cannot_be_the_persons_are_pointed_out(dresscode):
    joints = dresscode / "dresses" / "keypoints"
    document(joints / "000001_2.json", {"keypoints": [[700.0, 900.0]] * 18})  # counted in the picture's own pixels
    shoulderless = [[100.0, 100.0]] * 18
    shoulderless[2] = [-1.0, -1.0]
    document(joints / "000002_2.json", {"keypoints": shoulderless})
    unusual = kinds(verify("dresscode", dresscode), broken=False)
    assert unusual["joints outside"] == ["dresses/keypoints/000001_2.json"]
    assert unusual["missing joints"] == ["dresses/keypoints/000002_2.json"]


def test_one_thread_finds_what_many_find(vitonhd):
    shutil.rmtree(vitonhd / "test" / "cloth")
    assert verify("vitonhd", vitonhd, workers=1).findings == verify("vitonhd", vitonhd, workers=8).findings
    assert len(verify("vitonhd", vitonhd).findings) == COUNT * 3  # person and parse of unusual size, no garment


def test_every_finding_of_a_broken_sample_stops_the_reader(vitonhd):
    picture(vitonhd / "test" / "image-parse-v3" / "00000_00.png", 5, "RGB")
    document(vitonhd / "test" / "openpose_json" / "00001_00_keypoints.json", {"people": []})
    (vitonhd / "test" / "image" / "00002_00.jpg").write_bytes(b"\xff\xd8\xff")
    data = VitonHD(vitonhd, size=(32, 24))
    for index, message in enumerate((r"00000_00\.png: .*label ids", "keypoints.json: .*nobody", "cannot be read")):
        with pytest.raises(ValueError, match=message):
            data[index]


def test_dress_code_names_the_file_at_fault(dresscode):
    picture(dresscode / "upper_body" / "masks" / "000000_1.png", 255, "L", size=(4, 4))
    document(dresscode / "upper_body" / "keypoints" / "000001_2.json", {"keypoints": []})
    pairs(dresscode / "dresses" / "test_pairs_paired.txt", "000001.jpg 000001_1.jpg")
    data = DressCode(dresscode, categories="upper_body", size=(32, 24))
    with pytest.raises(ValueError, match=r"masks.000000_1\.png: .*dresscode_masks\.zip"):
        data[0]
    with pytest.raises(ValueError, match=r"keypoints.000001_2\.json: "):
        data[1]
    with pytest.raises(ValueError, match="should be called like 013563_0.jpg"):
        DressCode(dresscode, categories="dresses")[0]


def test_lists_with_a_byte_order_mark_are_read(vitonhd):
    file = vitonhd / "test_pairs.txt"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert VitonHD(vitonhd).pairs[0] == ("00000_00.jpg", "00000_00.jpg")
    file.write_bytes(bytes(np.arange(256, dtype=np.uint8)))
    with pytest.raises(ValueError, match="is no text"):
        VitonHD(vitonhd)


def test_folders_are_told_by_their_lists(vitonhd, dresscode, tmp_path):
    assert (recognise(vitonhd), recognise(dresscode)) == ("vitonhd", "dresscode")
    # A category of Dress Code has a train_pairs.txt as VITON-HD does, and is none.
    assert recognise(dresscode / "dresses") is None and recognise(tmp_path) is None
    assert find(tmp_path) == {"dresscode": dresscode, "vitonhd": vitonhd}
    (tmp_path / "more").mkdir()
    vitonhd.rename(tmp_path / "more" / "vitonhd")
    assert find(tmp_path) == {"dresscode": dresscode, "more/vitonhd": tmp_path / "more" / "vitonhd"}
    assert find(tmp_path, depth=1) == {"dresscode": dresscode}
    assert find(tmp_path / "nowhere") == {}


def test_what_a_mac_writes_beside_every_file_is_nobodys(tmp_path):
    root = Path(shutil.copytree(SAMPLES / "vitonhd", tmp_path / "here" / "vitonhd"))
    people = people_of("vitonhd", root, "upper_body")
    (tmp_path / "here" / "__MACOSX").mkdir()
    for file in [*root.rglob("*")]:
        if file.is_file():
            file.with_name("._" + file.name).write_bytes(b"\0\5\x16\7" * 64)
    assert not verify("vitonhd", root).broken
    assert people_of("vitonhd", root, "upper_body") == people
    assert find(tmp_path / "here") == {"vitonhd": root}


@pytest.mark.parametrize("ending", ["jfif", "bmp", "tif"])
def test_pictures_of_every_kind_are_people_with_results_of_their_name(tmp_path, ending):
    picture(tmp_path / "test" / "image" / "a.jpg")
    (tmp_path / "test" / "image" / "a.jpg").rename(tmp_path / "test" / "image" / f"a.{ending}")
    assert [path.name for path in people_of("vitonhd", tmp_path, "upper_body")] == [f"a.{ending}"]
    assert result_path(tmp_path, "paired", "upper_body", f"a.{ending}").name == "a.jpg"
    assert examine_pairs_of(tmp_path, f"my a.{ending} my b.{ending}") == [(f"my a.{ending}", f"my b.{ending}")]


def examine_pairs_of(folder, text):
    (folder / "pairs.txt").write_text(text)
    return examine_pairs(folder / "pairs.txt")[0]
