"""The paper's test run on the toy data sets: seeds, resuming, settings, broken items, kills, choosing weights."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import nn

from ladivton_core import models
from ladivton_core.checkpoints import build
from ladivton_core.datasets import DressCode, VitonHD
from ladivton_core.embedded import PARTS, embedded_path
from ladivton_core.evaluation import __main__ as commands
from ladivton_core.evaluation import generate, items
from ladivton_core.evaluation.__main__ import main
from ladivton_core.evaluation.picture_metrics import read
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.presets import SD2, TINY

REPOSITORY = Path(__file__).parents[2]
TREES = REPOSITORY / "tests" / "golden" / "datasets"
SIZE = (64, 48)


class Painter:
    """Stands for a pipeline where only files matter: paints every picture from its seed."""

    preset = dataclasses.replace(TINY, size=SIZE)
    unet = vae = text_encoder = vision = adapter = warper = nn.Identity()
    parts = TryOnPipeline.parts
    scheduler, speed, device, dtype = None, "exact", torch.device("cpu"), torch.float32

    def __init__(self, emasc=None):
        self.emasc = emasc

    def __call__(self, person, garment, *, seeds, **settings):
        painted = [torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return SimpleNamespace(images=torch.stack(painted))


@pytest.fixture(scope="module")
def pipeline(embedded):
    """The embedded models on small pictures, one sampling step."""
    return dataclasses.replace(embedded, preset=dataclasses.replace(embedded.preset, size=SIZE, steps=1))


@pytest.fixture(scope="module")
def one_by_one(pipeline, tmp_path_factory):
    """All of Dress Code's toy tree, unpaired, one picture at a time, without JPEG's losses."""
    out = tmp_path_factory.mktemp("one_by_one")
    run(out, pipeline, kind="png")
    return out


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The same, painted."""
    out = tmp_path_factory.mktemp("finished")
    outcome = run(out)
    assert (outcome.made, outcome.kept, outcome.broken) == (5, 0, {})
    return out


def dresscode(order="unpaired", root=TREES / "dresscode", **options):
    return DressCode(root, order=order, size=SIZE, **options)


def run(out, pipeline=None, data=None, **options):
    return generate.generate(data or dresscode(), out, pipeline or Painter(), progress=False, **options)


def pictures(out):
    found = sorted(path for path in out.rglob("*") if path.suffix in (".jpg", ".png"))
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def copy_of(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "out"))


def test_the_layout_is_the_papers(finished):
    assert set(pictures(finished)) == {
        "unpaired/dresses/000301_0.jpg",
        "unpaired/lower_body/000201_0.jpg",
        "unpaired/lower_body/000203_0.jpg",
        "unpaired/upper_body/000101_0.jpg",
        "unpaired/upper_body/000103_0.jpg",
    }
    with Image.open(finished / "unpaired/dresses/000301_0.jpg") as picture:
        assert picture.size == (48, 64) and picture.format == "JPEG"
        assert picture.quantization[0][0] == 2  # Pillow's table of quality 95


def test_png_takes_the_place_of_jpg(tmp_path):
    run(tmp_path, data=VitonHD(TREES / "vitonhd", order="paired", size=SIZE), kind="png", limit=1)
    path = tmp_path / "paired/upper_body/00001_00.png"
    with Image.open(path) as picture:
        assert picture.format == "PNG" and picture.size == (48, 64)
    assert [p.name for p in path.parent.iterdir()] == ["00001_00.png"]


def test_neither_place_nor_workers_change_a_byte(pipeline, one_by_one, tmp_path):
    run(tmp_path, pipeline, dresscode(categories=("lower_body", "dresses")), kind="png", workers=1)
    assert len(pictures(tmp_path)) == 3 and pictures(tmp_path).items() <= pictures(one_by_one).items()


@pytest.mark.parametrize("batch", [2, 3])
def test_a_batch_changes_nothing_but_the_last_digit_of_rounding(pipeline, one_by_one, tmp_path, batch):
    run(tmp_path, pipeline, kind="png", batch=batch)
    for name in pictures(one_by_one):
        one, other = (read(folder / name, SIZE) * 255 for folder in (one_by_one, tmp_path))
        # kernels add in another order for another batch, 1e-6 of a level's width: seldom across its edge
        assert (one - other).abs().max() < 1.5 and (one != other).float().mean() < 2e-3, name


