"""The loop and the paper's stages on a small data set: they run, resume to the bit, and write files that load."""

from __future__ import annotations

import copy
import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch
from torch import nn

from ladivton_core.checkpoints.build import build_unet, load
from ladivton_core.checkpoints.reading import CheckpointError, read_state_dict
from ladivton_core.denoising.schedule import alphas_cumprod
from ladivton_core.embedded import embedded_path
from ladivton_core.inversion.prompts import prompt_for, tokenize
from ladivton_core.preprocessing.labels import CATEGORIES
from ladivton_core.presets import TINY
from ladivton_core.training import accelerator, config, denoiser, loop, noise, norms, perceptual
from ladivton_core.training.__main__ import main
from ladivton_core.training.accelerator import new_accelerator
from ladivton_core.training.chunks import Chunks, has_chunk, trim, write_chunk
from ladivton_core.training.commands import export
from ladivton_core.training.config import ConfigError, TrainingSettings
from ladivton_core.training.draws import Draws, Rows, StepSampler
from ladivton_core.training.recipe import PAPER, RECIPES, Recipe, Training, read_recipe
from ladivton_core.training.resuming import Average, checkpoints
from ladivton_core.training.scenes import open_scenes
from ladivton_core.training.stage import Run, TrainingStage, find_part

VITONHD = RECIPES["vitonhd"]
SIZE = (128, 96)
TREES = Path(__file__).parent.parent / "golden" / "datasets"
SMALL = {
    "models": "tiny", "size": SIZE, "held_out": 2, "steps": 2, "epochs": 0, "batch": 2, "workers": 0, "sheet_steps": 1,
    "precision": "no", "perceptual": "gradient",
}  # fmt: skip


def known(stage: str, **more) -> dict:
    """What of `SMALL` a stage has a setting for, and more."""
    names = {field.name for field in dataclasses.fields(PAPER[stage].settings_type)}
    return {name: value for name, value in SMALL.items() if name in names} | more


@pytest.fixture(scope="module")
def inpainting(tmp_path_factory) -> Path:
    """An inpainting model of tiny widths as a diffusers folder: a UNet of 9 channels, VAE, both CLIP towers."""
    folder = tmp_path_factory.mktemp("inpainting")
    unet = build_unet(dataclasses.replace(TINY, unet=TINY.unet | {"in_channels": 9}))
    unet.save_pretrained(folder / "unet")
    for part, place in (("vae", "vae/diffusion_pytorch_model"), ("text_encoder", "text_encoder/model"),
                        ("vision", "image_encoder/model")):  # fmt: skip
        (folder / place).parent.mkdir()
        shutil.copy(embedded_path(part), folder / f"{place}.safetensors")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A data set in VITON-HD's layout, with a training split."""
    folder = tmp_path_factory.mktemp("data") / "vitonhd"
    shutil.copytree(TREES / "vitonhd", folder)
    shutil.copytree(folder / "test", folder / "train")
    shutil.copy(folder / "test_pairs.txt", folder / "train_pairs.txt")
    return folder


@pytest.fixture(scope="module")
def paper_stages(tmp_path_factory, inpainting, data) -> Path:
    """The paper's stages on that data set, two steps each."""
    folder = tmp_path_factory.mktemp("runs")
    Training(VITONHD, folder, str(inpainting), changes=SMALL | {"root": str(data)}, tracker="tensorboard").run_all()
    return folder


# Settings


@pytest.mark.parametrize("preset", RECIPES)
def test_every_stage_of_a_preset_has_a_config_file(preset):
    training = Training(RECIPES[preset], Path("runs"))
    for stage in RECIPES[preset].stages:
        settings = training.settings(stage)
        assert settings.data == preset and settings.models == "sd2"


