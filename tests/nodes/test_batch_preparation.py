"""A catalogue's people and garments are prepared as the workflows' nodes do it: the same tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from ladivton_core.batch.items import Garment, Person
from ladivton_core.batch.preparation import FileError, into_photo, prepare_garment, prepare_person
from ladivton_core.preprocessing.framing.fitting import Fit
from ladivton_core.preprocessing.people.finder import PersonFinder

SIZE = (512, 384)


@pytest.fixture(scope="module")
def files(repository, tmp_path_factory) -> Path:
    """A wide photo of the example person, with its joints and parse map, and a garment on grey."""
    folder, samples = tmp_path_factory.mktemp("files"), repository / "samples"
    for name in ("person.png", "parse.png"):
        picture = Image.open(samples / name)
        wide = Image.new(picture.mode, (500, 512), 0 if picture.mode == "P" else "lightgrey")
        if picture.mode == "P":
            wide.putpalette(picture.getpalette())
        wide.paste(picture, (0, 0))
        wide.save(folder / name)
    (folder / "keypoints.json").write_bytes((samples / "keypoints.json").read_bytes())
    grey = Image.new("RGB", (600, 600), (200, 200, 200))
    grey.paste(Image.open(samples / "garment.png").convert("RGB").crop((60, 60, 320, 460)), (170, 100))
    grey.save(folder / "garment.png")
    return folder


@pytest.fixture(scope="module")
def wires(files, module, run) -> dict:
    """The same files as wires carry them."""
    reading = module("ladivton_core.preprocessing.pictures")
    labels = module("ladivton_core.preprocessing.labels").LIP20
    parse = module("ladivton_core.preprocessing.label_pictures").read_labels(files / "parse.png", labels)
    frames = module("ladivton_core.preprocessing.pose.keypoint_files").pose_frames
    document = module("ladivton_core.disk.documents").read_json(files / "keypoints.json")
    pictures = {name: reading.read_picture(files / f"{name}.png")[0] for name in ("person", "garment")}
    return {
        **{name: pixels.movedim(0, -1)[None] for name, pixels in pictures.items()},
        "parse_map": module("nodes.host.types").ParseMap(parse[None], labels),
        "keypoints": frames(document, "keypoints.json"),
    }


def nobody():
    raise AssertionError("nobody had to be found")


def test_with_a_parse_map_as_the_papers_workflow(run, wires, files):
    person, keypoints, parse, _, _ = run("FitPerson", photo=wires["person"], keypoints=wires["keypoints"],
                                         parse_map=wires["parse_map"], fit="pad", border="edge")  # fmt: skip
    _, mask = run("AgnosticPerson", person=person, keypoints=keypoints, parse_map=parse, category="upper_body")
    pose, _ = run("PoseMap", keypoints=keypoints, person=person)
    line = Person("p", *(str(files / name) for name in ("person.png", "keypoints.json")))
    made = prepare_person(
        Person("p", line.photo, line.keypoints, parse_map=str(files / "parse.png")), "upper_body", SIZE, nobody
    )
    assert torch.equal(made.framed.mask[:, 0], mask.cpu()) and made.fit is None
    torch.testing.assert_close(made.framed.person, person.movedim(-1, 1) * 2 - 1, rtol=0, atol=1e-6)
    torch.testing.assert_close(made.framed.pose_map, pose, rtol=0, atol=1e-6)


def test_with_joints_alone_as_the_photo_workflow_and_back_into_the_photo(run, wires, files):
    given = {"mode": "body", "person_index": -1, "border": "blur", "framing": "upper_body"}
    person, keypoints, _, _, fit = run("FitPerson", photo=wires["person"], keypoints=wires["keypoints"], **given)
    _, mask = run("AgnosticPerson", person=person, keypoints=keypoints, category="upper_body", mode="body")
    pose, _ = run("PoseMap", keypoints=keypoints, person=person, mode="body")
    line = Person("p", str(files / "person.png"), str(files / "keypoints.json"))
    made = prepare_person(line, "upper_body", SIZE, nobody)
    assert torch.equal(made.framed.mask[:, 0], mask.cpu()) and mask.any()
    torch.testing.assert_close(made.framed.person, person.movedim(-1, 1) * 2 - 1, rtol=0, atol=1e-6)
    torch.testing.assert_close(made.framed.pose_map, pose, rtol=0, atol=1e-6)
    lies = torch.ones(1, *SIZE, 3)
    lies[:, 150:420, 90:300] = 0.3
    both = run("BodyMask", warped_garment=lies, keypoints=keypoints, person=person, category="upper_body", margin=16,
               draw_underlay=True)  # fmt: skip
    under = made.framed.under(lies.movedim(-1, 1) * 2 - 1, "upper_body")
    assert all(torch.equal(mine[:, 0], its.cpu()) for mine, its in zip(under[:2], both[:2], strict=True))
    torch.testing.assert_close(under.underlay, both[2].movedim(-1, 1), rtol=0, atol=1e-6)
    assert not torch.equal(both[0], mask)
    node, _ = run("StitchPerson", result=1 - person, photo=wires["person"], fit=fit, mask=mask, feather=3,
                  match_colour=True)  # fmt: skip
    result = 1 - (made.framed.person[0] + 1) / 2
    torch.testing.assert_close(into_photo(result, made.fit, made.photo, made.framed.mask), node[0].movedim(-1, 0),
                               rtol=0, atol=1e-5)  # fmt: skip


def test_a_person_found_in_the_photo_as_the_photo_workflow(run, wires, files, module, pose_graphs):
    photo = module("nodes.photo")
    before, photo.graph_folders = photo.graph_folders, lambda: [pose_graphs]
    try:
        keypoints, silhouette, _, _ = run("FindPerson", photo=wires["person"])
    finally:
        photo.graph_folders = before
    given = {"mode": "body", "person_index": -1, "border": "blur", "framing": "upper_body"}
    person, keypoints, _, outline, _ = run("FitPerson", photo=wires["person"], keypoints=keypoints, mask=silhouette,
                                           **given)  # fmt: skip
    _, mask = run("AgnosticPerson", person=person, keypoints=keypoints, silhouette=outline, category="upper_body",
                  mode="body")  # fmt: skip
    made = prepare_person(
        Person("p", str(files / "person.png")), "upper_body", SIZE, lambda: PersonFinder([pose_graphs])
    )
    assert torch.equal(made.framed.mask[:, 0], mask.cpu())
    torch.testing.assert_close(made.framed.person, person.movedim(-1, 1) * 2 - 1, rtol=0, atol=1e-6)
    lies = torch.ones(1, *SIZE, 3)
    both = run("BodyMask", warped_garment=lies, keypoints=keypoints, person=person, silhouette=outline,
               category="upper_body", margin=16, draw_underlay=True)  # fmt: skip
    under = made.framed.under(lies.movedim(-1, 1) * 2 - 1, "upper_body")
    assert all(torch.equal(mine[:, 0], its.cpu()) for mine, its in zip(under[:2], both[:2], strict=True))
    assert float(both[1].sum()) < 0.9 * float(both[0].sum())


@pytest.mark.parametrize("centre", [False, True])
def test_a_garment_as_the_photo_workflow(run, wires, files, centre):
    node, large = run("PrepareGarment", garment=wires["garment"], fit="pad", backdrop="white", centre=centre)
    line = Garment("g", str(files / "garment.png"), "upper_body")
    made = prepare_garment(line, SIZE, centre=centre, large=True)
    torch.testing.assert_close(made.garment, node.movedim(-1, 1) * 2 - 1, rtol=0, atol=1e-6)
    torch.testing.assert_close(made.large / 255, large[0].movedim(-1, 0), rtol=0, atol=0.003)
    assert prepare_garment(line, SIZE, centre=centre).large is None


@pytest.mark.parametrize("laid", [False, True])
def test_a_catalogue_gives_detail_as_the_node_does(run, laid):
    pytest.importorskip("cv2")
    generator, fit = torch.Generator().manual_seed(3), Fit.plan((256, 192), (128, 96))
    garment = torch.ones(3, 256, 192, dtype=torch.uint8) * 255
    garment[:, 40:216, 30:162] = torch.randint(0, 200, (1, 176, 132), generator=generator, dtype=torch.uint8)
    result = fit.apply(garment[None] / 255)
    places = [(torch.arange(side) + 0.5) * 2 / side - 1 for side in (96, 128)]
    grid = torch.stack(torch.meshgrid(*places, indexing="xy"), -1)
    photo, mask = torch.full((3, 256, 192), 127, dtype=torch.uint8), torch.ones(1, 1, 128, 96)
    made = into_photo(result[0], fit, photo, mask, garment=garment, grid=grid, laid=laid)
    wires = {"fit": (fit,), "photo": (photo / 255).movedim(0, -1)[None]}
    stitched, taken = run(
        "StitchPerson", result=result.movedim(1, -1), mask=mask[0], feather=3, match_colour=True, **wires
    )
    detailed, weight = run(
        "GarmentDetail", picture=stitched, garment=(garment / 255).movedim(0, -1)[None], fit=(fit,), spline=grid[None],
        region=taken, laid=laid,
    )  # fmt: skip
    torch.testing.assert_close(made, detailed[0].movedim(-1, 0), rtol=0, atol=1e-5)
    assert weight.max() > 0.3


def test_a_mask_of_another_size_and_an_empty_one_name_their_file(files, tmp_path):
    Image.new("L", (10, 10)).save(tmp_path / "small.png")
    Image.new("L", (500, 512)).save(tmp_path / "black.png")
    for name in ("small.png", "black.png"):
        line = Person("p", str(files / "person.png"), str(files / "keypoints.json"), mask=str(tmp_path / name))
        with pytest.raises(FileError, match=name) as error:
            prepare_person(line, "upper_body", SIZE, nobody)
        assert error.value.file == str(tmp_path / name)
    Image.new("L", (500, 512), 255).save(tmp_path / "white.png")
    line = Person("p", str(files / "person.png"), str(files / "keypoints.json"), mask=str(tmp_path / "white.png"))
    assert prepare_person(line, "upper_body", SIZE, nobody).framed.mask.mean() > 0.9
