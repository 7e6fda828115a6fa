"""The paper's metrics by the real libraries, on small networks of rule weights, and their file and name checks."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ladivton_core.checkpoints.download import file_sha256
from ladivton_core.evaluation import backbones, measure, picture_metrics, set_metrics, truth
from ladivton_core.evaluation.__main__ import main

pytest.importorskip("cleanfid")
pytestmark = pytest.mark.filterwarnings("ignore:Metric `InceptionScore` will save all extracted features")
TREES = Path(__file__).parents[1] / "golden" / "datasets"
SIZE = (96, 72)
PEOPLE = 12


def rule(*shape, scale=1.0):
    """Weights that any machine makes the same, without structure."""
    count = int(np.prod(shape))
    return (torch.sin(torch.arange(count, dtype=torch.float64) * 12.9898) * 43758.5453 % 1 - 0.5).float().view(
        shape
    ) * scale


class Features(nn.Module):
    """Stands for Inception: two convolutions and a mean, 16 numbers a picture; takes 0 to 255."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 5, stride=3), nn.Conv2d(16, 16, 5, stride=3)
        with torch.no_grad():
            for convolution in (self.first, self.second):
                shape = convolution.weight.shape
                convolution.weight.copy_(rule(*shape, scale=4 / shape[1:].numel() ** 0.5))
                convolution.bias.zero_()

    def forward(self, pixels):
        return self.second(self.first(pixels.float() / 128 - 1).relu()).relu().mean((2, 3))


PINNED = (backbones._ALEXNET, backbones._INCEPTION)  # before a fixture puts its own file's in their place


def alexnet_file(folder):
    """Rule weights under AlexNet's own name; the classifier, which LPIPS leaves out, takes no room."""
    from torchvision.models import alexnet

    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in alexnet().state_dict().items()}
    state = {
        name: rule(*shape, scale=0.2) if name.startswith("features") else torch.zeros(1).expand(shape)
        for name, shape in shapes.items()
    }
    (folder / "checkpoints").mkdir(parents=True)
    torch.save(state, folder / "checkpoints" / "alexnet-owt-7be5be79.pth")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """torch's folder of downloads with a rule-weight AlexNet in it; its hash takes the place of the pinned one."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("hub")
    alexnet_file(folder)
    patch.setattr(torch.hub, "get_dir", lambda: str(folder))
    patch.setattr(backbones, "_ALEXNET", file_sha256(folder / "checkpoints" / "alexnet-owt-7be5be79.pth"))
    yield folder
    patch.undo()


@pytest.fixture(scope="module")
def perceptual(hub):
    return backbones.lpips("cpu")


@pytest.fixture(scope="module")
def networks(perceptual):
    from torchmetrics.image.inception import InceptionScore

    return backbones.Networks(
        lpips=lambda *where: perceptual,
        inception_score=lambda *where: InceptionScore(Features(), normalize=True),
        fid_features=lambda *where: Features(),
    )


def noise(pixels, amount, seed):
    generator = np.random.default_rng(seed)
    return np.clip(pixels + amount * generator.standard_normal(pixels.shape), 0, 255).astype(np.uint8)


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A VITON-HD of smooth random pictures, and results that are the same, shifted by a pixel or two, or noisy."""
    root = tmp_path_factory.mktemp("world")
    generator = np.random.default_rng(0)
    changes = {
        "same": lambda pixels, seed: pixels,
        "shifted": lambda pixels, seed: np.roll(pixels, 2, axis=1),
        "noisy": lambda pixels, seed: noise(pixels, 12, seed),
        "noisier": lambda pixels, seed: noise(pixels, 50, seed),
    }
    lines = []
    for number in range(PEOPLE):
        name = f"{number:05}_00"
        small = Image.fromarray(generator.integers(0, 256, (8, 6, 3), dtype=np.uint8))
        pixels = np.array(small.resize(SIZE[::-1], Image.Resampling.BICUBIC))
        save(pixels, root / "data/test/image" / f"{name}.png")
        for change, make in changes.items():
            save(make(pixels, number), root / change / "paired" / "upper_body" / f"{name}.png")
        lines.append(f"{name}.png {name}.png")
    (root / "data/test_pairs.txt").write_text("\n".join(lines))
    return root


