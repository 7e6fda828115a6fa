"""The training stages on a small drawn world: every stage runs, resumes to the bit, and writes files that load."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import nn

from ladivton_core.checkpoints.build import build_unet, build_vae, build_vision, load
from ladivton_core.checkpoints.reading import CheckpointError, read_state_dict
from ladivton_core.denoising.schedule import alphas_cumprod, ddim_scheduler
from ladivton_core.drawn_world.patterns import PATTERNS
from ladivton_core.drawn_world.scene import CYCLE, DrawnWorld
from ladivton_core.embedded import PARTS, embedded_path
from ladivton_core.inversion.prompts import prompt_for, tokenize
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.preprocessing.labels import CATEGORIES
from ladivton_core.presets import TINY
from ladivton_core.training import (
    config,
    denoiser,
    extraction,
    loop,
    perceptual,
    starting_points,
    vae,
    vision,
    warper,
    world,
)
from ladivton_core.training.chunks import Chunks, has_chunk, trim, write_chunk
from ladivton_core.training.config import ConfigError, TrainingSettings
from ladivton_core.training.draws import Draws, Rows, StepSampler
from ladivton_core.training.export import END, START, export
from ladivton_core.training.recipe import RECIPES, STAGES, Recipe, read_recipe
from ladivton_core.training.scenes import open_scenes
from ladivton_core.training.stage import Run, TrainingStage
from ladivton_core.warping.refinement import RefinementUNet

SIZE = (128, 96)
TREES = Path(__file__).parent.parent / "golden" / "datasets"
SMALL = {
    "size": SIZE, "count": 8, "held_out": 2, "steps": 2, "epochs": 0, "batch": 2, "workers": 0, "crops": [64],
    "crop": [64, 64], "cut": [64, 64], "sheet_steps": 1, "first": 0,
}  # fmt: skip


def known(stage: str, **more) -> dict:
    """What of `SMALL` a stage has a setting for, and more."""
    names = {field.name for field in dataclasses.fields(STAGES[stage].settings_type)}
    return {name: value for name, value in SMALL.items() if name in names} | more


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The embedded default's whole recipe, two steps a stage."""
    folder = tmp_path_factory.mktemp("runs")
    Recipe("synthetic", folder, init="scratch", changes=SMALL, tracker="tensorboard").run_all()
    return folder


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """Three people (3, 3, 512, 384) in [-1, 1]."""
    world = DrawnWorld(7)
    return torch.cat([world.scene([i], [i]).person for i in range(3)]) * 2 - 1


# Settings


@pytest.mark.parametrize("preset", config.PRESETS)
def test_every_stage_of_a_preset_has_a_config_file(preset):
    recipe = Recipe(preset, Path("runs"))
    for stage in RECIPES[preset]:
        settings = recipe.settings(stage)
        assert settings.data == preset and settings.models == ("tiny" if preset == "synthetic" else "sd2")


def test_the_papers_numbers():
    settings = {stage: Recipe("vitonhd", Path("runs")).settings(stage) for stage in RECIPES["vitonhd"]}
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
        ({"precision": "fp8"}, "no, fp16, bf16"),
        ({"epochs": 2}, "either steps or epochs"),
        ({"models": "huge"}, "sd2, tiny"),
    ],
)
def test_a_wrong_setting_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        Recipe("synthetic", Path("runs"), changes=changes).settings("tps")


