"""The embedded default's recipe on a small drawn world: every stage runs, by steps or the clock, and can be stopped."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import shutil
from itertools import islice
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from drawn_world.figures.truth import draw
from drawn_world.figures.variants import Variant, encode, run
from drawn_world.training import linear_code, painting, pictures, reading, vae, warping, world
from drawn_world.training.__main__ import main
from drawn_world.training.draws import BlockDraws
from drawn_world.training.finish import Finish
from drawn_world.training.pairs import Files, Pairs, weave
from drawn_world.training.pool import Pool, small, unpacked, whole
from drawn_world.training.recipe import EMBEDDED, Sitting
from drawn_world.training.tryon import TryOn
from drawn_world.world.patterns import PATTERNS
from drawn_world.world.scene import DrawnWorld
from ladivton_core.checkpoints.build import GARMENT_PARTS, PHOTO_SPLINE, build_vae, load
from ladivton_core.checkpoints.reading import read_state_dict
from ladivton_core.denoising.conditioning import latent_pose
from ladivton_core.denoising.schedule import ddim_scheduler
from ladivton_core.embedded import PARTS, embedded_path
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.preprocessing.labels import CATEGORIES, LIP20
from ladivton_core.preprocessing.masks.agnostic import agnostic_mask
from ladivton_core.preprocessing.pose.pose_map import pose_map
from ladivton_core.presets import TINY
from ladivton_core.training.chunks import write_chunk
from ladivton_core.training.commands import END, START, export, log_to
from ladivton_core.training.config import ConfigError
from ladivton_core.training.recipe import StageFailure, read_recipe
from ladivton_core.training.stage import Run, TrainingStage
from ladivton_core.warping.refinement import RefinementUNet

SIZE = (128, 96)
SMALL = {
    "size": SIZE,
    "count": 8,
    "held_out": 2,
    "steps": 2,
    "batch": 2,
    "workers": 1,
    "sources": ["drawn"],
    "shares": [],
}


RECIPES = {"embedded": EMBEDDED}


def sitting(folder: Path, **changes) -> Sitting:
    """From nothing, two steps a stage."""
    return Sitting(EMBEDDED, folder, "scratch", changes=SMALL | changes)


def pool(folder: Path, kept=whole, count: int = 8, split: str = "train") -> Pool:
    """What a training rendered."""
    return Pool(Pairs([Files(folder / "world" / "drawn" / split)]), "cpu", kept, count)


def weights(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Every file of weights that the training stages wrote."""
    files = [file for stage in EMBEDDED.stages for file in sorted((folder / stage).glob("[a-z]*.safetensors"))]
    return {f"{file.parent.name}/{file.name}": read_state_dict(file) for file in files}


@pytest.fixture(scope="module")
def trained_default(tmp_path_factory) -> Path:
    """The whole recipe."""
    folder = tmp_path_factory.mktemp("runs")
    logging.getLogger().setLevel(logging.INFO)  # as at a terminal
    with log_to(folder):
        sitting(folder).run_all()
    logging.getLogger().setLevel(logging.WARNING)
    return folder


@pytest.fixture
def unfinished(trained_default, tmp_path) -> Path:
    """The same recipe without its last stage."""
    folder = tmp_path / "unfinished"
    shutil.copytree(
        trained_default, folder, ignore=lambda where, names: ["finish"] if Path(where) == trained_default else []
    )
    noted = json.loads((folder / "recipe.json").read_text())
    del noted["stages"]["finish"]
    (folder / "recipe.json").write_text(json.dumps(noted))
    return folder


@pytest.fixture(scope="module")
def some_people() -> torch.Tensor:
    """Three people (3, 3, 512, 384) in [-1, 1]."""
    people = DrawnWorld(7)
    return torch.cat([people.scene([i], [i]).person for i in range(3)]) * 2 - 1


# The recipe in one piece


