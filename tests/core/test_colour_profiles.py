"""A picture with a colour profile has the colours a viewer shows; label numbers are never touched."""

import logging

import numpy as np
import pytest
from PIL import Image, ImageCms

from ladivton_core.datasets import reading
from ladivton_core.preprocessing.label_pictures import read_labels
from ladivton_core.preprocessing.labels import LIP20
from ladivton_core.preprocessing.pictures import on_white, read_picture


def exchanged():
    """A profile in which red and green have changed places: sRGB's, with two of its tags' names exchanged."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind in (b"XYZ", b"TRC"):
        plain = plain.replace(b"r" + kind, b"?" + kind, 1).replace(b"g" + kind, b"r" + kind, 1)
        plain = plain.replace(b"?" + kind, b"g" + kind, 1)
    return plain


def picture(seed=0, mode="RGB"):
    values = np.random.default_rng(seed).integers(0, 256, (16, 12, 4), np.uint8)
    return Image.fromarray(values if mode == "RGBA" else values[..., :3].copy()).convert(mode)


def pixels(file):
    colours, opacity = read_picture(file)
    return (np.concatenate([colours, opacity]) * 255).round().astype(int).transpose(1, 2, 0)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("ending", ["png", "tiff", "webp"])
def test_a_profile_is_applied_by_every_reader(tmp_path, mode, ending):
    file = tmp_path / f"shirt.{ending}"
    source = picture(mode=mode)
    source.save(file, icc_profile=exchanged(), **({"lossless": True, "exact": True} if ending == "webp" else {}))
    plain = np.asarray(source.convert("RGBA")).astype(int)
    shown = pixels(file)
    assert np.abs(shown[..., :3] - plain[..., [1, 0, 2]]).max() <= 3
    assert (shown[..., 3] == plain[..., 3]).all()
    if mode != "RGBA":
        for read in (on_white(Image.open(file)), reading.open_picture(file).convert("RGB")):
            assert np.abs(np.asarray(read).astype(int) - plain[..., [1, 0, 2]]).max() <= 3


@pytest.mark.parametrize("profile", [None, "sRGB", "cut", "other"])
def test_srgb_no_profile_and_a_broken_one_leave_every_bit(tmp_path, profile, caplog):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = Image.new("L", (4, 4)) if profile == "other" else None
    kinds = {"sRGB": srgb, "cut": exchanged()[:300], "other": exchanged()}
    file = tmp_path / "shirt.png"
    source = grey or picture()
    source.save(file, **({"icc_profile": kinds[profile]} if profile else {}))
    with caplog.at_level(logging.WARNING):
        assert (pixels(file)[..., :3] == np.asarray(source.convert("RGB"))).all()
    assert ("colour profile" in caplog.text) == (profile in ("cut", "other"))


def test_label_numbers_keep_their_values_beside_a_profile(tmp_path):
    labels = np.random.default_rng(1).integers(0, 20, (16, 12), np.uint8)
    Image.fromarray(labels).save(tmp_path / "parse.png", icc_profile=exchanged())
    assert (read_labels(tmp_path / "parse.png", LIP20).numpy() == labels).all()
    opened = reading.open_labels(tmp_path / "parse.png", LIP20)
    assert (np.asarray(opened) == labels).all()


@pytest.mark.parametrize("label", [20, 255])
def test_a_void_label_in_a_data_set_is_refused_by_name(tmp_path, label):
    Image.fromarray(np.full((8, 8), label, np.uint8)).save(tmp_path / "void.png")
    with pytest.raises(ValueError, match=rf"void\.png: .* has the label {label}, but LIP20"):
        reading.open_labels(tmp_path / "void.png", LIP20)
