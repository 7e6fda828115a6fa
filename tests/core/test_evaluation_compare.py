"""Comparing systems: intervals, what is a difference and what is not, failures, the page, and the blind vote."""

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ladivton_core.evaluation import (
    backbones,
    comparison_page,
    intervals,
    picture_metrics,
    regions,
    set_metrics,
    votes,
)
from ladivton_core.evaluation import compare as comparing
from ladivton_core.evaluation.__main__ import main
from ladivton_core.evaluation.items import items_of
from ladivton_core.evaluation.systems import read_systems
from ladivton_core.evaluation.truth import MismatchError

pytest.importorskip("skimage")
pytestmark = pytest.mark.filterwarnings("ignore:Metric `InceptionScore` will save all extracted features")
SAMPLES = Path(__file__).parents[2] / "samples" / "datasets" / "vitonhd" / "test"
SIZE, PEOPLE = (128, 96), 9
SETS = ("lpips", "fid", "kid", "is")


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A VITON-HD of smooth random people with a drawn person's labels and joints."""
    folder = tmp_path_factory.mktemp("data")
    generator, lines = np.random.default_rng(0), []
    for number in range(PEOPLE):
        name = f"{number:05}_00"
        for kind in ("image", "cloth"):
            small = Image.fromarray(generator.integers(0, 200, (8, 6, 3), dtype=np.uint8))
            save(np.array(small.resize(SIZE[::-1], Image.Resampling.BICUBIC)), folder / "test" / kind / f"{name}.png")
        for kind, ending in (("image-parse-v3", ".png"), ("openpose_json", "_keypoints.json")):
            (folder / "test" / kind).mkdir(exist_ok=True)
            shutil.copy(SAMPLES / kind / f"00001_00{ending}", folder / "test" / kind / f"{name}{ending}")
        lines.append(f"{name}.png {(number + 1) % PEOPLE:05}_00.png")
    (folder / "test_pairs.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def results(root, tmp_path_factory):
    """The photo with a little noise, with another noise, and brighter by 12 levels; each in a layout of its own."""
    folder = tmp_path_factory.mktemp("results")
    for number, photo in enumerate(sorted((root / "test" / "image").iterdir())):
        pixels = np.array(Image.open(photo)).astype(float)
        noise = [np.random.default_rng([number, k]).normal(0, 3, pixels.shape) for k in range(2)]
        save(pixels + noise[0], folder / "good" / "paired" / "upper_body" / photo.name)
        save(pixels + noise[1], folder / "other" / photo.name)
        save(pixels + noise[0] + 12, folder / "bright" / "upper_body" / f"{photo.stem}_{photo.stem}.png")
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(picture_metrics, "SIZE", SIZE)


def compared(results, root, *names, **options):
    options = {"skip": SETS, "resamples": 400, "progress": False} | options
    return comparing.compare([str(results / name) for name in names], "vitonhd", root, "paired", **options)


# --- intervals


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    generator, held = np.random.default_rng(1), 0
    for seed in range(200):
        values = generator.normal(5, 2, 40)
        told = intervals.estimate(lambda sets, values=values: values[sets].mean(-1), np.arange(40), 300, seed)
        assert told.low <= told.value <= told.high and told.value == pytest.approx(values.mean())
        held += told.low <= 5 <= told.high
    assert 0.88 <= held / 200 <= 0.99


def test_chance_is_called_a_difference_as_seldom_as_it_should_be_and_a_real_one_is_found():
    generator, found = np.random.default_rng(2), {0.0: 0, 1.0: 0}
    for shift in found:
        for seed in range(100):
            values = generator.normal(0, 1, 60) + np.repeat([shift, 0], 30) + np.tile(generator.normal(0, 5, 30), 2)
            told = intervals.difference(
                lambda sets, values=values: values[sets].mean(-1), np.arange(30), np.arange(30, 60), 300, seed
            )
            found[shift] += told.p < intervals.SIGNIFICANT
    assert found[0.0] <= 12 and found[1.0] >= 85  # people differ by far more than the systems do


def test_holms_rule_is_the_textbooks():
    assert intervals.mark_significant([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert intervals.mark_significant([0.04]) == [True] and intervals.mark_significant([]) == []


def test_sets_have_the_figures_of_metrics_and_intervals_around_them():
    generator = np.random.default_rng(0)
    truth, made = generator.standard_normal((50, 6)), generator.standard_normal((50, 6)) * 1.3 + 0.4
    every = np.arange(50)
    fid, kid = set_metrics.fid_score(made, truth), set_metrics.kid_score(made, truth)
    assert fid(every[None])[0] == pytest.approx(set_metrics.fid(made, truth))
    assert kid(every[None])[0] == pytest.approx(set_metrics.kid(made, truth), abs=1e-9)
    assert kid(np.repeat(every, 2)[None])[0] == pytest.approx(kid(every[None])[0], rel=0.1)  # twins say nothing new
    told = intervals.estimate(fid, every, 100, 0)
    assert told.low < told.value < told.high


# --- systems


def test_a_system_against_itself_has_no_difference_and_no_significance(results, root):
    report = compared(results, root, "good", "good").report
    assert [system["name"] for system in report["systems"]] == ["good", "good (2)"]
    assert report["systems"][0]["figures"] == report["systems"][1]["figures"]
    for told in report["differences"][0]["figures"].values():
        assert told["value"] == told["low"] == told["high"] == 0
        assert told["p"] == 1 and not told["significant"] and told["people"] == PEOPLE


def test_a_change_is_found_by_the_figures_it_changes_and_noise_is_not(results, root):
    report = compared(results, root, "good", "bright", "other").report
    good, bright, other = (system["figures"] for system in report["systems"])
    assert (
        bright["outside"]["value"] == pytest.approx(12, abs=1.5)
        and bright["colour"]["value"] > 2 > good["colour"]["value"]
    )
    by_pair = {(d["first"], d["second"]): d["figures"] for d in report["differences"]}
    for name in ("outside", "colour"):
        told = by_pair[0, 1][name]
        assert told["significant"] and told["high"] < 0  # the first has less error
        assert not by_pair[0, 2][name]["significant"]
        assert told["value"] == pytest.approx(good[name]["value"] - bright[name]["value"])
    again = compared(results, root, "good", "bright", "other").report
    assert again == report  # seeded


def test_figures_are_those_of_metrics(results, root):
    from ladivton_core.evaluation.measure import measure

    mine = compared(results, root, "good").report["systems"][0]["figures"]["ssim"]["value"]
    theirs = measure("vitonhd", root, results / "good", "paired", skip=SETS, progress=False)["figures"]["upper_body"]
    assert mine == pytest.approx(theirs["ssim"], abs=1e-9)


def test_a_missing_or_broken_picture_costs_itself(results, root, tmp_path):
    hurt = tmp_path / "hurt"
    shutil.copytree(results / "good", hurt)
    folder = hurt / "paired" / "upper_body"
    (folder / "00000_00.png").unlink()
    (folder / "00001_00.png").write_bytes((folder / "00001_00.png").read_bytes()[:900])
    save(np.zeros((128, 128, 3)), folder / "00002_00.png")
    shutil.copy(folder / "00003_00.png", folder / "00003_00.webp")
    found = comparing.compare(
        [str(results / "bright"), str(hurt)], "vitonhd", root, "paired", skip=SETS, progress=False
    )
    whole, system = found.report["systems"]
    assert whole["people"] == PEOPLE and whole["failed"] == {} and system["people"] == PEOPLE - 4
    said = {name.split("/")[1]: why for name, why in system["failed"].items()}
    assert said["00000_00.png"] == "there is no picture" and "cannot be read" in said["00001_00.png"]
    assert "other proportions" in said["00002_00.png"] and "delete all but one" in said["00003_00.png"]
    assert found.report["differences"][0]["figures"]["ssim"]["people"] == PEOPLE - 4
    page = comparison_page.comparison_page(found)
    assert "4 failed" in page and page.count("there is no picture") == 2  # in the list and in the picture's place


def test_a_person_whose_files_are_broken_is_left_out_for_everybody(results, root, tmp_path):
    shutil.copytree(root, tmp_path / "data")
    (tmp_path / "data" / "test" / "image-parse-v3" / "00004_00.png").write_bytes(b"no picture")
    report = compared(results, tmp_path / "data", "good", "other").report
    for system in report["systems"]:
        assert system["people"] == PEOPLE - 1
        assert "the data set's files" in system["failed"]["upper_body/00004_00.png/00004_00.png"]


def test_people_that_nobody_dressed_are_no_failures(results, root, tmp_path):
    for photo in sorted((results / "other").iterdir())[:3]:
        (tmp_path / "few").mkdir(exist_ok=True)
        shutil.copy(photo, tmp_path / "few")
    report = compared(tmp_path, root, "few").report
    assert report["items"] == 3 and report["untouched"] == PEOPLE - 3 and report["systems"][0]["failed"] == {}


def test_a_folder_of_something_else_says_what_is_expected(root, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MismatchError, match=r"00000_00.jpg, in paired/upper_body/"):
        compared(tmp_path, root, "empty")
    with pytest.raises(FileNotFoundError, match="NAME=FOLDER"):
        compared(tmp_path, root, "nowhere")


def test_a_catalogues_index_says_who_is_whose_and_why_others_failed(results, root, tmp_path):
    pytest.importorskip("pyarrow")
    from ladivton_core.batch.index import Index
    from ladivton_core.batch.items import Item, Options, Outcome
    from ladivton_core.datasets import open_dataset
    from ladivton_core.disk.store import Store

    store = Store(str(tmp_path / "shop"))
    index = Index(store, {})
    data = open_dataset("vitonhd", root, "test", "paired")
    for number, item in enumerate(items_of(data)):
        name = Path(item.person).stem
        file = f"upper_body/{name}/{name}.png" if number != 3 else "../outside.png"
        row = Item(f"{name}/{name}", name, name, "upper_body", 1, file)
        save(np.array(Image.open(results / "good" / "paired" / "upper_body" / item.person)), tmp_path / "shop" / file)
        outcome = Outcome(row.id, error="no joints") if number == 2 else Outcome(row.id, file=file)
        index.add(row, Options(), outcome)
    index.finish()
    (system,) = read_systems([f"mine={tmp_path / 'shop'}"], items_of(data), "paired")
    assert system.name == "mine" and len(system.pictures) == PEOPLE - 2
    assert sorted(system.failed.values())[0] == "no joints" and "no file below" in sorted(system.failed.values())[1]
    shop = compared(tmp_path, root, "shop").report["systems"][0]
    assert shop["people"] == PEOPLE - 2 and shop["figures"]["ssim"]["value"] > 0.9
    others = items_of(open_dataset("vitonhd", root, "test", "unpaired"))
    with pytest.raises(MismatchError, match="a catalogue of these people and garments"):
        read_systems([str(tmp_path / "shop")], others, "unpaired")  # the same people in other garments


class Means(torch.nn.Module):
    """Stands for Inception: a picture's mean colour and its spread."""

    def forward(self, pixels):
        pixels = pixels.float() / 64
        return torch.cat([pixels.mean((2, 3)), pixels.std((2, 3))], 1)


class Distance:
    """Stands for LPIPS."""

    def reset(self):
        self.value = None

    def update(self, made, truth):
        self.value = (made - truth).abs().mean()

    def compute(self):
        return self.value


def test_figures_of_whole_sets_have_intervals_and_tests_as_well(results, root):
    pytest.importorskip("cleanfid")
    InceptionScore = pytest.importorskip("torchmetrics.image.inception").InceptionScore
    networks = backbones.Networks(
        lpips=lambda *where: Distance(),
        inception_score=lambda *where: InceptionScore(Means(), normalize=True),
        fid_features=lambda *where: Means(),
    )
    report = compared(results, root, "good", "bright", "good", skip=("ssim", "garment"), networks=networks,
                      resamples=60).report  # fmt: skip
    good, bright, again = (system["figures"] for system in report["systems"])
    assert report["missing"] == {} and good == again
    for name in SETS:
        assert good[name]["low"] - 1e-6 <= good[name]["value"] <= good[name]["high"] + 1e-6
    for name in ("fid", "kid", "lpips"):
        assert good[name]["value"] < bright[name]["value"]
    apart, itself = report["differences"][0]["figures"], report["differences"][1]["figures"]
    assert apart["fid"]["value"] == pytest.approx(good["fid"]["value"] - bright["fid"]["value"])
    assert apart["lpips"]["significant"] and apart["fid"]["p"] < 0.1
    assert all(itself[name]["value"] == 0 and itself[name]["p"] == 1 for name in SETS)


# --- a region


def test_colours_and_what_lies_outside_are_counted_where_they_are():
    made, asked = torch.full((3, 64, 48), 0.5), torch.full((3, 64, 48), 0.5)
    region = torch.zeros(64, 48, dtype=torch.bool)
    region[16:40, 10:30] = True
    assert regions.colour_difference(made, region, asked, region) == 0
    made[:, ~region] = 0.9
    assert regions.colour_difference(made, region, asked, region) == 0
    assert regions.error_outside(made, asked, region[None].float()) == pytest.approx(0.4 * 255, rel=1e-4)
    made[:, region] = torch.tensor([0.9, 0.2, 0.2])[:, None]
    assert regions.colour_difference(made, region, asked, region) > 20


def save_model(kind, folder):
    """A small image model of random weights, as its library saves it."""
    torch.manual_seed(0)
    if kind == "open_clip":
        from open_clip import CLIP
        from safetensors.torch import save_file

        towers = {
            "embed_dim": 16,
            "vision_cfg": {"image_size": 56, "layers": 1, "width": 32, "head_width": 16, "patch_size": 14},
            "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
        }
        save_file({name: tensor.contiguous() for name, tensor in CLIP(**towers).state_dict().items()},
                  folder / "open_clip_model.safetensors")  # fmt: skip
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": towers, "preprocess_cfg": {}}))
        return
    transformers = pytest.importorskip("transformers")
    size = {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}}
    if kind == "dinov2":
        config = transformers.Dinov2Config(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=56)
        model, processor = transformers.Dinov2Model(config), transformers.BitImageProcessor(**size)
    else:
        tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = transformers.CLIPConfig(text_config=tower, vision_config=tower | {"image_size": 56, "patch_size": 14})
        model, processor = transformers.CLIPModel(config), transformers.CLIPImageProcessor(**size)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@pytest.mark.parametrize("kind", ["dinov2", "clip", "open_clip"])
def test_similarity_by_a_local_model_is_one_for_the_same_and_sees_the_garment_only(kind, tmp_path, results, root):
    save_model(kind, tmp_path)
    embed = regions.image_features(tmp_path)
    generator = torch.Generator().manual_seed(0)
    made, other = (torch.rand(3, 64, 48, generator=generator) for _ in range(2))
    region = torch.zeros(64, 48, dtype=torch.bool)
    region[16:40, 10:30] = True
    elsewhere = torch.where(region, made, other)
    assert regions.garment_similarity(embed, made, region, elsewhere, region) == pytest.approx(1, abs=1e-5)
    assert regions.garment_similarity(embed, made, region, other, region) < 1 - 1e-6
    report = compared(results, root, "good", features=tmp_path).report
    assert -1 <= report["systems"][0]["figures"]["garment"]["value"] <= 1 and report["missing"] == {}


def test_without_an_image_model_the_rest_is_measured_and_the_command_is_said(results, root, tmp_path):
    for features in (None, tmp_path):
        report = compared(results, root, "good", features=features).report
        assert "snapshot_download" in report["missing"]["garment"] and "--features" in report["missing"]["garment"]
        assert {"ssim", "colour", "outside"} <= set(report["systems"][0]["figures"])


# --- the page


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href") and value]
        assert not any(name.startswith("on") for name, _ in attributes)

    def handle_data(self, data):
        self.texts.append(data)


EVIL = "<script>alert(1)</script>'\"&\x1b[2J"


def test_hostile_names_stay_text_on_both_pages_and_nothing_comes_from_elsewhere(results, root, tmp_path):
    systems = [f"{EVIL.replace('/', '|')}={results / 'good'}", f"</script>={results / 'bright'}".replace("</", "<|")]
    found = comparing.compare(systems, "vitonhd", root, "paired", skip=SETS, progress=False)
    found.systems[1].failed[found.items[0]] = found.report["systems"][1]["failed"][EVIL] = EVIL
    del found.systems[1].pictures[found.items[0]]
    found.report["missing"]["garment"] = EVIL
    found.systems[0].name = found.report["systems"][0]["name"] = EVIL
    counted = {
        "voters": 1,
        "answered": 1,
        "pairs": 1,
        "results": [{"first": EVIL, "second": "b", "won": [0, 0], "equal": 1}],
    }
    text = comparison_page.comparison_page(found, votes=counted)
    page = Page(text)
    assert page.tags.count("script") == 1 and "\x1b" not in text
    assert sum("<script>alert(1)</script>" in words for words in page.texts) >= 5
    assert page.addresses and all(address.startswith("data:image/jpeg") for address in page.addresses)
    votes.write_vote(found, tmp_path, 4, 0)
    blind = (tmp_path / votes.PAGE).read_text()
    assert Page(blind).tags.count("script") == 2 and "alert(1)" not in blind and "http" not in blind


def test_worst_come_first_and_no_more_than_asked_for(results, root):
    found = compared(results, root, "good", "bright")
    page = comparison_page.comparison_page(found, people=4)
    names = [item.name for item in found.items]
    order = sorted(names, key=lambda name: found.values["ssim"][:, names.index(name)].min())
    assert [page.index(f"<h3>{name}</h3>") for name in order[:4]] == sorted(
        page.index(f"<h3>{n}</h3>") for n in order[:4]
    )
    assert page.count("<h3>") == 4


# --- the vote


def ballot(key, answer, voter="a"):
    answers = {str(place): answer(pair) for place, pair in enumerate(key["pairs"])}
    return {"vote": key["vote"], "voter": voter, "answers": answers}


def prefer(system):
    return lambda pair: "left" if pair["left"] == system else "right" if pair["right"] == system else "equal"


@pytest.fixture
def vote(results, root, tmp_path):
    found = compared(results, root, "good", "bright", "other", skip=(*SETS, "ssim", "colour", "garment"))
    assert votes.write_vote(found, tmp_path, 24, 5) == 24
    return tmp_path, json.loads((tmp_path / votes.KEY).read_text())


def test_a_vote_is_blind_balanced_and_seeded(vote, results, root):
    out, key = vote
    page = (out / votes.PAGE).read_text()
    assert not any(name in page for name in ("good", "bright", "other")) and "upper_body" not in page
    pairs = [tuple(sorted((pair["left"], pair["right"]))) for pair in key["pairs"]]
    assert {pair: pairs.count(pair) for pair in set(pairs)} == {(0, 1): 8, (0, 2): 8, (1, 2): 8}
    assert 4 <= sum(pair["left"] < pair["right"] for pair in key["pairs"]) <= 20
    found = compared(results, root, "good", "bright", "other", skip=(*SETS, "ssim", "colour", "garment"))
    votes.write_vote(found, out, 24, 5)
    assert (out / votes.PAGE).read_text() == page
    votes.write_vote(found, out, 24, 6)
    assert json.loads((out / votes.KEY).read_text())["pairs"] != key["pairs"]


def test_votes_are_counted_once_a_pair(vote):
    out, key = vote
    files = [out / f"{voter}.json" for voter in "abc"]
    for file, system in zip(files, (0, 0, 2), strict=True):
        file.write_text(json.dumps(ballot(key, prefer(system), file.stem)))
    told = votes.count_votes(out / votes.KEY, files)
    assert told["voters"] == 3 and told["answered"] == 24
    by_pair = {(row["first"], row["second"]): row for row in told["results"]}
    first = by_pair["good", "bright"]
    assert first["won"] == [8, 0] and first["share"] == 1 and 0.6 < first["low"] < 1 == first["high"]
    assert first["p"] == pytest.approx(2 / 2**8) and first["significant"]
    assert by_pair["good", "other"]["won"] == [8, 0]  # two against one
    assert by_pair["bright", "other"]["equal"] == 8 and "p" not in by_pair["bright", "other"]  # two said so
    again = votes.count_votes(out / votes.KEY, [files[0], files[0]])
    assert again["voters"] == 1 and again["results"][0]["won"] == [8, 0]


def test_chance_in_a_vote_is_no_difference(vote):
    out, key = vote
    file = out / "left.json"
    file.write_text(json.dumps(ballot(key, lambda pair: "left")))  # whoever always takes the left says nothing
    rows = votes.count_votes(out / votes.KEY, [file])["results"]
    assert all(row["low"] < 0.5 < row["high"] and not row["significant"] for row in rows)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vote": "another"}, "votes of another page"),
        ({"answers": {"99": "left"}}, "answers pair '99'"),
        ({"answers": {"0": "good"}}, "with 'good'"),
        ({"answers": []}, "answers"),
        ({"voter": 3}, "voter"),
    ],
)
def test_votes_of_something_else_are_refused(vote, change, said):
    out, key = vote
    file = out / "odd.json"
    file.write_text(json.dumps(ballot(key, prefer(0)) | change))
    with pytest.raises(ValueError, match=said):
        votes.count_votes(out / votes.KEY, [file])


def test_the_command_writes_everything_and_reads_the_votes(results, root, tmp_path, caplog):
    places = [str(results / name) for name in ("good", "bright")]
    command = ["compare", *places, "--dataset", "vitonhd", "--root", str(root), "--out", str(tmp_path)]
    command += ["--skip", *SETS, "--vote", "6", "--resamples", "100"]
    assert main(command) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"compare.html", "compare.json", votes.PAGE, votes.KEY}
    key = json.loads((tmp_path / votes.KEY).read_text())
    (tmp_path / "mine.json").write_text(json.dumps(ballot(key, prefer(1))))
    count = ["compare", "--votes", str(tmp_path / "mine.json"), "--out", str(tmp_path)]
    assert main(count) == 0
    assert json.loads((tmp_path / "votes.json").read_text())["results"][0]["won"] == [0, 6]
    assert main([*command[:-4], "--skip", *SETS, *count[1:3]]) == 0
    assert "Blind vote" in (tmp_path / "compare.html").read_text()
    assert main(["compare", "--out", str(tmp_path)]) == 1