def test_every_stage_ran_and_said_what_it_reached(trained_default):
    noted, log = read_recipe(trained_default)["stages"], (trained_default / "log.txt").read_text()
    assert set(noted) == set(EMBEDDED.stages)
    for stage, kind in EMBEDDED.stages.items():
        if issubclass(kind, TrainingStage):
            assert (trained_default / stage / "sheet.png").stat().st_size > 1000
            assert noted[stage]["settings"]["steps"] == 2 and "score" in noted[stage]["figures"]
            assert f"{stage} step 2 of 2: loss" in log and f"{stage}: held-out score" in log
    assert "score_before" in noted["finish"]["figures"] and "score_before" not in noted["vae"]["figures"]


def test_the_exported_files_make_a_pipeline(trained_default, tmp_path):
    (tmp_path / "CARD.md").write_text(f"# Card\n\n{START}\nold\n{END}\n\nLicence\n")
    files = export(trained_default, tmp_path, RECIPES)
    assert set(files) == set(PARTS)
    card = (tmp_path / "CARD.md").read_text()
    assert re.search(r"Preset `embedded`, seed 0, \d+ minutes in all", card)
    assert "old" not in card and "| tryon | 2 x 2 |" in card and card.endswith("Licence\n")
    for part, file in files.items():  # names, shapes and types of the shipped files
        ours, shipped = read_state_dict(file), read_state_dict(embedded_path(part))
        shipped = {k: v for k, v in shipped.items() if not k.startswith((PHOTO_SPLINE, GARMENT_PARTS))}
        assert {k: (v.shape, v.dtype) for k, v in ours.items()} == {k: (v.shape, v.dtype) for k, v in shipped.items()}
    pipeline = TryOnPipeline.from_files(files, dataclasses.replace(TINY, size=SIZE))
    encoded = encode(pipeline, draw(DrawnWorld(7, SIZE), [0], "unpaired"))
    images = run(pipeline, encoded, Variant()).images
    assert images.shape == (1, 3, *SIZE) and images.isfinite().all()