def test_a_seed_comes_from_names_not_places():
    item = items.Item(3, "dresses", "000301_0.jpg", "000302_1.jpg")
    seed = items.item_seed(1234, item)
    assert seed == items.item_seed(1234, dataclasses.replace(item, index=0)) == 840755599051198373
    others = [dataclasses.replace(item, garment="x.jpg"), dataclasses.replace(item, category="upper_body")]
    assert len({seed, items.item_seed(1, item), *(items.item_seed(1234, other) for other in others)}) == 4
    torch.Generator().manual_seed(seed)


def test_whole_files_are_kept_and_damaged_ones_made_again(finished, tmp_path):
    out = copy_of(finished, tmp_path)
    names = sorted(pictures(out))
    cut, small, foreign, gone = (out / name for name in names[:4])
    cut.write_bytes(cut.read_bytes()[:-40])
    Image.new("RGB", (4, 4)).save(small)
    foreign.write_bytes(b"<html>")
    gone.unlink()
    leftover, other = (gone.with_name(f".0123456{which}.part") for which in (7, 8))  # of a killed run, and fresh
    for part in (leftover, other):
        part.write_bytes(b"half")
    os.utime(leftover, (0, 0))
    outcome = run(out)
    assert (outcome.made, outcome.kept) == (4, 1)
    assert pictures(out) == pictures(finished)
    assert not leftover.exists() and other.exists()  # the other may be another machine's share
    assert run(out).made == 0


def test_other_settings_are_refused_by_name(finished, tmp_path):
    out = copy_of(finished, tmp_path)
    with pytest.raises(models.OtherSettingsError, match="steps was 5, is 2.*--force"):
        run(out, steps=2)
    with pytest.raises(models.OtherSettingsError, match="seed was 1234, is 7; guidance_scale was 1.0, is 3.0"):
        run(out, seed=7, guidance_scale=3.0)
    with pytest.raises(models.OtherSettingsError, match="weights of emasc was none, is"):
        run(out, Painter(nn.Linear(1, 1)))
    assert pictures(out) == pictures(finished)


def test_a_changed_pair_list_is_refused(finished, tmp_path):
    out, root = copy_of(finished, tmp_path), Path(shutil.copytree(TREES / "dresscode", tmp_path / "data"))
    pairs = root / "upper_body" / "test_pairs_unpaired.txt"
    pairs.write_text(pairs.read_text().replace("000102_1.jpg", "000104_1.jpg"))
    with pytest.raises(models.OtherSettingsError, match="pair list unpaired/upper_body has changed"):
        run(out, None, dresscode(root=root))


def test_pictures_without_a_note_are_refused(finished, tmp_path):
    out = copy_of(finished, tmp_path)
    (out / models.NOTE).unlink()
    with pytest.raises(models.OtherSettingsError, match="no note"):
        run(out)
    (out / models.NOTE).write_text("{")
    with pytest.raises(models.OtherSettingsError, match="is no note of a run"):
        run(out)


def test_force_discards_what_other_settings_made(finished, tmp_path):
    out = copy_of(finished, tmp_path)
    (out / "unpaired" / "notes.txt").write_text("mine")
    data = dresscode(categories=("dresses",))
    assert run(out, None, data, seed=7, force=True).made == 1
    assert list(pictures(out)) == ["unpaired/dresses/000301_0.jpg"]
    assert (out / "unpaired" / "notes.txt").exists()
    assert run(out, None, data, seed=7, force=True).kept == 1  # nothing differs any more


def test_categories_and_shares_can_be_run_one_by_one(finished, tmp_path):
    run(tmp_path, None, dresscode(categories=("dresses",)))
    run(tmp_path, start=3)
    outcome = run(tmp_path, start=0, limit=3)
    assert (outcome.made, outcome.kept) == (2, 1)
    assert pictures(tmp_path) == pictures(finished)
    with pytest.raises(ValueError, match="nothing to do: item 9"):
        run(tmp_path, start=9)


def test_broken_items_are_named_and_the_rest_goes_on(finished, tmp_path):
    root, out = Path(shutil.copytree(TREES / "dresscode", tmp_path / "data")), tmp_path / "out"
    (root / "dresses/images/000302_1.jpg").unlink()
    (root / "upper_body/keypoints/000101_2.json").write_text("{}")
    outcome = run(out, None, dresscode(root=root), batch=2)
    assert outcome.made == 3
    assert set(outcome.broken) == {
        "dresses/000301_0.jpg/000302_1.jpg",
        "upper_body/000101_0.jpg/000102_1.jpg",
    }
    assert "000302_1.jpg is missing" in outcome.broken["dresses/000301_0.jpg/000302_1.jpg"]
    assert len(pictures(out)) == 3