@pytest.fixture(scope="module")
def figures(world, networks):
    """Figures of every change."""
    patch = pytest.MonkeyPatch()
    patch.setattr(picture_metrics, "SIZE", SIZE)
    found = {
        name: measure.measure(
            "vitonhd", world / "data", world / name, "paired", networks=networks, batch=5, progress=False
        )
        for name in ("same", "shifted", "noisy", "noisier")
    }
    patch.undo()
    assert all(run["failed"] == {} for run in found.values())
    return {name: run["figures"]["upper_body"] for name, run in found.items()}


def test_identical_pictures_are_at_the_ideal(figures):
    same = figures["same"]
    assert same["ssim"] == pytest.approx(1, abs=1e-9) and same["lpips"] == pytest.approx(0, abs=1e-6)
    assert same["fid"] == pytest.approx(0, abs=1e-3)
    assert same["kid"] <= 1e-6 and same["kid"] == pytest.approx(0, abs=1e-2)  # unbiased: a little below 0
    assert same["pictures"] == same["people"] == PEOPLE


@pytest.mark.parametrize(("metric", "sign"), [("ssim", -1), ("lpips", 1), ("fid", 1), ("kid", 1)])
def test_distance_grows_with_noise(figures, metric, sign):
    values = [sign * figures[name][metric] for name in ("same", "noisy", "noisier")]
    assert values[0] < values[1] < values[2]


def test_a_shift_is_seen_picture_by_picture_and_hardly_in_the_set(figures):
    same, shifted, noisier = (figures[name] for name in ("same", "shifted", "noisier"))
    assert shifted["ssim"] < same["ssim"] and shifted["lpips"] > same["lpips"]
    assert shifted["fid"] < noisier["fid"] / 10


def test_kid_is_given_times_a_thousand_too_and_scores_are_possible_values(figures):
    for values in figures.values():
        assert values["kid_x1000"] == pytest.approx(1000 * values["kid"])
        assert 1 <= values["is"] <= 16 and 0 < values["ssim"] <= 1 + 1e-9


def test_ssim_is_wangs_formula_over_whole_windows_even_in_flat_areas():
    generator = torch.Generator().manual_seed(0)
    made, other = (torch.rand(1, 3, 40, 30, generator=generator, dtype=torch.float64) for _ in range(2))
    steps = torch.arange(-5, 6, dtype=torch.float64)
    line = torch.exp(-(steps**2) / (2 * 1.5**2))
    window = torch.outer(line, line)
    window = (window / window.sum()).expand(3, 1, 11, 11)

    def blur(picture):
        return nn.functional.conv2d(picture, window, groups=3)

    m, o = blur(made), blur(other)
    spread, spread_other, both = (
        blur(a * b) - c * d for a, b, c, d in ((made, made, m, m), (other, other, o, o), (made, other, m, o))
    )
    formula = (
        (2 * m * o + 0.01**2) * (2 * both + 0.03**2) / ((m**2 + o**2 + 0.01**2) * (spread + spread_other + 0.03**2))
    )
    assert picture_metrics.ssim(made[0], other[0]) == pytest.approx(float(formula.mean()), abs=1e-9)
    flat = torch.full((3, 40, 30), 0.93, dtype=torch.float64)
    assert picture_metrics.ssim(flat, flat) == pytest.approx(1, abs=1e-9)


def test_lpips_is_its_formula(perceptual):
    generator = torch.Generator().manual_seed(1)
    made, other = (torch.rand(1, 3, 64, 64, generator=generator) for _ in range(2))
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    total = torch.zeros(1)
    heads = [module.model[-1].weight for module in perceptual.net.lins]
    sides = [((side * 2 - 1) - shift.view(1, 3, 1, 1)) / scale.view(1, 3, 1, 1) for side in (made, other)]
    from torchvision.models import alexnet

    network = alexnet().features.eval()
    network.load_state_dict({name: rule(*tensor.shape, scale=0.2) for name, tensor in network.state_dict().items()})
    with torch.no_grad():
        for place, layer in enumerate(network):
            sides = [layer(side) for side in sides]
            if isinstance(layer, nn.ReLU) and place <= 11:
                unit = [side / (side.square().sum(1, keepdim=True) + 1e-8).sqrt() for side in sides]
                total += nn.functional.conv2d((unit[0] - unit[1]) ** 2, heads.pop(0)).mean()
    perceptual.reset()
    perceptual.update(made, other)
    assert float(perceptual.compute()) == pytest.approx(float(total), rel=1e-4)