def test_a_config_file_of_ones_own(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text('models = "tiny"\ndata = "vitonhd"\nsteps = 3\n[elsewhere]\nsteps = 4\n')
    with pytest.raises(ConfigError, match=r"\[elsewhere\]; known are vitonhd"):
        config.read(TrainingSettings, "x", "vitonhd", file=file)
    file.write_text('models = "tiny"\ndata = "vitonhd"\nsteps = 3\n[vitonhd]\nsteps = 4\n')
    assert config.read(TrainingSettings, "x", "vitonhd", file=file).steps == 4
    assert config.change("betas = [0.5, 0.9]") == ("betas", [0.5, 0.9]) and config.change("init=x/y") == ("init", "x/y")


def test_stages_and_settings_a_preset_does_not_have_are_named():
    with pytest.raises(ConfigError, match="vitonhd has no stage 'vae'"):
        Recipe("vitonhd", Path("runs")).settings("vae")
    with pytest.raises(ConfigError, match="no stage of preset synthetic has a setting stepz"):
        Recipe("synthetic", Path("runs"), changes={"stepz": 1}).run_all()


def test_learning_rates_rise_and_fall():
    plain = TrainingSettings("tiny", "synthetic", steps=10)
    rise = dataclasses.replace(plain, warm_up=4)
    assert [rise.rate_factor(step, 10) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    cosine = dataclasses.replace(plain, warm_up=0.2, decay="cosine")
    factors = [cosine.rate_factor(step, 10) for step in range(10)]
    assert factors[:2] == [0.5, 1.0] and factors[2:] == sorted(factors[2:], reverse=True) and factors[-1] > 0


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
        TrainingSettings("tiny", "synthetic", steps=4, batch=2, learning_rate=0.05, ema=0.9, save_every=2, clip=1.0),
        **changes,
    )
    torch.manual_seed(settings.seed)
    stage, run = Toy(settings, dropout, stop), Run(folder, "toy")
    (folder / "toy").mkdir(parents=True, exist_ok=True)
    outcome = loop.fit(stage, run, loop.new_accelerator(settings, folder))
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
    average = loop.Average(module, 0.999)
    for value in (1.0, 0.0):  # the start is forgotten at once, then quickly: decay 0, 2 / 11, ...
        nn.init.constant_(module.weight, value)
        average.update(module)
    with average.applied(module):
        assert module.weight.item() == pytest.approx(2 / 11)
    assert module.weight.item() == 0


def test_old_checkpoints_go_and_changed_settings_are_named(tmp_path, caplog):
    toy(tmp_path, save_every=1, keep=2)
    assert [step for step, _ in loop.checkpoints(tmp_path / "toy" / "checkpoints")] == [3, 4]
    toy(tmp_path, steps=5, learning_rate=0.1)
    assert "goes on from step 4 with other settings: learning_rate" in caplog.text


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path):
    with pytest.raises(FloatingPointError, match="not a number at step"):
        toy(tmp_path, learning_rate=float("nan"), clip=0.0)


# The stages


def test_every_stage_ran_and_said_what_it_did(runs):
    noted = read_recipe(runs)["stages"]
    assert set(noted) == set(STAGES)
    assert all(stage["seconds"] >= 0 and stage["settings"]["seed"] == 0 for stage in noted.values())
    assert noted["refinement"]["settings"]["perceptual"] == "gradient"
    for stage, kind in STAGES.items():
        if issubclass(kind, TrainingStage):
            assert (runs / stage / "sheet.png").stat().st_size > 1000
            assert noted[stage]["figures"]
    assert list((runs / "logs").rglob("events.out.tfevents*"))


def test_a_finished_recipe_is_not_run_again(runs, monkeypatch):
    monkeypatch.setattr(Recipe, "run", lambda self, stage, settings: pytest.fail(f"{stage} ran again"))
    Recipe("synthetic", runs, init="scratch", changes=SMALL).run_all()


def test_more_scenes_are_added_and_other_ones_refused(tmp_path):
    for count in (1, 2):
        Recipe("synthetic", tmp_path, changes=known("world", count=count)).run("world")
        assert len(Chunks(tmp_path / "world", "world")) == count
    with pytest.raises(ConfigError, match="was made with another world: delete that folder"):
        Recipe("synthetic", tmp_path, changes=known("world", world=2)).run("world")


def test_a_cycle_names_every_scene_once_and_leaves_the_worlds_own_order_alone():
    assert [world.scene_index(CYCLE, row) for row in range(9)] == list(range(9))
    cycle = ("upper_body", "lower_body", "dresses", "lower_body")
    rows = [world.scene_index(cycle, row) for row in range(40)]
    assert len(set(rows)) == 40
    assert [DrawnWorld.category(index) for index in rows] == list(cycle) * 10