def test_a_name_that_no_disk_takes_stops_no_other(finished, tmp_path):
    root, out = Path(shutil.copytree(TREES / "dresscode", tmp_path / "data")), tmp_path / "out"
    pairs = root / "dresses/test_pairs_unpaired.txt"
    pairs.write_text(pairs.read_text() + f"{'x' * 300}_0.jpg 000302_1.jpg\n")
    outcome = run(out, None, dresscode(root=root), batch=2)
    assert len(outcome.broken) == 1
    assert pictures(out) == pictures(finished)


def test_one_person_in_two_garments_is_refused(tmp_path):
    root = Path(shutil.copytree(TREES / "vitonhd", tmp_path / "data"))
    pairs = root / "test_pairs.txt"
    lines = pairs.read_text().splitlines()
    pairs.write_text("\n".join([*lines, lines[0]]))
    data = VitonHD(root, order="unpaired", size=SIZE)
    assert [item.person for item in items.items_of(data)] == ["00001_00.jpg", "00003_00.jpg", "00005_00.jpg"]
    pairs.write_text("\n".join([*lines, f"{lines[0].split()[0]} 00006_00.jpg"]))
    with pytest.raises(ValueError, match="gives 00001_00.jpg .upper_body. 2 different garments"):
        items.items_of(VitonHD(root, order="unpaired", size=SIZE))


def test_a_fingerprint_knows_weights_not_files():
    again, first = build.load_embedded("emasc"), build.load_embedded("emasc")
    assert models.fingerprint(again) == models.fingerprint(first)
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.add_(1e-3)
    assert models.fingerprint(again) != models.fingerprint(first)