def test_pictures_are_brought_to_size_as_torchvision_does(tmp_path):
    from torchvision.transforms.functional import resize, to_tensor

    pixels = np.random.default_rng(0).integers(0, 256, (200, 150, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    theirs = to_tensor(resize(Image.fromarray(pixels), list(SIZE)))  # bilinear, antialiased
    assert torch.equal(picture_metrics.read(tmp_path / "a.png", SIZE), theirs)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    assert picture_metrics.read(tmp_path / "grey.png").shape == (3, 512, 384)


def test_fid_is_the_distance_of_two_gaussians():
    generator = np.random.default_rng(0)
    made = generator.standard_normal((4000, 3)) * 2
    other = generator.standard_normal((4000, 3)) + [1, 2, 3]
    # equal axes: |difference|^2 + sum (s - t)^2
    assert set_metrics.fid(made, other) == pytest.approx(14 + 3, rel=0.05)
    with pytest.raises(ValueError, match="FID needs two pictures or more on each side; there are 1 and 4000"):
        set_metrics.fid(made[:1], other)


@pytest.mark.parametrize("count", [200, 5])
def test_the_frechet_distance_is_clean_fids_with_any_scipy(count, monkeypatch):
    from cleanfid import fid
    from scipy import linalg

    class WithDisp:
        """SciPy as clean-fid knows it: `sqrtm(disp=False)`, which SciPy 1.18 took away, also gave an error estimate."""

        @staticmethod
        def sqrtm(matrix, disp=True):
            return linalg.sqrtm(matrix) if disp else (linalg.sqrtm(matrix), 0.0)

    monkeypatch.setattr(fid, "linalg", WithDisp)
    generator = np.random.default_rng(0)
    sides = [generator.standard_normal((count, 8)) * scale for scale in (1, 2)]  # 5 pictures: singular
    moments = [value for side in sides for value in (side.mean(0), np.cov(side, rowvar=False))]
    assert set_metrics.fid(*sides) == pytest.approx(fid.frechet_distance(*moments), abs=1e-5)


def test_the_frechet_distance_of_covariances_with_common_axes_is_a_sum_over_them():
    axes, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))
    spread, other = np.array([4, 1, 9, 0, 0, 2.0]), np.array([1, 1, 4, 0, 3, 0.0])
    points = np.random.default_rng(1).standard_normal((50, 6))
    white = np.linalg.qr(points - points.mean(0))[0] * 7  # of covariance 1: 49 = 50 - 1
    sides = [white * values**0.5 @ axes.T + mean for values, mean in ((spread, 0), (other, 2))]
    distance = set_metrics.fid(*sides)
    assert distance == pytest.approx(24 + ((spread**0.5 - other**0.5) ** 2).sum(), abs=1e-6)


def test_kid_is_the_unbiased_polynomial_kernel_distance_and_repeats_itself():
    generator = np.random.default_rng(0)
    made, other = generator.standard_normal((30, 4)), generator.standard_normal((30, 4)) + 0.5
    kernel = [(a @ b.T / 4 + 1) ** 3 for a, b in ((made, made), (other, other), (made, other))]
    own = [(k.sum() - np.trace(k)) / (30 * 29) for k in kernel[:2]]
    before = np.random.get_state()[1].copy()
    found = set_metrics.kid(made, other)
    assert found == pytest.approx(sum(own) - 2 * kernel[2].mean(), rel=1e-9)
    assert np.array_equal(before, np.random.get_state()[1])
    assert set_metrics.kid(made, other[:20]) == set_metrics.kid(made, other[:20])  # subsets of 20, drawn


def test_the_inception_score_knows_sharp_and_varied_pictures_and_repeats_itself():
    classes = 5 * torch.eye(8).repeat(20, 1) * 4
    assert picture_metrics.inception_score(torch.zeros(40, 8)) == pytest.approx(1, abs=1e-5)
    score = picture_metrics.inception_score(classes)
    assert 5 < score <= 8 and score == picture_metrics.inception_score(classes)


def dress_code_results(folder, order="paired"):
    for category in truth.categories_of("dresscode"):
        for person in truth.people_of("dresscode", TREES / "dresscode", category):
            target = folder / order / category / person.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(person, target)
    return folder