@pytest.mark.parametrize(
    ("stage", "changes", "message"),
    [
        ("world", {"cycle": ["dresses"]}, "cycle = \\['dresses'\\] is 4 of upper_body"),
        ("world", {"cycle": ["hats"] * 4}, "is 4 of upper_body, lower_body, dresses"),
        ("world", {"unpaired": 2.0}, "unpaired = 2.0 is a share"),
        ("vision", {"recolour": -0.5}, "recolour = -0.5 between 0 and 1"),
        ("vision", {"patches": 0.0}, "patches = 0.0 above 0"),
        ("extract", {"cut": [60, 64]}, "cut = \\[60, 64\\] is not two multiples of 8"),
        ("tryon", {"own": 1.5}, "own = 1.5 is between 0 and 1"),
        ("tryon", {"own": 0.5, "own_steps": 0}, "own_steps = 0 at least 1"),
    ],
)
def test_settings_of_the_drawn_world_out_of_range_are_named(stage, changes, message):
    with pytest.raises(ConfigError, match=message):
        Recipe("synthetic", Path("runs"), changes=changes).settings(stage)


def test_unpaired_scenes_hide_what_the_person_wore_before(tmp_path):
    scenes = {}
    for share in (0.0, 1.0):
        folder = tmp_path / str(share)
        Recipe("synthetic", folder, changes=known("world", count=4, unpaired=share)).run("world")
        scenes[share] = open_scenes(Recipe("synthetic", folder, changes=known("vae")).settings("vae"), folder)[0]
    paired, unpaired = (scenes[share].read(1, "person", "agnostic", "mask", "worn") for share in (0.0, 1.0))
    assert torch.equal(paired["person"], unpaired["person"]) and torch.equal(paired["worn"], unpaired["worn"])
    assert torch.equal(paired["agnostic"], paired["person"] * (1 - paired["mask"]))
    assert not torch.equal(paired["mask"], unpaired["mask"])
    assert not (unpaired["agnostic"] * unpaired["mask"]).any()
    differs = (unpaired["agnostic"] - unpaired["person"] * (1 - unpaired["mask"])).abs().amax(0) > 0.02
    assert differs.float().mean() < 0.05  # what reaches beyond the mask, no more


def test_a_cut_lies_over_the_mask_and_on_the_grid():
    mask = torch.zeros(128, 96)
    mask[50:90, 10:70] = 1
    for seed in range(20):
        rows, columns = extraction.window_over(mask, (64, 72), np.random.default_rng(seed))
        assert (rows.stop - rows.start, columns.stop - columns.start) == (64, 72)
        assert rows.start % 8 == columns.start % 8 == 0 and rows.start >= 0 and rows.stop <= 128 and columns.stop <= 96
        assert mask[rows, columns].sum() > 0.9 * mask.sum()
    inside = extraction.window_over(mask, (32, 32), np.random.default_rng(0))
    assert mask[inside].float().mean() > 0.5
    assert extraction.window_over(mask, (128, 96), np.random.default_rng(0)) == (slice(0, 128), slice(0, 96))


def test_the_exported_files_make_a_pipeline(runs, tmp_path):
    (tmp_path / "CARD.md").write_text(f"# Card\n\n{START}\nold\n{END}\n\nLicence\n")
    files = export(runs, tmp_path)
    assert set(files) == set(PARTS)
    card = (tmp_path / "CARD.md").read_text()
    assert "old" not in card and "seed 0" in card and "| tryon | 2 x 2 |" in card and card.endswith("Licence\n")
    for part, file in files.items():  # names, shapes and types of the shipped files
        ours, shipped = read_state_dict(file), read_state_dict(embedded_path(part))
        assert {k: (v.shape, v.dtype) for k, v in ours.items()} == {k: (v.shape, v.dtype) for k, v in shipped.items()}
    pipeline = TryOnPipeline.from_files(files, TINY)
    _, held_out = open_scenes(Recipe("synthetic", runs, changes=known("vae")).settings("vae"), runs)
    read = {k: v[None] for k, v in held_out.read(0, "person", "mask", "garment").items()}
    pose = torch.zeros(1, 18, *SIZE)
    result = pipeline(read["person"], read["garment"], mask=read["mask"], pose_map=pose, steps=1)
    assert result.images.shape == (1, 3, *SIZE) and result.images.isfinite().all()