def test_the_papers_numbers():
    settings = {stage: Training(VITONHD, Path("runs")).settings(stage) for stage in VITONHD.stages}
    for stage, epochs in (("tps", 50), ("refinement", 50)):
        found = settings[stage]
        assert (found.epochs, found.learning_rate, found.betas, found.batch) == (epochs, 1e-4, (0.5, 0.99), 16)
    for stage, steps in (("emasc", 40001), ("inversion", 200001), ("tryon", 200001)):
        found = settings[stage]
        assert (found.steps, found.learning_rate, found.warm_up, found.clip) == (steps, 1e-5, 500, 1.0)
        assert (found.betas, found.weight_decay, found.precision) == ((0.9, 0.999), 1e-2, "fp16")
    tryon, inversion = settings["tryon"], settings["inversion"]
    assert (tryon.drop_words, tryon.drop_garment, tryon.drop_pose, tryon.drop_all) == (0.2, 0.2, 0.2, 0.0)
    assert inversion.train == ("inversion_adapter",) and inversion.drop_words == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stepz": 3}, "unknown setting 'stepz'; this stage knows .*steps"),
        ({"steps": "many"}, "steps = 'many' is not of the kind int"),
        ({"betas": [0.9]}, "betas"),
        ({"precision": "fp8"}, "no, fp16, bf16, auto"),
        ({"epochs": 2}, "either steps or epochs, or minutes"),
        ({"steps": 0}, "minutes = 0"),
        ({"minutes": 1, "warm_up": 5}, "a share of the way"),
        ({"models": "huge"}, "sd2, tiny"),
    ],
)
def test_a_wrong_setting_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        Training(VITONHD, Path("runs"), changes={"epochs": 0, "steps": 5} | changes).settings("tps")