def test_categories_are_measured_apart_and_together(networks, tmp_path, monkeypatch):
    monkeypatch.setattr(picture_metrics, "SIZE", SIZE)
    folder = dress_code_results(tmp_path, "unpaired")
    skip = ["lpips", "is"]
    run = measure.measure(
        "dresscode", TREES / "dresscode", folder, "unpaired", skip=skip, networks=networks, progress=False
    )
    assert list(run["figures"]) == ["dresses", "lower_body", "upper_body", "all"]
    assert [values["pictures"] for values in run["figures"].values()] == [1, 2, 2, 5]
    weights = {"dresses": 1, "lower_body": 2, "upper_body": 2}
    mean = sum(run["figures"][name]["ssim"] * count for name, count in weights.items()) / 5
    assert run["figures"]["all"]["ssim"] == pytest.approx(mean)
    assert run["meaningless"] == ["ssim", "lpips"] and run["skipped"] == skip and run["failed"] == {}
    assert [name for name, values in run["figures"].items() if "fid" in values] == ["lower_body", "upper_body", "all"]
    assert run["figures"]["all"]["fid"] == pytest.approx(0, abs=1e-3)  # the results are the people's own photos
    with pytest.raises(ValueError, match="cannot skip hats"):
        measure.measure("dresscode", TREES / "dresscode", folder, "paired", skip=["hats"])


def test_the_truth_is_the_whole_test_set_whatever_is_listed(tmp_path):
    root = Path(shutil.copytree(TREES / "dresscode", tmp_path / "data"))
    assert [path.name for path in truth.people_of("dresscode", root, "upper_body")] == ["000101_0.jpg", "000103_0.jpg"]
    # Dress Code's own list of all categories, with a third column, goes before those of the categories
    (root / "test_pairs_paired.txt").write_text("000103_0.jpg 000103_1.jpg 0\n000201_0.jpg 000201_1.jpg 1\n../x y 0\n")
    assert [path.name for path in truth.people_of("dresscode", root, "upper_body")] == ["000103_0.jpg"]
    viton = truth.people_of("vitonhd", TREES / "vitonhd", "upper_body")
    assert [path.name for path in viton] == ["00001_00.jpg", "00003_00.jpg", "00005_00.jpg"]
    with pytest.raises(FileNotFoundError, match="choose the folder of VITON-HD"):
        truth.people_of("vitonhd", tmp_path, "upper_body")


def test_the_first_name_that_differs_is_named(tmp_path):
    people = truth.people_of("vitonhd", TREES / "vitonhd", "upper_body")
    folder = tmp_path / "paired" / "upper_body"
    with pytest.raises(truth.MismatchError, match="there are no results"):
        truth.match(people, folder)
    folder.mkdir(parents=True)
    for name in ("00001_00.png", "00005_00.png", ".00003_00.png.1.part", "settings.json"):
        (folder / name).write_bytes(b"")
    with pytest.raises(truth.MismatchError, match="2 results for 3 .* picture 2: 00005_00 where 00003_00 is expected"):
        truth.match(people, folder)
    assert [made.stem == own.stem for made, own in truth.match(people, folder, partial=True)] == [True, True]
    (folder / "00009_00.png").write_bytes(b"")
    with pytest.raises(truth.MismatchError, match="00009_00.png is no test person"):
        truth.match(people, folder, partial=True)