def test_the_decoder_stage_leaves_the_latents_alone(runs):
    before, after = (read_state_dict(runs / stage / "vae.safetensors") for stage in ("vae", "decoder"))
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved and all(key.startswith(("decoder.", "post_quant_conv.")) for key in moved)
    first, second = (read_state_dict(runs / stage / "emasc.safetensors") for stage in ("emasc", "decoder"))
    assert any(not torch.equal(first[key], second[key]) for key in first)


def test_sampled_latents_depend_on_their_row_alone(runs, tmp_path):
    for stage in (name for name in STAGES if (runs / name).is_dir() and name not in ("sample", "decoder")):
        (tmp_path / stage).symlink_to(runs / stage)
    Recipe("synthetic", tmp_path, "scratch", changes=known("sample", count=2), tracker="none").run("sample")
    some, all_of_them = (Chunks(folder / "sample", "sample") for folder in (tmp_path, runs))
    assert torch.equal(some.read(1, "latents"), all_of_them.read(1, "latents"))
    assert not torch.equal(some.read(0, "latents"), some.read(1, "latents"))


def test_a_step_may_start_from_what_the_model_sampled_itself(runs, tmp_path):
    losses = {}
    for own in (0.0, 1.0):
        folder = tmp_path / str(own)
        folder.mkdir()
        for stage in ("vae", "inversion", "extract"):
            (folder / stage).symlink_to(runs / stage)
        changes = known("tryon", own=own, held_out=1)
        losses[own] = Recipe("synthetic", folder, "scratch", changes=changes, tracker="none").run("tryon").losses
    assert losses[0.0] != losses[1.0] and all(0 < loss < 100 for loss in losses[1.0])
    assert Draws(0, 5, [0, 1]).shared() == Draws(0, 5, [7]).shared() != Draws(0, 6, [7]).shared()
    with pytest.raises(ConfigError, match="v-prediction"):
        Recipe("vitonhd", tmp_path, changes={"own": 0.5}).settings("tryon")


def test_samples_without_a_garment_may_draw_their_timesteps_from_higher_noise(runs, monkeypatch):
    seen = {}
    for share in (0.0, 1.0):
        settings = Recipe("synthetic", runs, changes=known("tryon", drop_garment=share)).settings("tryon")
        settings = dataclasses.replace(settings, time_power=1.0, bare_power=0.25, drop_all=0.0)
        stage = denoiser.Denoising(settings, Run(runs, "tryon", tuple(STAGES), "scratch"), "cpu")
        batch, draws = stage._batch(range(2))
        times = []
        monkeypatch.setattr(denoiser, "noised", lambda clean, noise, alphas, to=times: to.append(alphas) or clean)
        stage.loss(stage.module.eval(), batch, draws)
        seen[share] = times[0]
    assert bool((seen[1.0] < seen[0.0]).all())  # less of the picture left


def test_cross_attention_alone_may_learn_faster(runs):
    settings = Recipe("synthetic", runs, changes=known("tryon", words_rate=3.0)).settings("tryon")
    stage = denoiser.Denoising(settings, Run(runs, "tryon", tuple(STAGES), "scratch"), "cpu")
    rest, listening = stage.groups()
    assert listening["lr"] == pytest.approx(3 * rest["lr"])
    unet = stage.module.part("unet")
    words_in = {id(layer.attn2.to_v.weight) for layer in unet.modules() if hasattr(layer, "attn2")}
    faster = {id(weight) for weight in listening["params"]}
    assert words_in and words_in <= faster
    trained = [weight for weight in stage.module.parameters() if weight.requires_grad]
    assert len(rest["params"]) + len(faster) == len(trained)
    others = (*stage.module.part("text_encoder").parameters(), unet.conv_in.weight)
    assert faster.isdisjoint(map(id, others))
    stage.settings = dataclasses.replace(settings, words_rate=1.0)
    assert [len(group["params"]) for group in stage.groups()] == [len(trained)]  # one, as older checkpoints have it
    with pytest.raises(config.ConfigError, match="words_rate"):
        dataclasses.replace(settings, words_rate=0.0)