_STUCK_RUN = """
import signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
import test_evaluation_generate as tests
from PIL import Image

save, count = Image.Image.save, 0
def stuck_save(self, file, *args, **options):  # the second picture gets half a file and no further
    global count
    count += 1
    if count == 2:
        file.write(b"half of a picture")
        file.flush()
        print("writing", flush=True)
        signal.pause()
    save(self, file, *args, **options)
Image.Image.save = stuck_save
with tests.commands.unwinding_on_terminate():
    tests.run(Path(sys.argv[3]))
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.long
@pytest.mark.parametrize(("number", "leaves"), [("SIGKILL", 1), ("SIGTERM", 0)])
def test_a_run_killed_in_the_middle_of_a_file_leaves_whole_ones_and_goes_on(finished, tmp_path, number, leaves):
    command = [sys.executable, "-c", _STUCK_RUN, str(REPOSITORY), str(Path(__file__).parent), str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    process.send_signal(getattr(signal, number))
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert len(list(tmp_path.rglob(".*.part"))) == leaves
    assert len(pictures(tmp_path)) == 1 and pictures(tmp_path).items() <= pictures(finished).items()
    outcome = run(tmp_path)
    assert (outcome.made, outcome.kept) == (4, 1)
    assert pictures(tmp_path) == pictures(finished)
    assert len(list(tmp_path.rglob(".*.part"))) == leaves  # hidden, and gone after a day


def test_the_command_makes_the_same_and_says_what_is_broken(finished, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(commands, "choose_pipeline", lambda *chosen, **how: Painter())
    root = Path(shutil.copytree(TREES / "dresscode", tmp_path / "data"))
    command = ["generate", "--dataset", "dresscode", "--root", str(root), "--order", "unpaired"]
    command += ["--out", str(tmp_path / "out"), "--batch", "1"]
    assert main(command) == 0
    assert pictures(tmp_path / "out") == pictures(finished)
    note = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert note["settings"]["seed"] == 1234 and note["settings"]["format"] == "jpg" and note["versions"]["torch"]
    (root / "dresses/images/000302_1.jpg").unlink()
    (tmp_path / "out/unpaired/dresses/000301_0.jpg").unlink()
    assert main(command) == 1
    assert "dresses/000301_0.jpg/000302_1.jpg is left out" in caplog.text
    assert main([*command, "--seed", "5"]) == 1
    assert "seed was 1234, is 5" in caplog.text


def test_without_options_the_embedded_weights_are_taken(monkeypatch):
    taken = {}
    monkeypatch.setattr(TryOnPipeline, "from_files", lambda files, preset, **how: taken.update(files) or preset)
    assert models.choose_pipeline("vitonhd") is TINY
    assert taken == {part: embedded_path(part) for part in PARTS}
    assert models.choose_pipeline("vitonhd", "embedded", ["emasc=x.pth"], "tiny") is TINY
    assert taken["emasc"] == Path("x.pth") and taken["vae"] == embedded_path("vae")


def test_a_folder_is_searched_by_content(tmp_path, monkeypatch):
    files = {part: tmp_path / f"{place}.safetensors" for place, part in enumerate(("inversion_adapter", "emasc"))}
    for part, file in files.items():
        shutil.copy(embedded_path(part), file)
    (tmp_path / "notes.pth").write_text("no weights")
    assert models.find_parts(tmp_path, TINY, "vitonhd") == files
    assert models.find_parts(tmp_path, SD2, "vitonhd") == {}
    with pytest.raises(ValueError, match=r"sd2 lacks unet, vae.*checkpoints download vitonhd sd2"):
        models.choose_pipeline("vitonhd", weights=["emasc=x.pth"])
    monkeypatch.setattr(TryOnPipeline, "from_files", lambda files, preset, **how: files)
    chosen = models.choose_pipeline("vitonhd", tmp_path, preset="tiny")
    assert chosen == {part: embedded_path(part) for part in PARTS} | files


def test_another_stable_diffusions_vae_is_never_guessed(tmp_path):
    from ladivton_core.checkpoints.conversion import LAYOUTS

    with torch.device("meta"):
        vae, unet = build.build_vae(SD2).state_dict(), build.build_unet(SD2).state_dict()
    prefixed = {f"first_stage_model.{key}": value for key, value in LAYOUTS["vae"]["ldm"](vae).items()}
    for name, channels in (("sd_xl.ckpt", 4), ("512-inpainting-ema.ckpt", 9)):
        unet["conv_in.weight"] = torch.empty(320, channels, 3, 3, device="meta")
        whole = {f"model.diffusion_model.{key}": value for key, value in LAYOUTS["unet"]["ldm"](unet).items()}
        sparse = {key: torch.zeros(1).expand(value.shape) for key, value in (prefixed | whole).items()}
        torch.save(sparse, tmp_path / name)
    torch.save({key: torch.zeros(1).expand(value.shape) for key, value in vae.items()}, tmp_path / "some_vae.pt")
    found = models.find_parts(tmp_path, SD2, "vitonhd", ["vae", "unet"])
    assert found == {"vae": tmp_path / "512-inpainting-ema.ckpt"}
    (tmp_path / "512-inpainting-ema.ckpt").unlink()
    assert models.find_parts(tmp_path, SD2, "vitonhd", ["vae"]) == {}
    (tmp_path / "some_vae.pt").rename(tmp_path / "sd2_inpainting_vae.safetensors")
    assert set(models.find_parts(tmp_path, SD2, "vitonhd", ["vae"])) == {"vae"}


def test_another_pair_list_discards_its_own_pictures_only(tmp_path):
    for order in ("paired", "unpaired"):
        picture = tmp_path / order / "dresses" / "a.jpg"
        picture.parent.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(picture)
        if order == "paired":
            items.write_json({"settings": {"seed": 1}, "lists": {}, "versions": {}}, tmp_path / models.NOTE)
        items.claim(tmp_path, {"seed": 1}, {f"{order}/dresses": "old"})
    with pytest.raises(models.OtherSettingsError, match="the pair list unpaired/dresses has changed"):
        items.claim(tmp_path, {"seed": 1}, {"unpaired/dresses": "new"})
    items.claim(tmp_path, {"seed": 1}, {"unpaired/dresses": "new"}, force=True)
    assert [path.parent.parent.name for path in tmp_path.rglob("*.jpg")] == ["paired"]
    items.claim(tmp_path, {"seed": 1}, {"paired/dresses": "old", "unpaired/dresses": "new"})


def test_an_empty_list_is_said(tmp_path):
    root = Path(shutil.copytree(TREES / "vitonhd", tmp_path / "data"))
    (root / "test_pairs.txt").write_text("")
    with pytest.raises(ValueError, match="is empty; expected a person and a garment on each line"):
        items.items_of(VitonHD(root))


def test_of_two_files_the_name_decides_or_the_person(tmp_path):
    for name in ("emasc_vitonhd.safetensors", "emasc_dresscode.safetensors"):
        shutil.copy(embedded_path("emasc"), tmp_path / name)
    found = models.find_parts(tmp_path, TINY, "dresscode", ["emasc"])
    assert found == {"emasc": tmp_path / "emasc_dresscode.safetensors"}
    shutil.copy(embedded_path("emasc"), tmp_path / "emasc_dress-code_old.safetensors")
    with pytest.raises(ValueError, match="2 files hold the part emasc.*--weights emasc=FILE"):
        models.find_parts(tmp_path, TINY, "dresscode", ["emasc"])
    with pytest.raises(ValueError, match="write PART=FILE"):
        models.choose_pipeline("vitonhd", weights=["hat=x"])
    with pytest.raises(FileNotFoundError, match="no folder"):
        models.choose_pipeline("vitonhd", tmp_path / "nowhere")
