"""Pictures of every kind of pixel: 16-bit grey, transparency, label pictures by number and by colour, backdrops."""

import numpy as np
import pytest
import torch
from PIL import Image

from ladivton_core.datasets.reading import open_labels, open_picture, picture_tensor
from ladivton_core.evaluation import picture_metrics
from ladivton_core.preprocessing.garment.backdrop import (
    Centring,
    backdrop_of,
    centred_on_white,
    ground_to_white,
    looks_inverted,
)
from ladivton_core.preprocessing.label_pictures import labels_from_colours, read_labels, voc_colours
from ladivton_core.preprocessing.labels import ATR18, LABEL_SETS, LIP20
from ladivton_core.preprocessing.pictures import over_white, read_picture

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (8, 1))


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_deep_grey_keeps_its_greys(tmp_path, ending):
    file = tmp_path / f"deep.{ending}"
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(file)
    colours, opaque = read_picture(file)
    assert np.abs(colours[0].numpy() * 255 - RAMP).max() <= 1 and bool((opaque == 1).all())


def test_transparency_is_laid_over_white():
    rgba = torch.tensor([[0.0, 0.2], [0.0, 0.4], [0.0, 0.6], [0.0, 1.0]])[:, None]
    assert over_white(rgba)[:, 0].T.tolist() == pytest.approx(np.array([[1, 1, 1], [0.2, 0.4, 0.6]]))
    assert over_white(torch.full((1, 1, 2, 2), 0.3)).shape == (1, 3, 2, 2)


@pytest.fixture
def labels():
    """Labels with gaps, as a parser gives them."""
    return np.repeat(np.repeat(np.array([[0, 2, 13], [5, 5, 14], [9, 16, 18]], np.uint8), 8, 0), 8, 1)