def test_sampling_down_to_a_timestep_is_what_the_sampler_does(runs):
    settings = Recipe("synthetic", runs, changes=known("tryon")).settings("tryon")
    stage = denoiser.Denoising(settings, Run(runs, "tryon", tuple(STAGES), "scratch"), "cpu")
    batch, draws = stage._batch(range(2))
    conditions = (stage.conditions(batch, draws)[1], batch["tokens"], stage.ids[:2])
    noise = draws.normal(4, *batch["mask"].shape[2:])
    module = stage.module.eval()
    last = torch.full((2,), len(stage.alphas) - 1)
    torch.testing.assert_close(stage.sampled(module, noise, last, 2, conditions), noise)
    scheduler = ddim_scheduler(TINY.schedule)
    scheduler.set_timesteps(2)
    with torch.no_grad():
        predicted = module(noise, last, *conditions)
        stepped = scheduler.step(predicted, scheduler.timesteps[0], noise).prev_sample
    found = stage.sampled(module, noise, scheduler.timesteps[1].expand(2), 1, conditions)
    torch.testing.assert_close(found, stepped, rtol=1e-3, atol=1e-3)


def test_tryon_goes_on_exactly_where_it_was_stopped(runs, tmp_path, monkeypatch):
    for folder in ("straight", "stopped"):
        for stage in ("vae", "inversion", "extract"):
            shutil.copytree(runs / stage, tmp_path / folder / stage)
    changes = known("tryon", steps=3, save_every=2, held_out=1)

    def run(folder: str):
        return Recipe("synthetic", tmp_path / folder, "scratch", changes=changes, tracker="none").run("tryon")

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
    for part in ("unet", "text_encoder", "inversion_adapter"):
        first, second = (
            read_state_dict(tmp_path / f / "tryon" / f"{part}.safetensors") for f in ("straight", "stopped")
        )
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_stage_without_what_it_needs_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="run the stage `world` first"):
        Recipe("synthetic", tmp_path, init="scratch", changes=known("tps")).run("tps")
    with pytest.raises(ConfigError, match="--data FOLDER"):
        Recipe("vitonhd", tmp_path).run("tps")
    with pytest.raises(FileNotFoundError, match="needs the part vae.*--init"):
        Recipe("vitonhd", tmp_path, changes={"models": "tiny", "precision": "no"}).run("emasc")


@pytest.fixture(scope="module")
def inpainting(tmp_path_factory) -> Path:
    """An inpainting model of tiny widths as a diffusers folder: a UNet of 9 channels, VAE, both CLIP towers."""
    folder = tmp_path_factory.mktemp("inpainting")
    torch.manual_seed(0)
    unet = build_unet(dataclasses.replace(TINY, unet=TINY.unet | {"in_channels": 9}))
    unet.save_pretrained(folder / "unet")
    for part, place in (("vae", "vae/diffusion_pytorch_model"), ("text_encoder", "text_encoder/model"),
                        ("vision", "image_encoder/model")):  # fmt: skip
        (folder / place).parent.mkdir()
        shutil.copy(embedded_path(part), folder / f"{place}.safetensors")
    return folder