def test_a_config_file_of_ones_own(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text('models = "tiny"\nsteps = 3\n[elsewhere]\nsteps = 4\n')
    with pytest.raises(ConfigError, match=r"\[elsewhere\]; known are vitonhd"):
        config.read(TrainingSettings, file, tables=VITONHD.tables)
    file.write_text('models = "tiny"\nsteps = 3\n[vitonhd]\nsteps = 4\n')
    assert config.read(TrainingSettings, file, tables=VITONHD.tables).steps == 3
    assert config.read(TrainingSettings, file, tables=VITONHD.tables, chosen=("vitonhd", "cpu")).steps == 4
    assert config.change("betas = [0.5, 0.9]") == ("betas", [0.5, 0.9]) and config.change("init=x/y") == ("init", "x/y")


def test_stages_and_settings_a_preset_does_not_have_are_named():
    with pytest.raises(ConfigError, match="vitonhd has no stage 'vae'"):
        Training(VITONHD, Path("runs")).settings("vae")
    with pytest.raises(ConfigError, match="no stage of preset vitonhd has a setting stepz"):
        Training(VITONHD, Path("runs"), changes={"stepz": 1}).plan()
    with pytest.raises(ConfigError, match="no stage of preset vitonhd has a setting tps.crop"):
        Training(VITONHD, Path("runs"), changes={"tps.crop": 1}).plan()


def test_a_change_may_be_for_one_stage_alone():
    plan = Training(VITONHD, Path("runs"), changes={"batch": 8, "tps.batch": 4}).plan()
    assert plan["tps"].batch == 4 and {plan[stage].batch for stage in plan if stage != "tps"} == {8}


def test_learning_rates_rise_and_fall():
    plain = TrainingSettings("tiny", steps=10)
    rise = dataclasses.replace(plain, warm_up=4)
    assert [rise.rate_factor(step, 10) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    cosine = dataclasses.replace(plain, warm_up=0.2, decay="cosine")
    factors = [cosine.rate_factor(step, 10) for step in range(10)]
    assert factors[:2] == [0.5, 1.0] and factors[2:] == sorted(factors[2:], reverse=True) and factors[-1] > 0
    floored = dataclasses.replace(cosine, floor=0.1)
    assert floored.rate_factor(10, 10) == pytest.approx(0.1) and cosine.rate_factor(10, 10) == pytest.approx(0)


# Rows and random numbers


def test_every_row_comes_once_an_epoch_whoever_reads_it():
    keys = [key for keys in StepSampler(10, 4, 4, 3, range(5)) for key in keys]
    assert sorted(row for row, _, _ in keys[:10]) == sorted(row for row, _, _ in keys[10:]) == list(range(10))
    shares = [[k for keys in StepSampler(10, 4, 1, 3, range(5), process, 2) for k in keys] for process in (0, 1)]
    assert sorted(shares[0] + shares[1]) == sorted(keys)
    assert [key for keys in StepSampler(10, 4, 4, 3, range(2, 5)) for key in keys] == keys[8:]


def test_a_sample_draws_the_same_numbers_in_any_batch():
    together, alone = Draws(5, 7, [0, 1, 2]), Draws(5, 7, [2])
    assert torch.equal(together.normal(3)[2:], alone.normal(3)) and torch.equal(together.uniform()[2:], alone.uniform())
    assert not torch.equal(Draws(5, 8, [2]).normal(3), Draws(5, 7, [2]).normal(3))


def test_chunks_give_back_their_rows_and_notice_a_hole(tmp_path):
    rows = torch.arange(60).view(60, 1)
    write_chunk(tmp_path, 0, {"x": rows[:50]})
    write_chunk(tmp_path, 1, {"x": rows[50:]})
    chunks = Chunks(tmp_path, "world")
    assert len(chunks) == 60 and torch.equal(chunks.stack("x", [0, 49, 50, 59]), rows[[0, 49, 50, 59]])
    assert has_chunk(tmp_path, 1, 10) and not has_chunk(tmp_path, 1, 50) and not has_chunk(tmp_path, 2, 50)
    trim(tmp_path, 51)
    assert len(Chunks(tmp_path, "world")) == 60
    trim(tmp_path, 50)
    assert len(Chunks(tmp_path, "world")) == 50
    write_chunk(tmp_path, 1, {"x": rows[50:]})
    (tmp_path / "00000.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="run the stage `world` first"):
        Chunks(tmp_path, "world")


# The loop, on a stage small enough to compare runs of it


class Numbers(Rows):
    def __len__(self) -> int:
        return 6

    def item(self, row, rng, step):
        return {"x": torch.tensor([row / 6, rng.random()], dtype=torch.float32)}


class Toy(TrainingStage):
    """A regression with dropout and noise; `stop` ends it in the middle of a step, as Ctrl-C would."""

    sheet_titles = ("noise",)

    def __init__(self, settings, dropout: float = 0.5, stop: int | None = None):
        self.settings, self.rows, self.stop, self.calls = settings, Numbers(), stop, 0
        self.module = nn.Sequential(nn.Linear(2, 8), nn.Dropout(dropout), nn.Linear(8, 1))

    def loss(self, module, batch, draws):
        self.calls += 1
        if self.calls == self.stop:
            raise KeyboardInterrupt
        return (module(batch["x"] + draws.normal(2)) - 1).square().mean()

    def validate(self, module):
        return {"error": 1.0}, [torch.zeros(1, 3, 16, 16)]

    def outputs(self, module):
        return {"toy": module}


def toy(folder: Path, stop: int | None = None, dropout: float = 0.5, **changes):
    settings = dataclasses.replace(
        TrainingSettings("tiny", steps=4, batch=2, learning_rate=0.05, ema=0.9, save_every=2, clip=1.0),
        **changes,
    )
    torch.manual_seed(settings.seed)
    stage, run = Toy(settings, dropout, stop), Run(folder, "toy")
    (folder / "toy").mkdir(parents=True, exist_ok=True)
    outcome = loop.fit(stage, run, new_accelerator(settings, folder))
    return outcome, torch.cat([w.flatten() for w in read_state_dict(run.file("toy")).values()])


def test_a_resumed_run_is_the_run_that_was_not_stopped(tmp_path):
    straight, weights = toy(tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        toy(tmp_path / "stopped", stop=4)
    # what a kill during the next save would leave behind
    (tmp_path / "stopped" / "toy" / "checkpoints" / "step-0000004.partial").mkdir()
    resumed, again = toy(tmp_path / "stopped")
    assert resumed.losses == straight.losses[2:] and torch.equal(weights, again)


def test_the_seed_and_nothing_else_decides(tmp_path):
    first, other = toy(tmp_path / "a"), toy(tmp_path / "b", seed=7)
    with_workers = toy(tmp_path / "c", workers=1)
    assert torch.equal(first[1], with_workers[1]) and first[0].losses == with_workers[0].losses
    assert not torch.equal(first[1], other[1])


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path):
    whole, weights = toy(tmp_path / "whole", dropout=0.0)
    parts, same = toy(tmp_path / "parts", dropout=0.0, micro_batch=1)
    assert whole.losses == pytest.approx(parts.losses, rel=1e-5)
    torch.testing.assert_close(weights, same, rtol=1e-5, atol=1e-6)
    with pytest.raises(ConfigError, match="batch = 2 does not divide"):
        toy(tmp_path / "odd", micro_batch=3)


def test_a_run_may_go_on_with_other_micro_batches(tmp_path):
    straight, weights = toy(tmp_path / "straight", dropout=0.0, steps=8)
    toy(tmp_path / "parts", dropout=0.0, steps=3)
    parts, same = toy(tmp_path / "parts", dropout=0.0, steps=8, micro_batch=1)
    assert straight.losses[3:] == pytest.approx(parts.losses, rel=1e-5)
    torch.testing.assert_close(weights, same, rtol=1e-5, atol=1e-6)


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path):
    toy(tmp_path, ema=0.0)
    with pytest.raises(ConfigError, match="without a running average: set ema = 0"):
        toy(tmp_path, steps=5)
    with pytest.raises(ConfigError, match="already made 4 steps"):
        toy(tmp_path, steps=3, ema=0.0)


def test_the_average_is_written_and_the_weights_go_on(tmp_path):
    _, averaged = toy(tmp_path / "a")
    _, last = toy(tmp_path / "b", ema=0.0)
    assert not torch.equal(averaged, last)
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    average = Average(module, 0.999)
    for value in (1.0, 0.0):  # the start is forgotten at once, then quickly: decay 0, 2 / 11, ...
        nn.init.constant_(module.weight, value)
        average.update(module)
    with average.applied(module):
        assert module.weight.item() == pytest.approx(2 / 11)
    assert module.weight.item() == 0


def test_old_checkpoints_go_and_changed_settings_are_named(tmp_path, caplog):
    toy(tmp_path, save_every=1, keep=2)
    assert [step for step, _ in checkpoints(tmp_path / "toy" / "checkpoints")] == [3, 4]
    toy(tmp_path, steps=5, learning_rate=0.1)
    assert "goes on from step 4 with other settings: learning_rate" in caplog.text


def test_a_clock_ends_a_stage(tmp_path, monkeypatch):
    """Every step takes ten seconds of a clock of its own; half a minute is three of them."""
    clock, step = [0.0], Toy.loss
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def slow(self, module, batch, draws):
        clock[0] += 10
        return step(self, module, batch, draws)

    monkeypatch.setattr(Toy, "loss", slow)
    for limits, steps in (
        ({"minutes": 0.5, "steps": 0}, 3),
        ({"minutes": 0.5, "steps": 2}, 2),
        ({"minutes": 1e-6, "steps": 0}, 1),  # never none, or nothing would be written
    ):
        folder = tmp_path / str(limits)
        outcome, _ = toy(folder, **limits)
        assert len(outcome.losses) == steps == checkpoints(folder / "toy" / "checkpoints")[-1][0]
    outcome, _ = toy(tmp_path / "goes on", minutes=0.5, steps=0)
    assert outcome.seconds == 30
    outcome, _ = toy(tmp_path / "goes on", minutes=0.7, steps=0)
    assert len(outcome.losses) == 2 and outcome.seconds == 50  # those spent before count


def test_by_the_clock_rates_follow_the_share_of_the_time(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    settings = TrainingSettings("tiny", minutes=1.0, warm_up=0.1, decay="cosine", floor=0.2)
    way = loop.Pace(settings, rows=4)
    shares, factors = [], []
    for clock[0] in (0, 3, 6, 33, 60, 90):
        shares.append(way.share(7))
        factors.append(way.rate_factor(7))
    assert shares == pytest.approx([0, 0.05, 0.1, 0.55, 1, 1])
    assert factors == pytest.approx([0, 0.5, 1, 0.6, 0.2, 0.2], abs=1e-3)


def test_weights_that_got_worse_are_not_written(tmp_path, monkeypatch, caplog):
    """`score` falls by one from look to look."""
    scores = iter([3.0, 2.0, 3.0, 2.0])
    monkeypatch.setattr(Toy, "score", lambda self, figures: next(scores))
    monkeypatch.setattr(Toy, "compares", True)
    monkeypatch.setattr(Toy, "tolerance", 2.0)
    outcome, _ = toy(tmp_path / "a little")
    assert outcome.written and (outcome.figures["score_before"], outcome.figures["score"]) == (3.0, 2.0)
    monkeypatch.setattr(Toy, "tolerance", 0.5)
    with pytest.raises(FileNotFoundError):  # `toy` reads what was written
        toy(tmp_path / "much")
    assert "toy made it worse: the weights before it stay" in caplog.text


def test_bfloat16_only_where_the_hardware_multiplies_it(monkeypatch):
    for supported, wanted in ((False, "no"), (True, "bf16")):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda answer=supported: answer, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
        assert accelerator.precision_on("cpu", "auto") == wanted
    for capability, wanted in (((7, 5), "no"), ((8, 0), "bf16")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, answer=capability: answer)
        assert accelerator.precision_on("cuda", "auto") == wanted
    assert accelerator.precision_on("mps", "auto") == "no" and accelerator.precision_on("mps", "fp16") == "fp16"


def test_stages_of_one_process_have_their_own_precisions(tmp_path):
    """accelerate keeps the first: `new_accelerator` resets what it has no public way to reset."""
    for precision in ("bf16", "no", "bf16"):
        settings = TrainingSettings("tiny", "drawn", steps=1, precision=precision)
        assert new_accelerator(settings, tmp_path).mixed_precision == precision


def test_light_norms_stay_in_the_type_of_their_input():
    norm = nn.GroupNorm(2, 8)
    x = torch.randn(2, 8, 4, 4)
    wanted = norm(x)
    light = copy.deepcopy(norms.light_norms(nn.Sequential(norm), "cuda"))
    assert light.state_dict().keys() == {"0.weight", "0.bias"} and torch.equal(light(x), wanted)
    with torch.autocast("cpu", torch.bfloat16):
        found = light(x.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, atol=0.05, rtol=0)  # of 4 at most, in steps of 1/64 there


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path):
    with pytest.raises(FloatingPointError, match="not a number at step"):
        toy(tmp_path, learning_rate=float("nan"), clip=0.0)


# The stages


def test_every_stage_ran_and_said_what_it_did(paper_stages):
    noted = read_recipe(paper_stages)["stages"]
    assert set(noted) == set(PAPER)
    assert all(stage["seconds"] >= 0 and stage["settings"]["seed"] == 1234 for stage in noted.values())
    assert noted["refinement"]["settings"]["perceptual"] == "gradient"
    for stage, kind in PAPER.items():
        if issubclass(kind, TrainingStage):
            assert (paper_stages / stage / "sheet.png").stat().st_size > 1000
            assert noted[stage]["figures"]
    assert list((paper_stages / "logs").rglob("events.out.tfevents*"))


class Own(Toy):
    settings_type = TrainingSettings

    def __init__(self, settings, run, device):
        super().__init__(settings)


def test_a_recipe_of_ones_own_is_carried_out(tmp_path, paper_stages):
    (tmp_path / "own.toml").write_text('models = "tiny"\nsteps = 1\nbatch = 2\n[cpu]\nsteps = 2\n')
    own = Recipe("mine", {"own": Own}, tmp_path, tables=("cpu",), starts_from="weights", tracker="none")
    training = Training(own, tmp_path / "runs", changes={"learning_rate": 0.5})
    training.run_all()
    noted = read_recipe(tmp_path / "runs")
    assert noted["preset"] == "mine" and noted["stages"]["own"]["steps"] == 2
    assert noted["stages"]["own"]["settings"]["learning_rate"] == 0.5 and training.done("own", training.settings("own"))
    with pytest.raises(ConfigError, match="folder of the preset 'vitonhd'"):
        Training(own, paper_stages).run_all()
    with pytest.raises(ConfigError, match="folder of the preset 'mine'; known are vitonhd, dresscode"):
        export(tmp_path / "runs", tmp_path / "export")


def test_the_command_that_trains_the_embedded_default_is_named():
    for given in (["world", "--preset", "embedded"], ["all", "--preset=embedded", "--out", "runs"]):
        with pytest.raises(SystemExit, match="trained by `python -m drawn_world.training`"):
            main(given)


def test_a_finished_recipe_is_not_run_again(paper_stages, inpainting, data, monkeypatch):
    monkeypatch.setattr(Training, "run", lambda self, stage, settings: pytest.fail(f"{stage} ran again"))
    Training(VITONHD, paper_stages, str(inpainting), changes=SMALL | {"root": str(data)}).run_all()


def test_the_papers_stages_on_viton_hd(paper_stages, inpainting, tmp_path):
    before = read_state_dict(inpainting / "unet" / "diffusion_pytorch_model.safetensors")
    after = read_state_dict(paper_stages / "tryon" / "unet.safetensors")
    assert after["conv_in.weight"].shape[1] == 31
    assert (after["conv_in.weight"][:, :9] - before["conv_in.weight"]).abs().max() < 1e-3
    assert [f.name for f in sorted((paper_stages / "inversion").glob("*.safetensors"))] == [
        "inversion_adapter.safetensors"
    ]
    made = {"unet", "inversion_adapter", "emasc", "warping"}
    files = export(paper_stages, tmp_path)
    assert set(files) == made
    for part, file in files.items():
        load(part, file, TINY)


@pytest.mark.long
def test_tryon_goes_on_exactly_where_it_was_stopped(paper_stages, inpainting, tmp_path, monkeypatch):
    for folder in ("straight", "stopped"):
        for stage in ("inversion", "extract"):
            shutil.copytree(paper_stages / stage, tmp_path / folder / stage)
    changes = known("tryon", steps=3, save_every=2, held_out=1)

    def run(folder: str):
        return Training(VITONHD, tmp_path / folder, str(inpainting), changes=changes, tracker="none").run("tryon")

    straight, original = run("straight"), denoiser.Denoising.loss
    calls = []

    def interrupted(self, *inputs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, *inputs)

    monkeypatch.setattr(denoiser.Denoising, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("stopped")
    resumed = run("stopped")
    assert resumed.losses == straight.losses[2:]
    for part in ("unet", "inversion_adapter"):
        first, second = (
            read_state_dict(tmp_path / f / "tryon" / f"{part}.safetensors") for f in ("straight", "stopped")
        )
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_stage_without_what_it_needs_says_what_to_run(tmp_path):
    with pytest.raises(ConfigError, match="--data FOLDER"):
        Training(VITONHD, tmp_path).run("tps")
    with pytest.raises(FileNotFoundError, match="needs the part vae.*--init"):
        Training(VITONHD, tmp_path, changes={"models": "tiny", "precision": "no"}).run("emasc")


def test_dress_code_has_its_categories(tmp_path):
    shutil.copytree(TREES / "dresscode", tmp_path / "data")
    for category in CATEGORIES:
        pairs = tmp_path / "data" / category / "test_pairs_paired.txt"
        shutil.copy(pairs, pairs.with_name("train_pairs.txt"))
    changes = {"root": str(tmp_path / "data"), "size": [64, 48]}
    train, _ = open_scenes(Training(RECIPES["dresscode"], tmp_path, changes=changes).settings("extract"))
    found = [train.read(row, "category", "worn") for row in range(len(train))]
    assert [CATEGORIES[one["category"]] for one in found] == ["dresses"] + ["upper_body"] * 2 + ["lower_body"] * 2
    assert all(one["worn"].shape == (3, 64, 48) for one in found)


# What the denoising stages start from and learn


def test_new_input_channels_change_nothing_at_first(inpainting):
    small = load_inpainting(inpainting)
    extended = find_part(inpainting, "unet", TINY)
    noisy, words, times = torch.randn(1, 9, 16, 16), torch.randn(1, 77, 64), torch.tensor([3])
    with torch.no_grad():
        wanted = small(noisy, times, words).sample
        found = extended(torch.cat([noisy, torch.randn(1, 22, 16, 16)], 1), times, words).sample
    # Zeros are added; if the sums of 31 channels round in another order than those of 9, by a few of 1e-7 a layer.
    # A new channel that spoke would be seen at the size of the picture.
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))


def load_inpainting(folder: Path):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(folder / "unet").eval()


def test_a_tryon_unet_is_taken_as_it_is_and_another_one_refused(tmp_path):
    assert find_part(embedded_path("unet"), "unet", TINY).config.in_channels == 31
    state = read_state_dict(embedded_path("unet"))
    state["conv_in.weight"] = state["conv_in.weight"][:, :4].contiguous()
    torch.save(state, tmp_path / "text_to_image.pth")
    with pytest.raises(CheckpointError, match="4 input channels.*inpainting"):
        find_part(tmp_path / "text_to_image.pth", "unet", TINY)
    assert find_part(embedded_path("unet"), "vae", TINY) is None
    with pytest.raises(FileNotFoundError, match="no such folder or file"):
        find_part(tmp_path / "gone", "unet", TINY)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_target_leads_back_to_the_clean_latents(kind):
    clean, grain = torch.randn(2, 3, 4, 8, 8).unbind(0)
    alphas = alphas_cumprod(TINY.schedule)[torch.tensor([10, 400, 900])]
    noisy, target = noise.noised(clean, grain, alphas), noise.target(clean, grain, alphas, kind)
    # a few roundings of numbers up to 4, in the noisiest sample divided by the share of the clean one that is left
    atol = 8 * torch.finfo(torch.float32).eps / float(alphas.min().sqrt())
    assert torch.allclose(noise.clean_from(noisy, target, alphas, kind), clean, rtol=0, atol=atol)


def test_dropping_everything_leaves_mask_and_masked_person():
    nothing = {"words": 0.0, "garment": 0.0, "pose": 0.0}
    channels, words = noise.drop(torch.ones(4, 27, 2, 2), Draws(0, 0, range(4)), **nothing, everything=1.0)
    assert words.all() and (channels[:, :5] == 1).all() and (channels[:, 5:] == 0).all()


def test_prompts_follow_the_category(paper_stages, inpainting):
    settings = Training(VITONHD, paper_stages, changes=known("tryon")).settings("tryon")
    stage = denoiser.Denoising(settings, Run(paper_stages, "tryon", tuple(PAPER), str(inpainting)), "cpu")
    ids = stage.prompts(torch.arange(3), torch.tensor([False, False, True]))
    assert torch.equal(ids, tokenize([prompt_for(CATEGORIES[0]), prompt_for(CATEGORIES[1]), ""]))


def test_a_random_token_table_survives_eight_bits(tmp_path):
    parts = denoiser.starting_parts(Run(tmp_path, "inversion", (), "scratch"), TINY, denoiser.PARTS)
    table = parts["text_encoder"].token_embedding.weight
    assert torch.equal(table, table.to(torch.float8_e4m3fn).float()) and table.std() > 0.1
    assert not parts["unet"].conv_in.weight[:, 9:].any() and parts["unet"].conv_in.weight[:, :9].any()


def test_frozen_parts_are_neither_trained_nor_saved(tmp_path):
    parts = denoiser.starting_parts(Run(tmp_path, "inversion", (), "scratch"), TINY, denoiser.PARTS)
    module = denoiser.TryOnDenoiser(parts, ("inversion_adapter",), "cpu").train()
    assert all(key.startswith("inversion_adapter.") for key in module.state_dict())
    assert not module.part("unet").training and not any(w.requires_grad for w in module.part("unet").parameters())


# The perceptual term


def test_missing_vgg_weights_are_asked_for_by_name(monkeypatch):
    def offline():
        raise URLError("no network")

    monkeypatch.setattr(perceptual.PerceptualLoss, "from_torchvision", offline)
    with pytest.raises(FileNotFoundError, match="(?s)vgg19-dcbb9e9d.pth.*--vgg FILE.*perceptual = 'gradient'"):
        perceptual.configured("vgg19", "", "cpu")
    with pytest.raises(ValueError, match="vgg19, gradient"):
        perceptual.configured("lpips", "", "cpu")


def test_vgg_weights_of_ones_own(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(perceptual, "SHORT_SIDE", 32)  # of 224: a fiftieth of the work
    loss = perceptual.PerceptualLoss()
    torch.save(loss.state_dict(), tmp_path / "vgg.pth")
    caplog.set_level("INFO")
    given = perceptual.configured("vgg19", str(tmp_path / "vgg.pth"), "cpu")
    a, b = torch.rand(2, 1, 3, 32, 32).unbind(0)
    assert given(a, b) == loss(a, b) and "VGG19" in caplog.text