@pytest.mark.soak
def test_the_seed_decides_and_a_stopped_recipe_goes_on(trained_default, tmp_path, monkeypatch):
    """Stopped inside two stages, which begin anew, and between them; the world is the same anyway."""
    shutil.copytree(trained_default / "world", tmp_path / "world")
    for stage, step in ((vae.Vae, 1), (TryOn, 2)):
        original, calls = stage.loss, []

        def interrupted(self, *inputs, step=step, original=original, calls=calls):
            calls.append(1)
            if len(calls) == step:
                raise KeyboardInterrupt
            return original(self, *inputs)

        monkeypatch.setattr(stage, "loss", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            sitting(tmp_path).run_all()
    begun = {file: file.stat().st_mtime_ns for file in (tmp_path / "vae").glob("*.safetensors")}
    sitting(tmp_path).run_all()
    assert begun and all(file.stat().st_mtime_ns == when for file, when in begun.items())  # not run again
    first, second = weights(trained_default), weights(tmp_path)
    assert first.keys() == second.keys() and "finish/unet.safetensors" in first
    for name, state in first.items():
        assert all(torch.equal(value, second[name][key]) for key, value in state.items()), name


def test_a_finished_recipe_is_not_run_again_and_no_other_one_goes_on_in_its_folder(trained_default, monkeypatch):
    monkeypatch.setattr(Sitting, "run", lambda self, stage, settings: pytest.fail(f"{stage} ran again"))
    sitting(trained_default).run_all()
    with pytest.raises(ConfigError, match="begun with minutes = 0.0 and this call has 5: give the same"):
        dataclasses.replace(sitting(trained_default), minutes=5).run_all()
    with pytest.raises(ConfigError, match="begun with init = 'scratch'"):
        dataclasses.replace(sitting(trained_default), init="").run_all()


def test_a_stage_that_fails_leaves_the_weights_before_it(unfinished, tmp_path, monkeypatch, caplog):
    def broken(self, module, batch, draws):
        raise RuntimeError("a wire came loose")

    monkeypatch.setattr(Finish, "loss", broken)
    with pytest.raises(StageFailure, match="failed, and the weights before them stay: finish"):
        sitting(unfinished).run_all()
    assert "a wire came loose" in caplog.text and "finish" not in read_recipe(unfinished)["stages"]
    files = export(unfinished, tmp_path / "export", RECIPES)
    made = read_state_dict(unfinished / "tryon" / "unet.safetensors")
    assert all(torch.equal(value, made[key].half()) for key, value in read_state_dict(files["unet"]).items())


def test_a_stage_that_makes_it_worse_leaves_the_weights_before_it(unfinished, monkeypatch):
    scores = iter([30.0, 20.0])
    monkeypatch.setattr(Finish, "score", lambda self, figures: next(scores))
    sitting(unfinished).run_all()
    noted = read_recipe(unfinished)["stages"]["finish"]
    assert noted["written"] is False and noted["steps"] == 2
    assert (noted["figures"]["score_before"], noted["figures"]["score"]) == (30.0, 20.0)
    assert not list((unfinished / "finish").glob("*.safetensors"))


@pytest.mark.soak
def test_by_the_clock_from_the_shipped_weights_while_another_process_renders(tmp_path):
    changes = SMALL | {"count": 24}
    del changes["steps"]
    changes["size"] = list(SIZE)
    options = ["--out", str(tmp_path / "runs"), "--minutes", ".2", "--to", str(tmp_path / "export")]
    main(["all", *options, *(f"--set={key}={value}" for key, value in changes.items())])
    noted = read_recipe(tmp_path / "runs")["stages"]
    assert set(noted) == set(EMBEDDED.stages)
    for stage in noted:
        if "steps" in noted[stage]["settings"]:
            settings = noted[stage]["settings"]
            assert settings["steps"] == 0 and settings["minutes"] == pytest.approx(0.2 * settings["share"])
    assert 8 <= noted["world"]["figures"]["pairs"] <= 24
    for part in PARTS:  # what was not changed is the shipped part
        load(part, tmp_path / "export" / f"{part}.safetensors", TINY)


def test_a_budget_is_shared_out_and_what_it_leaves_is_for_looking():
    plan, asked = (
        dataclasses.replace(Sitting(EMBEDDED, Path("runs"), changes=changes), minutes=10).plan()
        for changes in ({}, {"tps.steps": 7})
    )
    minutes = {stage: settings.minutes for stage, settings in plan.items() if stage != "world"}
    assert min(minutes.values()) > 0
    assert 9 < sum(minutes.values()) <= 9.6
    assert plan["tps"].steps == 0 and (asked["tps"].steps, asked["tps"].minutes) == (7, minutes["tps"])
    assert Sitting(EMBEDDED, Path("runs")).plan()["tps"].minutes == 0


@pytest.mark.parametrize(
    ("stage", "changes", "message"),
    [
        ("world", {"world": 3301}, "world = 3301 is kept for looking"),
        ("world", {"world": 4301}, "is kept for looking"),
        ("world", {"cycle": ["hats"]}, "is some of upper_body, lower_body, dresses"),
        ("world", {"count": 0}, "at least 1"),
        (
            "world",
            {"sources": ["drawn", "nowhere"]},
            "'nowhere' is no world .drawn, photographs. and no folder of pairs",
        ),
        ("world", {"shares": [0.5]}, "a number above 0 for each of the sources"),
        ("vae", {"memory": 1.5}, "memory = 1.5 is a share: between 0 and 1"),
        ("vision", {"recolour": -0.5}, "recolour = -0.5 is a share"),
        ("extract", {"precision": "fp16"}, "choose one of no, bf16, auto"),
        ("tryon", {"drop_garment": 1.5}, "drop_garment = 1.5 is a share"),
        ("tryon", {"truths": 1.5}, "truths = 1.5 is a share"),
        ("tryon", {"words_rate": 0.0}, "words_rate = 0 is above 0"),
        ("tryon", {"models": "sd2"}, "v-prediction; sd2 predicts something else"),
        ("finish", {"moved": 0.5}, "would move latents and not their pictures"),
    ],
)
def test_settings_out_of_range_are_named(stage, changes, message):
    with pytest.raises(ConfigError, match=message):
        Sitting(EMBEDDED, Path("runs"), changes=changes).settings(stage)


# The world and its pool


def test_a_pair_is_one_person_in_two_garments():
    settings = sitting(Path("runs")).plan()["world"]
    pair, again = (world.drawn_pair(settings, "train", 1) for _ in range(2))
    assert all(torch.equal(pair[name], again[name]) for name in pair)
    assert settings.cycle[1] == "lower_body" and pair["category"] == 1
    masks = unpacked(pair["masks"])
    outside = (1 - masks.amax(0)).bool().expand(3, -1, -1)
    assert not torch.equal(pair["garments"][0], pair["garments"][1]) and not torch.equal(masks[0], masks[1])
    away = (pair["persons"][0].float() - pair["persons"][1].float()).abs()[outside]
    assert (away > 5).float().mean() < 0.02  # what reaches beyond the masks, no more
    people = DrawnWorld(settings.held_out_world, SIZE)
    scene = people.scene([2], [6])
    held_out = world.drawn_pair(settings, "held_out", 2)
    assert (held_out["persons"][1].float() / 255 - scene.person[0]).abs().max() < 0.003
    wanted = agnostic_mask(scene.parse, scene.keypoints, "upper_body", LIP20, missing_joints="skip")
    assert torch.equal(unpacked(held_out["masks"])[1].float(), wanted[0])


def test_who_renders_changes_nothing_and_more_pairs_are_added(trained_default, tmp_path):
    settings = dataclasses.replace(sitting(tmp_path).plan()["world"], count=12, held_out=1)
    for worker in (1, 0):
        world.render(tmp_path, settings, worker, 2)
    rendered = Pairs([Files(tmp_path / "drawn" / "train")])
    assert rendered.there(100) == 12
    theirs, ours = Pool(rendered, "cpu", count=8), pool(trained_default)
    assert all(torch.equal(theirs[name], ours[name]) for name in ("persons", "masks", "numbers"))
    with pytest.raises(ConfigError, match="was made with another world: delete that folder"):
        sitting(trained_default, world=2).run("world", sitting(trained_default, world=2).plan()["world"])


def test_a_pool_takes_files_in_as_they_come(trained_default, tmp_path, monkeypatch):
    monkeypatch.setattr("drawn_world.training.pool._LOOK", 0.0)
    file, pairs = trained_default / "world" / "drawn" / "train" / "00000.safetensors", Pairs([Files(tmp_path)])
    with pytest.raises(FileNotFoundError, match="run the stage `world` first"):
        Pool(pairs, "cpu", count=20)
    shutil.copy(file, tmp_path / file.name)
    found = Pool(pairs, "cpu", count=20)
    assert len(found) == 8
    shutil.copy(file, tmp_path / "00002.safetensors")  # rows keep their numbers: none before the one in between
    found.refresh()
    assert len(found) == 8
    shutil.copy(file, tmp_path / "00001.safetensors")
    found.refresh()
    assert len(found) == 20 and torch.equal(found["persons"][8:16], found["persons"][:8])
    tight = Pool(pairs, "cpu", count=20, memory=3.5 * found["persons"][0].numel() * 4)
    assert 3 <= len(tight) <= 4


# Several worlds


@pytest.mark.parametrize("shares", [(1,), (1, 2), (0.5, 0.5), (0.2, 0.3, 0.5), (1 / 3, 2 / 3)])
def test_any_stretch_of_a_weave_has_everybodys_share_and_every_row_once(shares):
    places = list(islice(weave(shares), 300))
    for number, share in enumerate(shares):
        assert [row for source, row in places if source == number] == list(range(sum(s == number for s, _ in places)))
        for start in (0, 7, 100):
            count = sum(source == number for source, _ in places[start : start + 60])
            assert abs(count - 60 * share / sum(shares)) <= 2


def unlabelled(folder: Path, name: str, level: int, count: int) -> Path:
    """A folder of pairs as another world would have rendered them: grey people, without patterns and numbers."""
    for split in ("train", "held_out"):
        for file in range(-(-count // 8)):
            rows = min(8, count - 8 * file)
            pictures = torch.full((rows, 2, 3, *SIZE), level, dtype=torch.uint8)
            keypoints = torch.arange(8 * file, 8 * file + rows).view(-1, 1, 1).expand(-1, 18, 2).float()
            fields = {"persons": pictures, "garments": pictures, "worn": pictures, "keypoints": keypoints.contiguous(),
                      "masks": torch.full((rows, 2, SIZE[0], SIZE[1] // 8), 240, dtype=torch.uint8),
                      "category": torch.zeros(rows, dtype=torch.long),
                      "refined": torch.ones(rows, dtype=torch.bool)}  # fmt: skip
            write_chunk(folder / name / split, file, fields)
    return folder / name


@pytest.mark.soak
def test_a_folder_of_pairs_has_its_share_of_every_stage_that_can_learn_from_it(trained_default, tmp_path):
    """The first third of a recipe on two worlds, with extraction: rows of pictures and of latents stay one order."""
    other = unlabelled(tmp_path, "other", 200, 20)
    mixed = sitting(tmp_path / "runs", sources=["drawn", str(other)], shares=[1.0, 2.0], count=12, held_out=6)
    plan = mixed.plan()
    for stage in ("world", "vae", "tps", "vision", "words", "refinement", "extract"):
        mixed.run(stage, plan[stage])
    assert read_recipe(tmp_path / "runs")["stages"]["world"]["figures"]["pairs"] == 12
    assert len(list((tmp_path / "runs" / "world").rglob("*.safetensors"))) == 2  # the folder's are not rendered
    both = Pool(world.open_pairs(tmp_path / "runs", "train"), "cpu", count=12)
    grey = (both["persons"] == 200).flatten(1).all(1)
    assert grey.sum() == 8 and torch.equal(both["keypoints"][grey][:, 0, 0], torch.arange(8.0))
    assert torch.equal(both["persons"][~grey], pool(trained_default, count=4)["persons"])
    latents = Pool(Pairs([Files(tmp_path / "runs" / "extract")]), "cpu", dict, 12)
    assert torch.equal(latents["keypoints"], both["keypoints"])
    told = world.open_pairs(tmp_path / "runs", "train", needed=("patterns", "numbers"))
    assert [source.folder for source in told.sources] == [tmp_path / "runs" / "world" / "drawn" / "train"]
    assert told.there(12) == 4
    with pytest.raises(ConfigError, match="holds pictures of .128, 96., not .64, 48."):
        small_ones = sitting(tmp_path / "small", sources=[str(other)], size=(64, 48))
        small_ones.run("world", small_ones.plan()["world"])
    with pytest.raises(FileNotFoundError, match="holds no pairs with patterns, numbers"):
        alone = sitting(tmp_path / "alone", sources=[str(other)])
        alone.run("world", alone.plan()["world"])
        alone.run("vision", alone.plan()["vision"])


def test_photographs_are_rows_of_any_size_and_the_same_whenever_they_are_read(tmp_path):
    pytest.importorskip("cv2")
    from drawn_world.photographs.store import path_of, read, render

    render(tmp_path / "train", 2, seed=5, size=SIZE)
    path_of(tmp_path / "train", 4).parent.mkdir(exist_ok=True)
    path_of(tmp_path / "train", 4).touch()  # not before those ahead of it
    whole_size, half = (world.READERS["photographs"](tmp_path, "train", size) for size in (SIZE, (64, 48)))
    assert whole_size.there(9) == 2
    rows = Pairs([whole_size]).read(0, 9)
    again, made = whole_size.read(1), read(path_of(tmp_path / "train", 1))
    assert all(torch.equal(rows[name][1], again[name]) for name in again)
    assert torch.equal(rows["persons"][1].movedim(1, -1), torch.from_numpy(made.persons))
    masks, garment = unpacked(again["masks"])[:, 0].bool(), LIP20.ids(LIP20.regions_of(made.category).garment)
    assert (masks[0] & torch.isin(torch.from_numpy(made.parse[0]), torch.tensor(garment))).sum() > 50
    shrunk = half.read(1)
    assert torch.allclose(shrunk["keypoints"] * 2, again["keypoints"])
    away = F.avg_pool2d(again["persons"].float(), 2) - shrunk["persons"].float()
    assert away.abs().max() <= 0.5 and unpacked(shrunk["masks"]).shape == (2, 1, 64, 48)


def test_photographs_are_rendered_by_the_stage_itself_as_from_a_folder():
    pytest.importorskip("cv2")
    from drawn_world.photographs.scene import pair

    settings = sitting(Path("runs"), cycle=["dresses"]).plan()["world"]
    made = world.WORLDS["photographs"](settings, "train", 0)
    dressed = pair(settings.world, 0, SIZE, "dresses")
    wanted = world.fields_of(dressed, 0, SIZE)
    assert all(torch.equal(made[name], wanted[name]) for name in wanted)
    assert made["category"] == CATEGORIES.index("dresses")
    other = world.WORLDS["photographs"](settings, "held_out", 0)
    assert other["category"] != made["category"] and other.keys() == made.keys()


def test_small_pairs_are_what_matcher_and_tower_see_at_inference(trained_default):
    pairs, shrunk = pool(trained_default, count=2), pool(trained_default, lambda fields: small(fields, TINY), 2)
    pair, which = torch.tensor([0, 1]), torch.tensor([0, 1])
    agnostic = pairs.pictures("persons", pair, which) * (1 - pairs.masks(pair, which))
    wanted = F.interpolate(agnostic, TINY.warp_size, mode="bilinear", align_corners=False, antialias=True)
    assert (shrunk.pictures("agnostic", pair, which) - wanted).abs().max() < 0.01
    from ladivton_core.inversion.pixels import clip_pixels

    wanted = clip_pixels(pairs.pictures("garments", pair, which), 224)
    found = reading.garments(shrunk, pair, which)["pixels"]
    assert (found - wanted).abs().max() < 0.02  # a level of 8 bits


def test_pose_maps_are_those_of_inference():
    keypoints = torch.rand(2, 18, 2) * torch.tensor([384.0, 512.0])
    keypoints[0, 3] = 0
    wanted = pose_map(keypoints, (512, 384))
    # float32 puts a place near 500 within 3e-5 of a pixel, and exp(-d^2 / 81) is nowhere steeper than 0.1 a pixel
    torch.testing.assert_close(pictures.pose_whole(keypoints, (512, 384)), wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(pictures.pose_latent(keypoints, (512, 384)), latent_pose(wanted), atol=1e-4, rtol=0)
    shrunk = F.interpolate(wanted, (256, 192), mode="bilinear", align_corners=False, antialias=True)
    found = pictures.pose_small(keypoints, (512, 384), (256, 192))
    torch.testing.assert_close(found, shrunk, atol=1e-4, rtol=0)


def test_crops_are_cut_where_they_should_be():
    buffer = torch.arange(2 * 2 * 1 * 6 * 5).view(2, 2, 1, 6, 5)
    pair, which, top, left = (torch.tensor(x) for x in ([1, 0], [0, 1], [2, 0], [1, 3]))
    found = pictures.cut(buffer, pair, which, top, left, (3, 2))
    assert torch.equal(found[0], buffer[1, 0, :, 2:5, 1:3]) and torch.equal(found[1], buffer[0, 1, :, 0:3, 3:5])


# What the stages learn


@pytest.fixture(scope="module")
def painter(trained_default) -> TryOn:
    settings = sitting(trained_default).plan()["tryon"]
    return TryOn(settings, Run(trained_default, "tryon", tuple(EMBEDDED.stages)[:-2], "scratch"), "cpu")


def test_a_jump_is_what_the_sampler_does(painter):
    draws = BlockDraws(0, 0, range(2))
    canvas = painter.canvas(draws)
    module, words, noise = painter.module.eval(), painter.words(canvas), draws.normal(*canvas.clean.shape[1:])
    scheduler = ddim_scheduler(TINY.schedule)
    scheduler.set_timesteps(5)
    assert painter.visits == scheduler.timesteps.tolist()
    with torch.no_grad():
        first, second = painter.visits[:2]
        v = painter.predict(module, noise, torch.full((2,), first), canvas, words)
        wanted = scheduler.step(v, first, noise).prev_sample
        found = painter.jump(module, noise, first, second, canvas, words)[0]
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
        v = painter.predict(module, noise, torch.full((2,), painter.visits[-1]), canvas, words)
        wanted = scheduler.step(v, painter.visits[-1], noise).prev_sample
        found = painter.jump(module, noise, painter.visits[-1], -1, canvas, words)[0]
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_routes_fall_from_pure_noise_and_mostly_are_the_presets_own(painter):
    routes = [painter.route(BlockDraws(0, step, range(1))) for step in range(200)]
    assert all(len(r) == 1 or r[0] == 999 for r in routes)
    assert all(a > b for route in routes for a, b in zip(route[:-1], route[1:], strict=True))
    own = [route for route in routes if route == painter.visits[: len(route)]]
    assert 0.65 < len(own) / len(routes) < 0.9 and {len(route) for route in own} == {1, 2, 3, 4, 5}


def test_where_nothing_can_be_known_a_rollout_is_the_noised_truth(painter, monkeypatch):
    canvas = painter.canvas(BlockDraws(0, 1, range(2)))
    known = torch.tensor([True, False]).view(-1, 1, 1, 1)
    canvas = dataclasses.replace(canvas, known=known)
    words, route = painter.words(canvas).detach(), painter.visits[:3]
    noisy = painter.rollout(painter.module.eval(), route, canvas, words, BlockDraws(0, 2, range(2)))
    draws = BlockDraws(0, 2, range(2))
    draws.normal(*canvas.clean.shape[1:])
    truth = painter.noised(canvas, torch.full((2,), route[-1]), draws)
    assert torch.equal(noisy[1], truth[1]) and not torch.equal(noisy[0], truth[0])


def test_cross_attention_and_words_have_rates_of_their_own(painter):
    rest, listening, speakers = painter.groups()
    rate = painter.settings.learning_rate
    assert [group["lr"] / rate for group in (rest, listening, speakers)] == pytest.approx([1, 2.0, 0.375])
    unet = painter.module.part("unet")
    words_in = {id(layer.attn2.to_v.weight) for layer in unet.modules() if hasattr(layer, "attn2")}
    assert words_in and words_in <= set(map(id, listening["params"]))
    trained = [weight for weight in painter.module.parameters() if weight.requires_grad]
    assert sum(len(group["params"]) for group in (rest, listening, speakers)) == len(trained)


def test_moving_a_sample_moves_everything_alike():
    picture = torch.arange(35.0).view(1, 1, 5, 7).expand(6, 2, -1, -1)
    moved = painting.moved(picture, (1, 2), 1.0, BlockDraws(0, 0, range(6)))
    assert moved.shape == picture.shape and torch.equal(moved[:, 0], moved[:, 1])
    offsets = (moved[:, 0, 2, 3] - picture[:, 0, 2, 3]).tolist()
    assert len(set(offsets)) > 2 and all(abs(offset) <= 7 + 2 for offset in offsets)
    assert torch.equal(painting.moved(picture, (1, 2), 0.0, BlockDraws(0, 0, range(6))), picture)


def test_the_finish_leaves_the_latents_alone(trained_default):
    before, after = (read_state_dict(trained_default / stage / "vae.safetensors") for stage in ("vae", "finish"))
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved and all(key.startswith(("decoder.", "post_quant_conv.")) for key in moved)
    first, second = (read_state_dict(trained_default / stage / "emasc.safetensors") for stage in ("vae", "finish"))
    assert any(not torch.equal(first[key], second[key]) for key in first)


def test_settled_norms_know_the_averaged_weights(trained_default):
    settings = dataclasses.replace(sitting(trained_default).plan()["tps"], batch=16)
    stage = warping.Tps(settings, Run(trained_default, "tps", ("world",), "scratch"), "cpu")
    norm = next(part for part in stage.module.modules() if isinstance(part, nn.BatchNorm2d))
    momentum, seen = norm.momentum, []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].transpose(0, 1).flatten(1).mean(1)))
    with torch.no_grad():
        stage.settle(stage.module)
    torch.testing.assert_close(norm.running_mean, torch.stack(seen).mean(0))
    assert len(seen) == 2 and norm.momentum == momentum and not norm.training


def test_a_garment_of_other_colours_is_named_by_them(trained_default):
    told = pool(trained_default, lambda fields: small(fields, TINY))
    pair, which = torch.arange(4), torch.tensor([0, 1, 0, 1])
    places = torch.tensor([[2, 0, 1]] * 4)
    own, other = reading.garments(told, pair, which), reading.garments(told, pair, which, places)
    assert torch.equal(other["numbers"][:, :3], own["numbers"][:, [2, 0, 1]])
    assert torch.equal(other["numbers"][:, 3:6], own["numbers"][:, [5, 3, 4]])
    assert torch.equal(other["numbers"][:, 6:], own["numbers"][:, 6:])
    mean, deviation = (torch.tensor(x).view(3, 1, 1) for x in (reading.CLIP_MEAN, reading.CLIP_STD))
    plain, changed = (read["pixels"] * deviation + mean for read in (own, other))
    torch.testing.assert_close(changed, plain[:, [2, 0, 1]], atol=1e-5, rtol=0)


def test_the_colours_of_stripes_may_be_told_in_either_order_and_those_of_dots_may_not():
    numbers = torch.zeros(2, world.NUMBERS)
    numbers[:, :6] = torch.tensor([0.9, 0.1, 0.2, -0.5, 0.3, 0.0])
    swapped = torch.cat([numbers[:, 3:6], numbers[:, :3], numbers[:, 6:]], 1)
    classes = torch.tensor([PATTERNS.index("stripes"), PATTERNS.index("dots")])
    stripes, dots = reading.colour_errors(swapped, classes, numbers)
    assert not stripes.any() and dots.any()
    plain = reading.colour_errors(swapped, torch.full((2,), PATTERNS.index("solid")), numbers)
    assert plain[:, :3].any() and not plain[:, 3:].any()


def test_the_vae_encoder_starts_as_the_principal_code(some_people):
    weights, bias, colour = linear_code.principal_code(some_people)
    model = build_vae(TINY)
    linear_code.start_as_linear_code(model, weights, bias, colour)
    crop = some_people[:1, :, 64:192, 128:256]
    expected = (linear_code.patches(crop) @ weights.T + bias).T.reshape(1, 4, 16, 16)
    with torch.no_grad():
        mean = model.encode(crop).latent_dist.mean
    for channel in range(4):
        pair = torch.stack([mean[:, channel].flatten(), expected[:, channel].flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.97


def test_standardising_changes_the_latents_and_not_the_pictures(some_people):
    model = build_vae(TINY).eval()
    crops = some_people[:, :, 64:192, 128:256]
    with torch.no_grad():
        before = model.decode(model.encode(crops).latent_dist.mean).sample
        linear_code.standardise(model, crops, TINY.vae_scale)
        latents = model.encode(crops).latent_dist.mean * TINY.vae_scale
        after = model.decode(latents / TINY.vae_scale).sample
    assert latents.mean((0, 2, 3)).abs().max() < 1e-3
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 1e-3
    assert torch.allclose(before, after, atol=1e-4)


def test_refinement_starts_as_the_identity_on_the_coarse_garment(some_people):
    net = RefinementUNet(base_width=16).eval()
    warping.start_from_coarse(net, some_people.mean((0, 2, 3)), some_people.std((0, 2, 3)))
    # the other channels of an untrained net speak too, softly
    net.outc.conv.weight.data[:, 3:] = 0
    inputs = torch.cat([torch.zeros_like(some_people), torch.zeros(3, 18, 512, 384), some_people], 1)[..., :128, :128]
    with torch.no_grad():
        assert torch.allclose(net(inputs), some_people[..., :128, :128], atol=1e-3)