def test_the_papers_stages_on_viton_hd(tmp_path, inpainting):
    data, folder = tmp_path / "data", tmp_path / "runs"
    shutil.copytree(TREES / "vitonhd", data)
    shutil.copytree(data / "test", data / "train")
    shutil.copy(data / "test_pairs.txt", data / "train_pairs.txt")
    small = {name: value for name, value in SMALL.items() if name != "first"}  # of a stage the paper does not have
    changes = small | {"models": "tiny", "root": str(data), "precision": "no", "perceptual": "gradient"}
    for name in ("count", "crops", "crop", "cut"):
        del changes[name]
    Recipe("vitonhd", folder, str(inpainting), changes=changes, tracker="none").run_all()
    before = read_state_dict(inpainting / "unet" / "diffusion_pytorch_model.safetensors")
    after = read_state_dict(folder / "tryon" / "unet.safetensors")
    assert after["conv_in.weight"].shape[1] == 31
    assert (after["conv_in.weight"][:, :9] - before["conv_in.weight"]).abs().max() < 1e-3
    assert [f.name for f in sorted((folder / "inversion").glob("*.safetensors"))] == ["inversion_adapter.safetensors"]
    for stage, part in (
        ("tryon", "unet"),
        ("tryon", "inversion_adapter"),
        ("emasc", "emasc"),
        ("refinement", "warping"),
    ):
        load(part, folder / stage / f"{part}.safetensors", TINY)


def test_vision_and_warper_go_on_with_weights_that_are_given(runs, tmp_path):
    (tmp_path / "world").symlink_to(runs / "world")
    shipped = {part: embedded_path(part) for part in ("vision", "warping")}
    files = (("vision", "vision", "vision"), ("tps", "warping", "tps"), ("refinement", "warping", "warping"))
    for stage, part, file in files:
        changes = known(stage, steps=1, learning_rate=0.0, warm_up=0.0, ema=0.0, weight_decay=0.0)
        Recipe("synthetic", tmp_path, "scratch", shipped, changes=changes, tracker="none").run(stage)
        before, after = read_state_dict(shipped[part]), read_state_dict(tmp_path / stage / f"{file}.safetensors")
        if stage == "tps":
            before = {key.removeprefix("tps."): value for key, value in before.items() if key.startswith("tps.")}
        weights = [key for key in before if "running" not in key and "num_batches" not in key]
        assert weights and all(torch.equal(before[key].float(), after[key].float()) for key in weights)


def test_dress_code_has_its_categories(tmp_path):
    shutil.copytree(TREES / "dresscode", tmp_path / "data")
    for category in CATEGORIES:
        pairs = tmp_path / "data" / category / "test_pairs_paired.txt"
        shutil.copy(pairs, pairs.with_name("train_pairs.txt"))
    changes = {"root": str(tmp_path / "data"), "size": [64, 48]}
    train, _ = open_scenes(Recipe("dresscode", tmp_path, changes=changes).settings("extract"), tmp_path)
    found = [train.read(row, "category", "worn") for row in range(len(train))]
    assert [CATEGORIES[one["category"]] for one in found] == ["dresses"] + ["upper_body"] * 2 + ["lower_body"] * 2
    assert all(one["worn"].shape == (3, 64, 48) for one in found)


# What the denoising stages start from and learn


def test_new_input_channels_change_nothing_at_first(inpainting):
    small = load_inpainting(inpainting)
    extended = starting_points.find(inpainting, "unet", TINY)
    noisy, words, times = torch.randn(1, 9, 16, 16), torch.randn(1, 77, 64), torch.tensor([3])
    with torch.no_grad():
        wanted = small(noisy, times, words).sample
        found = extended(torch.cat([noisy, torch.randn(1, 22, 16, 16)], 1), times, words).sample
    torch.testing.assert_close(found, wanted)


def load_inpainting(folder: Path):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(folder / "unet").eval()