def test_a_missing_network_is_named_and_the_other_metrics_still_count(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(picture_metrics, "SIZE", SIZE)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(backbones, "inception_features", lambda: fid_backbone(tmp_path))
    results, out = dress_code_results(tmp_path / "results"), tmp_path / "out.json"
    command = ["metrics", "--dataset", "dresscode", "--root", str(TREES / "dresscode"), "--category", "dresses"]
    command += ["--generated", str(results), "--order", "paired", "--json", str(out)]
    assert main(command) == 1
    run = json.loads(out.read_text())
    assert run["figures"]["dresses"]["ssim"] == pytest.approx(1, abs=1e-9)
    assert set(run["failed"]) == {"lpips", "is", "fid", "kid"}
    for metric, name, size in (
        ("lpips", "alexnet-owt-7be5be79.pth", "244 MB"),
        ("is", "weights-inception-2015-12-05-6726825d.pth", "96 MB"),
        ("fid", "inception-2015-12-05.pt", "96 MB"),
    ):
        message = run["failed"][metric]
        assert name in message and size in message and "https://" in message and "--download" in message
        assert str(tmp_path) in message
        assert message in caplog.text
    assert main([*command, "--skip", "lpips", "is", "fid", "kid"]) == 0


def fid_backbone(folder):
    url = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt"
    file = folder / "inception-2015-12-05.pt"
    sha256 = file_sha256(file) if file.is_file() else "0" * 64
    return backbones.Backbone("Inception v3", url, folder, 96, sha256, archive=False)


def test_the_files_are_those_the_libraries_look_for_and_pinned():
    from torch.hub import get_dir

    script = backbones.inception_features()
    assert script.path.name == "inception-2015-12-05.pt" and not script.archive
    for backbone in (backbones.alexnet(), backbones.inception_logits(), script):
        assert backbone.folder == Path(get_dir()) / "checkpoints"  # never the temporary folder, open to everybody
        assert re.fullmatch("[0-9a-f]{64}", backbone.sha256)
    for backbone, sha256 in ((backbones.alexnet(), PINNED[0]), (backbones.inception_logits(), PINNED[1])):
        assert f"-{sha256[:8]}.pth" in backbone.path.name  # as torch names its files


def test_damaged_and_foreign_files_never_reach_a_loader(tmp_path):
    path = tmp_path / "net-12345678.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    url = f"https://example.org/{path.name}"
    backbone = backbones.Backbone("A net", url, tmp_path, 1, file_sha256(path))
    assert backbone.ensure() == path
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(backbones.BackboneError, match="cut short or another file"):
        backbone.ensure()
    torch.save({"weight": Path("x")}, path)  # a Python object that is no tensor
    with pytest.raises(backbones.BackboneError, match="more than tensors"):
        backbones.Backbone("A net", url, tmp_path, 1, file_sha256(path)).ensure()
    path.write_text("<html>")
    with pytest.raises(backbones.BackboneError, match="another file"):
        backbones.Backbone("A script", url, tmp_path, 1, "0" * 64, archive=False).ensure()


def test_a_network_is_fetched_only_when_asked(tmp_path, monkeypatch):
    from ladivton_core.checkpoints import download

    asked = []

    def fetch(urls, target, *, sha256, largest):
        asked.append((urls, sha256, largest))
        torch.save({"weight": torch.zeros(3)}, target)

    torch.save({"weight": torch.zeros(3)}, tmp_path / "b.pth")
    sha256 = file_sha256(tmp_path / "b.pth")
    monkeypatch.setattr(download, "download", fetch)
    backbone = backbones.Backbone("A net", "https://example.org/a.pth", tmp_path, 1, sha256, archive=False)
    with pytest.raises(backbones.BackboneError, match="missing"):
        backbone.ensure()
    assert asked == []
    with pytest.raises(backbones.BackboneError, match="another file"):  # torch writes the archive's name into it
        backbone.ensure(download=True)
    assert asked == [(["https://example.org/a.pth"], sha256, 2_000_000)]


def test_the_inception_score_runs_the_librarys_own_network(hub, monkeypatch):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3 as Inception

    with monkeypatch.context() as patch:  # the network without its weights, for their names and shapes
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *a, **b: {})
        patch.setattr(Inception, "load_state_dict", lambda *state: None)
        state = Inception("inception-v3-compat", ["logits_unbiased"]).state_dict()
    file = hub / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"
    torch.save(state, file)
    monkeypatch.setattr(backbones, "_INCEPTION", file_sha256(file))
    metric = backbones.inception_score("cpu")
    files = truth.people_of("vitonhd", TREES / "vitonhd", "upper_body")[:2]
    logits = picture_metrics.class_logits(metric, files, "cpu", batch=2)
    assert logits.shape == (2, 1008) and not torch.equal(*logits)
    pixels = torch.stack([(picture_metrics.read(file) * 255).byte() for file in files])
    assert torch.allclose(Inception.forward(metric.inception, pixels)[0], logits, atol=1e-5)  # TensorFlow's resizing
    assert picture_metrics.inception_score(logits) >= 1


def test_clean_fids_own_network_takes_the_torchscript_file(tmp_path, monkeypatch):
    class Layers(nn.Module):
        def forward(self, pixels):
            return pixels.mean((2, 3)).repeat(1, 683)[:, :2048]

    class Inception(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = Layers()

        def forward(self, pixels):
            return self.layers(pixels)

    traced = torch.jit.trace(Inception(), torch.zeros(1, 3, 299, 299))
    traced.save(str(tmp_path / "inception-2015-12-05.pt"))
    monkeypatch.setattr(backbones, "inception_features", lambda: fid_backbone(tmp_path))
    network = backbones.fid_features("cpu")
    files = truth.people_of("vitonhd", TREES / "vitonhd", "upper_body")
    found = set_metrics.features(network, files, "cpu", batch=2, progress=False)
    assert found.shape == (3, 2048)
    assert np.abs(found).max() <= 1  # (pixels - 128) / 128
