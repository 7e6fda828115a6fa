"""A picture with a colour profile has the colours a viewer shows; label numbers are never touched."""

import io
import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from ladivton_core.datasets import reading
from ladivton_core.disk.pictures import is_srgb
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
    assert not is_srgb(file)
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
    assert is_srgb(file)
    assert ("colour profile" in caplog.text) == (profile in ("cut", "other"))


SWATCHES = [(200, 40, 40), (40, 180, 60), (30, 60, 200), (230, 180, 40), (128, 128, 128), (20, 140, 140)]
P3_TO_SRGB = np.array([[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09828]])
P3_PLACES = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def swatches(mode="RGB"):
    return Image.fromarray(np.array(SWATCHES, np.uint8).repeat(32, 0)[None].repeat(32, 0)).convert(mode)


def as_shown(values, gamma=None, matrix=P3_TO_SRGB):
    """Levels of sRGB for levels of another curve (None: sRGB's) and other primaries."""
    part = values / 255
    linear = part**gamma if gamma else np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    linear = (linear @ matrix.T).clip(0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055) * 255


def with_chunks(picture, **chunks):
    """A PNG with chunks before its palette and pixels."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    content = buffer.getvalue()
    for name, body in chunks.items():
        kind = name.encode() + body
        content = (
            content[:33] + struct.pack(">I", len(body)) + kind + struct.pack(">I", zlib.crc32(kind)) + content[33:]
        )
    return content


def chrm(places):
    return struct.pack(">8I", *(round(place * 100_000) for place in places))


GAMMA_22, GAMMA_18 = struct.pack(">I", 45455), struct.pack(">I", 55556)
SRGB_ICC = b"one\0\0" + zlib.compress(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


@pytest.mark.parametrize(
    ("mode", "chunks", "shown"),
    [
        ("RGB", {"cICP": bytes([12, 13, 0, 1])}, as_shown),
        ("RGBA", {"cICP": bytes([12, 13, 0, 1]), "iCCP": SRGB_ICC, "sRGB": b"\0"}, as_shown),
        ("P", {"cICP": bytes([12, 1, 0, 1])}, as_shown),
        ("RGB", {"gAMA": GAMMA_22, "cHRM": chrm(P3_PLACES)}, as_shown),
        ("RGB", {"gAMA": GAMMA_18}, lambda values: as_shown(values, 1.8, np.eye(3))),
        ("L", {"gAMA": GAMMA_18}, lambda values: as_shown(values, 1.8, np.eye(3))),
        ("RGB", {"gAMA": GAMMA_22}, None),
        ("RGB", {"gAMA": GAMMA_18, "sRGB": b"\0"}, None),
        ("RGB", {"gAMA": GAMMA_18, "cHRM": chrm(P3_PLACES), "iCCP": SRGB_ICC}, None),
        ("RGB", {"cHRM": chrm(P3_PLACES)}, None),
        ("RGB", {"cICP": bytes([1, 13, 0, 1]), "gAMA": GAMMA_18}, None),
    ],
)
def test_what_a_png_says_of_its_colours_beside_profiles(tmp_path, mode, chunks, shown):
    """The order is the PNG specification's: cICP, iCCP, sRGB, then gAMA with cHRM."""
    file = tmp_path / "shirt.png"
    file.write_bytes(with_chunks(swatches(mode), **chunks))
    plain = np.asarray(swatches(mode).convert("RGB")).astype(float)
    if shown is None:
        assert (pixels(file)[..., :3] == plain).all()
    else:
        assert np.abs(pixels(file)[..., :3] - shown(plain)).max() <= 2
        assert np.abs(np.asarray(reading.open_picture(file).convert("RGB")) - shown(plain)).max() <= 2


def test_sixteen_bit_grey_has_the_gamma_it_says(tmp_path):
    grey = Image.fromarray(np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(4, 0))
    (tmp_path / "deep.png").write_bytes(with_chunks(grey, gAMA=GAMMA_18))
    wanted = as_shown(np.linspace(0, 255, 64)[:, None].repeat(3, 1), 1.8, np.eye(3))
    assert np.abs(pixels(tmp_path / "deep.png")[0, :, :3] - wanted).max() <= 3


def avif(points, **more):
    buffer = io.BytesIO()
    swatches().save(buffer, "AVIF", quality=100, subsampling="4:4:4", **more)
    content = buffer.getvalue()
    place = content.index(b"colrnclx") + 8
    return content[:place] + struct.pack(">HH", *points) + content[place + 4 :]


@pytest.mark.skipif(".avif" not in Image.registered_extensions(), reason="this Pillow reads no AVIF")
def test_code_points_of_avif(tmp_path):
    file, plain = tmp_path / "shirt.avif", np.array(SWATCHES, float)
    file.write_bytes(avif((12, 13)))
    assert np.abs(pixels(file)[16, 16::32, :3] - as_shown(plain)).max() <= 5
    file.write_bytes(avif((1, 13)))
    assert np.abs(pixels(file)[16, 16::32, :3] - plain).max() <= 4
    for points in ((2, 2), (1, 13), (9, 16)):  # a profile counts first
        file.write_bytes(avif(points, icc_profile=exchanged()))
        for shown in (pixels(file), np.asarray(reading.open_picture(file)).astype(int)):
            assert np.abs(shown[16, 16::32, :3] - plain[:, [1, 0, 2]]).max() <= 6


@pytest.mark.skipif(".jp2" not in Image.registered_extensions(), reason="this Pillow reads no JPEG 2000")
def test_a_profile_in_jpeg_2000(tmp_path):
    """Pillow neither writes nor reads it: its box is put in the place of the one that says sRGB."""
    buffer, file = io.BytesIO(), tmp_path / "shirt.jp2"
    swatches().save(buffer, "JPEG2000")
    content = buffer.getvalue()
    place, head = content.index(b"colr") - 4, content.index(b"jp2h") - 4
    profile = exchanged()
    box = struct.pack(">I", 11 + len(profile)) + b"colr\x02\0\0" + profile
    size = int.from_bytes(content[head : head + 4], "big") - 15 + len(box)
    file.write_bytes(content[:head] + struct.pack(">I", size) + content[head + 4 : place] + box + content[place + 15 :])
    wanted = np.asarray(swatches()).astype(int)[..., [1, 0, 2]]
    assert np.abs(pixels(file)[..., :3] - wanted).max() <= 3 and not is_srgb(file)


@pytest.mark.parametrize("transfer", [16, 18])
def test_a_high_dynamic_range_is_refused_by_name(tmp_path, transfer):
    (tmp_path / "sun.png").write_bytes(with_chunks(swatches(), cICP=bytes([9, transfer, 0, 1])))
    for read in (read_picture, reading.open_picture):
        with pytest.raises(ValueError, match="sun.png has a high dynamic range .* sRGB"):
            read(tmp_path / "sun.png")


@pytest.mark.parametrize(
    "chunks",
    [{"cICP": bytes([77, 13, 0, 1])}, {"cICP": bytes([12, 99, 0, 1])}, {"gAMA": GAMMA_22, "cHRM": chrm([0.0] * 8)},
     {"gAMA": b"\0\0\0\1"}],
)  # fmt: skip
def test_what_cannot_be_is_passed_over_with_a_word(tmp_path, chunks, caplog):
    file = tmp_path / "shirt.png"
    file.write_bytes(with_chunks(swatches(), **chunks))
    with caplog.at_level(logging.WARNING):
        assert (pixels(file)[..., :3] == np.asarray(swatches())).all()
    assert "shirt.png has a colour profile that cannot be used" in caplog.text


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