def test_a_tryon_unet_is_taken_as_it_is_and_another_one_refused(tmp_path):
    assert starting_points.find(embedded_path("unet"), "unet", TINY).config.in_channels == 31
    state = read_state_dict(embedded_path("unet"))
    state["conv_in.weight"] = state["conv_in.weight"][:, :4].contiguous()
    torch.save(state, tmp_path / "text_to_image.pth")
    with pytest.raises(CheckpointError, match="4 input channels.*inpainting"):
        starting_points.find(tmp_path / "text_to_image.pth", "unet", TINY)
    assert starting_points.find(embedded_path("unet"), "vae", TINY) is None
    with pytest.raises(FileNotFoundError, match="no such folder or file"):
        starting_points.find(tmp_path / "gone", "unet", TINY)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_target_leads_back_to_the_clean_latents(kind):
    clean, noise = torch.randn(2, 3, 4, 8, 8).unbind(0)
    alphas = alphas_cumprod(TINY.schedule)[torch.tensor([10, 400, 900])]
    noisy, target = denoiser.noised(clean, noise, alphas), denoiser.target(clean, noise, alphas, kind)
    assert torch.allclose(denoiser.clean_from(noisy, target, alphas, kind), clean, atol=1e-3)


def test_dropping_everything_leaves_mask_and_masked_person():
    settings = denoiser.DenoisingSettings("tiny", "synthetic", steps=1, drop_all=1.0)
    channels, words = denoiser.drop(settings, torch.ones(4, 27, 2, 2), Draws(0, 0, range(4)))
    assert words.all() and (channels[:, :5] == 1).all() and (channels[:, 5:] == 0).all()


def test_moving_a_sample_moves_everything_alike():
    picture = torch.arange(35.0).view(1, 1, 5, 7).expand(6, 2, -1, -1)
    moved = denoiser.shifted(picture, (1, 2), Draws(0, 0, range(6)))
    assert moved.shape == picture.shape and torch.equal(moved[:, 0], moved[:, 1])
    offsets = (moved[:, 0, 2, 3] - picture[:, 0, 2, 3]).tolist()
    assert len(set(offsets)) > 2 and all(abs(offset) <= 7 + 2 for offset in offsets)
    assert torch.equal(denoiser.shifted(picture, (0, 0), Draws(0, 0, range(6))), picture)


def test_prompts_follow_the_category(runs):
    settings = Recipe("synthetic", runs, changes=known("tryon")).settings("tryon")
    run = Run(runs, "tryon", tuple(STAGES), "scratch")
    stage = denoiser.Denoising(settings, run, "cpu")
    ids = stage.prompts(torch.arange(3), torch.tensor([False, False, True]))
    assert torch.equal(ids, tokenize([prompt_for(CATEGORIES[0]), prompt_for(CATEGORIES[1]), ""]))
    cycle = Recipe("synthetic", runs).settings("world").cycle
    assert stage.rows.item(1)["category"] == CATEGORIES.index(cycle[(1 + SMALL["held_out"]) % len(cycle)])


def test_inversion_goes_on_with_the_words_that_were_taught(runs):
    earlier = tuple(STAGES)[: tuple(STAGES).index("inversion")]
    found = denoiser.starting_parts(Run(runs, "inversion", earlier, "scratch"), TINY, denoiser.PARTS)
    for name in ("text_encoder", "inversion_adapter"):
        taught = load(name, runs / "words" / f"{name}.safetensors", TINY).state_dict()
        assert all(torch.equal(value, taught[key]) for key, value in found[name].state_dict().items()), name


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