def test_labels_come_back_from_numbers_colours_and_optimised_palettes(tmp_path, labels):
    coloured = Image.fromarray(labels, mode="P")
    coloured.putpalette(voc_colours(256).flatten().tolist())
    pictures = {
        "grey.png": Image.fromarray(labels),
        "deep.png": Image.fromarray(labels.astype(np.uint16)),
        "palette.png": coloured,
        "colours.png": coloured.convert("RGB"),
        "optimised.png": coloured.convert("RGB").quantize(32),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
        assert np.array_equal(read_labels(tmp_path / name, LIP20).numpy(), labels), name


def test_a_renumbered_palette_of_unknown_colours_and_a_photo_are_refused(tmp_path, labels):
    rng = np.random.default_rng(0)
    strange = Image.fromarray(rng.integers(0, 256, (32, 24, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1))
    strange.quantize(16).save(tmp_path / "optimised.png")
    strange.save(tmp_path / "photo.png")
    for name in ("optimised.png", "photo.png"):
        with pytest.raises(ValueError, match=name):
            read_labels(tmp_path / name, LIP20)


def test_every_label_of_every_set_has_a_colour_of_its_own():
    for labels in LABEL_SETS.values():
        ids = torch.arange(len(labels.labels)).view(1, 1, -1)
        drawn = torch.from_numpy(voc_colours(len(labels.labels))).float().div(255).T[None, :, None]
        assert torch.equal(labels_from_colours(drawn, labels), ids)
        for category in ("upper_body", "lower_body", "dresses"):
            regions = labels.regions_of(category)
            assert labels.ids((*regions.fixed, *regions.repaint, *regions.head, *regions.garment, *regions.arms))


def test_vocabularies_end_where_they_end(tmp_path):
    Image.fromarray(np.array([[0, 19]], np.uint8)).save(tmp_path / "lip.png")
    with pytest.raises(ValueError, match="lip.png has the label 19, but ATR18"):
        read_labels(tmp_path / "lip.png", ATR18)


def garment_on(ground):
    picture = ground.clone()
    picture[:, 30:90, 24:72] = torch.tensor([0.7, 0.1, 0.2])[:, None, None]
    return picture


@pytest.mark.parametrize(
    "ground",
    [
        torch.full((3, 128, 96), 0.6),
        torch.tensor([0.85, 0.8, 0.7]).view(3, 1, 1).expand(3, 128, 96),
        torch.full((3, 128, 96), 0.0),
        torch.linspace(0.5, 0.8, 128).view(1, 128, 1).expand(3, 128, 96),
    ],
)
def test_plain_grounds_become_white_and_the_garment_stays(ground):
    shown = garment_on(ground)
    assert backdrop_of(shown).kind == "plain"
    white = ground_to_white(shown)
    assert (white[:, :28] > 0.99).all() and (white[:, 100:] > 0.99).all()
    torch.testing.assert_close(white[:, 33:87, 27:69], shown[:, 33:87, 27:69], rtol=0, atol=0.02)


@pytest.mark.parametrize("white", [0.93, 0.99])
def test_white_cloth_on_a_light_ground_is_no_ground(white):
    shown = torch.full((3, 512, 384), 246 / 255)
    shown[:, 120:400, 100:290] = white + 0.006 * torch.sin(torch.arange(190) / 9)
    shown[:, 200:300, 150:240] = 0.2
    for noise in (0, 1 / 255):
        drawn = torch.Generator().manual_seed(2)
        made = ground_to_white(shown + noise * (torch.rand(1, 512, 384, generator=drawn) - 0.5))
        cloth = made.amin(0) < 0.97
        assert cloth[130:390, 110:280].float().mean() > 0.99
        cloth[110:410, 90:300] = False
        assert not cloth.any() and made.max() == 1


def test_white_and_busy_grounds_stay():
    on_white = garment_on(torch.ones(3, 128, 96))
    assert torch.equal(ground_to_white(on_white), on_white)
    busy = garment_on(torch.rand(3, 128, 96))
    assert backdrop_of(busy).kind == "busy" and ground_to_white(busy) is None
    assert ground_to_white(torch.full((3, 64, 48), 0.5)) is None


def test_a_mask_the_wrong_way_round_is_noticed():
    mask = torch.zeros(64, 48)
    mask[16:48, 12:36] = 1
    assert looks_inverted(1 - mask) and not looks_inverted(mask) and not looks_inverted(torch.ones(64, 48))


def test_the_garment_is_centred_with_its_proportions():
    picture = torch.ones(3, 200, 100)
    picture[:, 150:190, 10:30] = 0.2
    centred = centred_on_white(picture, (128, 96))
    rows, columns = (centred[0] < 0.6).any(1).nonzero().flatten(), (centred[0] < 0.6).any(0).nonzero().flatten()
    assert abs((rows[0] + rows[-1]) / 2 - 63.5) < 1.5 and abs((columns[0] + columns[-1]) / 2 - 47.5) < 1.5
    assert (len(rows) / len(columns)) == pytest.approx(2, rel=0.05) and len(rows) > 0.85 * 128


def test_points_of_a_garment_go_where_its_centring_puts_them():
    picture = torch.ones(3, 200, 100)
    picture[:, 100:180, 20:60] = 0.5
    picture[:, 118:122, 43:47] = 0.0  # a button, whose middle is between four pixels
    made = centred_on_white(picture, (128, 96))
    x, y = Centring.plan(picture, (128, 96)).place(torch.tensor([44.5, 119.5])).tolist()
    dark = (0.5 - made[0]).clamp_min(0) * (made[0] < 0.3)
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(96.0), indexing="ij")
    assert x == pytest.approx(float((columns * dark).sum() / dark.sum()), abs=0.1)
    assert y == pytest.approx(float((rows * dark).sum() / dark.sum()), abs=0.1)


def test_real_numbers_that_are_none_are_refused_by_name(tmp_path):
    for value in (np.nan, np.inf):
        values = RAMP.astype(np.float32) / 255
        values[0, 0] = value
        Image.fromarray(values).save(tmp_path / "hole.tif")
        with pytest.raises(ValueError, match="hole.tif.*no numbers"):
            read_picture(tmp_path / "hole.tif")
        with pytest.raises(ValueError, match="hole.tif.*no numbers"):
            open_picture(tmp_path / "hole.tif")


def transparent_kinds():
    """Pictures that are transparent but for a middle of one colour, and what they are on white there."""
    inside = np.zeros((16, 12), bool)
    inside[4:12, 3:9] = True
    red = np.where(inside[..., None], np.array([200, 30, 40, 255]), 0).astype(np.uint8)
    indexed = Image.fromarray(np.where(inside, 1, 0).astype(np.uint8), mode="P")
    indexed.putpalette([0, 0, 0, 200, 30, 40])
    deep = Image.fromarray(np.where(inside, 20000, 0).astype(np.uint16))
    grey = Image.fromarray(np.where(inside, 78, 0).astype(np.uint8))
    grey.putalpha(Image.fromarray(np.where(inside, 255, 0).astype(np.uint8)))
    kinds = {
        "rgba.png": (Image.fromarray(red), {}), "rgba.webp": (Image.fromarray(red), {"lossless": True}),
        "palette.png": (indexed, {"transparency": 0}), "grey.png": (grey, {}),
        "deep.png": (deep, {"transparency": 0}),
    }  # fmt: skip
    return [(name, picture, options, inside) for name, (picture, options) in kinds.items()]


@pytest.mark.parametrize(("name", "picture", "options", "inside"), transparent_kinds())
def test_every_reader_lays_transparency_over_white(tmp_path, name, picture, options, inside):
    file = tmp_path / name
    picture.save(file, **options)
    colours, opaque = read_picture(file)
    readers = {
        "node": over_white(torch.cat([colours, opaque])),
        "data set": picture_tensor(open_picture(file), inside.shape) / 2 + 0.5,
        "evaluation": picture_metrics.read(file, inside.shape),
    }
    for reader, seen in readers.items():
        assert bool((seen[:, ~torch.from_numpy(inside)] == 1).all()), reader
        assert float(seen[0, 8, 6]) == pytest.approx((78 if name in ("grey.png", "deep.png") else 200) / 255, abs=0.01)


def test_a_data_sets_optimised_palette_is_put_in_order_or_refused(tmp_path, labels):
    coloured = Image.fromarray(labels, mode="P")
    coloured.putpalette(voc_colours(256).flatten().tolist())
    coloured.convert("RGB").quantize(32).save(tmp_path / "optimised.png")
    assert np.array_equal(np.asarray(open_labels(tmp_path / "optimised.png", LIP20)), labels)
    coloured.save(tmp_path / "as_released.png")
    kept = open_labels(tmp_path / "as_released.png", LIP20)
    assert kept.mode == "P" and np.array_equal(np.asarray(kept), labels)
    strange = np.random.default_rng(0).integers(0, 256, (32, 24, 3), dtype=np.uint8)
    Image.fromarray(strange).quantize(16).save(tmp_path / "strange.png")
    with pytest.raises(ValueError, match="strange.png.*optimised palette"):
        open_labels(tmp_path / "strange.png", LIP20)