def test_the_tower_reads_some_patches_as_it_reads_all_of_them():
    torch.manual_seed(0)
    reader, pixels = vision.AttributeReader(build_vision(TINY)).eval(), torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        whole, again, some = (reader(pixels, kept)[0] for kept in (None, torch.randperm(256), torch.arange(80)))
    torch.testing.assert_close(whole, again, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(whole, some, atol=1e-4)


def test_the_colours_of_stripes_may_be_told_in_either_order_and_those_of_dots_may_not():
    numbers = torch.zeros(2, world.NUMBERS)
    numbers[:, :6] = torch.tensor([0.9, 0.1, 0.2, -0.5, 0.3, 0.0])
    swapped = torch.cat([numbers[:, 3:6], numbers[:, :3], numbers[:, 6:]], 1)
    classes = torch.tensor([PATTERNS.index("stripes"), PATTERNS.index("dots")])
    stripes, dots = vision.colour_errors(swapped, classes, numbers)
    assert not stripes.any() and dots.any()
    plain = vision.colour_errors(swapped, torch.full((2,), PATTERNS.index("solid")), numbers)
    assert plain[:, :3].any() and not plain[:, 3:].any()


def test_a_garment_of_other_colours_is_named_by_them(runs):
    _, held_out = open_scenes(Recipe("synthetic", runs, changes=known("vision")).settings("vision"), runs)
    own, other = (vision.FlatGarments(held_out, 28, share)[0, 0, 0] for share in (0.0, 1.0))
    assert sorted(own["numbers"][:3].tolist()) == sorted(other["numbers"][:3].tolist())
    places = [own["numbers"][:3].tolist().index(value) for value in other["numbers"][:3].tolist()]
    assert places != [0, 1, 2]
    assert torch.equal(own["numbers"][3:6][places], other["numbers"][3:6])
    assert torch.equal(own["numbers"][6:], other["numbers"][6:])


# The perceptual term


def test_missing_vgg_weights_are_asked_for_by_name(monkeypatch):
    def offline():
        raise URLError("no network")

    monkeypatch.setattr(perceptual.PerceptualLoss, "from_torchvision", offline)
    with pytest.raises(FileNotFoundError, match="(?s)vgg19-dcbb9e9d.pth.*--vgg FILE.*perceptual = 'gradient'"):
        perceptual.configured("vgg19", "", "cpu")
    with pytest.raises(ValueError, match="vgg19, gradient"):
        perceptual.configured("lpips", "", "cpu")


def test_vgg_weights_of_ones_own(tmp_path, caplog):
    torch.manual_seed(0)
    loss = perceptual.PerceptualLoss()
    torch.save(loss.state_dict(), tmp_path / "vgg.pth")
    caplog.set_level("INFO")
    given = perceptual.configured("vgg19", str(tmp_path / "vgg.pth"), "cpu")
    a, b = torch.rand(2, 1, 3, 32, 32).unbind(0)
    assert given(a, b) == loss(a, b) and "VGG19" in caplog.text


# Starting points of the small models


def test_the_vae_encoder_starts_as_the_principal_code(pictures):
    torch.manual_seed(0)
    weights, bias, colour = vae.principal_code(pictures)
    model = build_vae(TINY)
    vae.start_as_linear_code(model, weights, bias, colour)
    crop = pictures[:1, :, 64:192, 128:256]
    expected = (vae.patches(crop) @ weights.T + bias).T.reshape(1, 4, 16, 16)
    with torch.no_grad():
        mean = model.encode(crop).latent_dist.mean
    for channel in range(4):
        pair = torch.stack([mean[:, channel].flatten(), expected[:, channel].flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.97


def test_standardising_changes_the_latents_and_not_the_pictures(pictures):
    torch.manual_seed(0)
    model = build_vae(TINY).eval()
    crops = pictures[:, :, 64:192, 128:256]
    with torch.no_grad():
        before = model.decode(model.encode(crops).latent_dist.mean).sample
        vae.standardise(model, crops, TINY.vae_scale)
        latents = model.encode(crops).latent_dist.mean * TINY.vae_scale
        after = model.decode(latents / TINY.vae_scale).sample
    assert latents.mean((0, 2, 3)).abs().max() < 1e-3
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 1e-3
    assert torch.allclose(before, after, atol=1e-4)


def test_refinement_starts_as_the_identity_on_the_coarse_garment(pictures):
    torch.manual_seed(0)
    net = RefinementUNet(base_width=16).eval()
    warper.start_from_coarse(net, pictures.mean((0, 2, 3)), pictures.std((0, 2, 3)))
    # the other channels of an untrained net speak too, softly
    net.outc.conv.weight.data[:, 3:] = 0
    inputs = torch.cat([torch.zeros_like(pictures), torch.zeros(3, 18, 512, 384), pictures], 1)[..., :128, :128]
    with torch.no_grad():
        assert torch.allclose(net(inputs), pictures[..., :128, :128], atol=1e-3)
