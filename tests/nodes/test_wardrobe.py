"""People encoded once for many garments: Try-On Conditioning in halves, blended words, lists of people, the sheet."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session")
def encoded(run, models, scene, prepared):
    """`encoded(item=None, **options)`: Encode Person of both people, or of one alone."""

    def execute(item: int | None = None, **options):
        keep = slice(None) if item is None else slice(item, item + 1)
        parts = {"person": scene.person[keep], "mask": prepared.mask[keep], "pose_map": prepared.pose_map[keep]}
        return run("EncodePerson", vae=models.vae, **parts, **options)[0]

    return execute


@pytest.fixture(scope="session")
def wear(run, models, prepared):
    """`wear(person, garments, ...)`: Garment Conditioning of an encoded person in warped garments."""

    def execute(person, keep=slice(None), **options) -> tuple:
        positive = [[tensor[keep], entry] for tensor, entry in prepared.positive]
        return run(
            "GarmentConditioning", positive=positive, negative=prepared.negative, vae=models.vae, encoded_person=person,
            warped_garment=prepared.warped[keep], **options,
        )  # fmt: skip

    return execute


@pytest.mark.parametrize("options", [{}, {"latent_of_person": True}, {"no_pose": True, "posterior_seed": 5}])
def test_the_two_halves_are_try_on_conditioning_to_the_bit(condition, encoded, wear, options):
    options = dict(options)
    expected = condition(**options)
    person = encoded(latent_of_person=options.pop("latent_of_person", False))
    for now, then in zip(wear(person, **options)[:2], expected[:2], strict=True):
        assert torch.equal(now[0][0], then[0][0]) and torch.equal(now[0][1]["noise_concat"], then[0][1]["noise_concat"])
    _, _, latent, skips = wear(person, **options)
    assert torch.equal(latent["samples"], expected[2]["samples"])
    assert all(torch.equal(*pair) for pair in zip(skips.features, expected[3].features, strict=True))
    assert torch.equal(skips.mask, expected[3].mask) and skips.features[0] is skips.features[1]


def test_one_person_in_many_garments_is_encoded_once(encoded, wear, condition, models, monkeypatch):
    seen = []
    encode = models.vae.first_stage_model.encoder.forward
    monkeypatch.setattr(models.vae.first_stage_model.encoder, "forward", lambda x: seen.append(len(x)) or encode(x))
    person = encoded(0)
    assert len(seen) == 1
    positive, _, latent, skips = wear(person)
    assert len(seen) == 3 and latent["samples"].shape[0] == 2 and len(skips.features[0]) == 1
    alone, *_ = condition(0)  # garment 0, the same seed
    torch.testing.assert_close(positive[0][1]["noise_concat"][:1], alone[0][1]["noise_concat"], rtol=1e-4, atol=1e-5)


def test_people_come_one_by_one(run, encoded, prepared, scene):
    people, pictures, agnostics, masks, poses = run("WardrobePeople", person_1=encoded(1), person_3=encoded())
    assert len(people) == len(pictures) == len(agnostics) == len(masks) == len(poses) == 3
    for item, source in enumerate((1, 0, 1)):
        torch.testing.assert_close(pictures[item], scene.person[source : source + 1], rtol=0, atol=1e-6)
        torch.testing.assert_close(agnostics[item], prepared.agnostic[source : source + 1], rtol=0, atol=1e-6)
        assert torch.equal(masks[item], prepared.mask[source : source + 1])
        assert torch.equal(poses[item], prepared.pose_map[source : source + 1])
    alone = encoded(1)
    assert (
        torch.equal(people[2].moments, alone.moments) and people[2].taps[0].data_ptr() == people[2].taps[1].data_ptr()
    )


def test_sizes_that_differ_are_named(run, encoded, wear, prepared, scene):
    with pytest.raises(ValueError, match="'warped_garment' is 64 x 96 and 'encoded_person' 128 x 96"):
        run("GarmentConditioning", positive=prepared.positive, negative=prepared.negative, vae=None,
            encoded_person=encoded(0), warped_garment=prepared.warped[:, :64])  # fmt: skip
    with pytest.raises(ValueError, match="'garment_2' is 64 x 96 and 'garment_1' 128 x 96.*Prepare Garment"):
        run("WardrobeGarments", garment_1=scene.garment, garment_2=scene.garment[:, :64])
    with pytest.raises(ValueError, match="'encoded_person' is a batch of 2 and 'warped_garment' a batch of 3"):
        run("GarmentConditioning", positive=prepared.positive, negative=prepared.negative, vae=None,
            encoded_person=encoded(), warped_garment=prepared.warped[:1].repeat(3, 1, 1, 1))  # fmt: skip


def test_garments_become_one_batch_in_their_order(run, scene):
    first, second = scene.garment[:1], scene.garment[1:]
    (garments,) = run("WardrobeGarments", garment_1=second, garment_2=scene.garment, garment_8=first)
    assert torch.equal(garments, torch.cat([second, first, second, first]))


def test_blended_words_lie_between_and_end_in_the_garments_own(run, models, prepared):
    words = prepared.pseudo_words
    ends = {"pseudo_words_1": words[:1], "pseudo_words_2": words[1:]}
    for blend, item in ((0.0, 0), (1.0, 1)):
        conditioning, mixed = run("BlendPseudoWords", clip=models.clip, **ends, blend=blend)
        assert torch.equal(mixed[0], words[item])
        assert torch.equal(conditioning[0][0][0], prepared.positive[0][0][item])
    conditioning, mixed = run("BlendPseudoWords", clip=models.clip, **ends, blend=0.25)
    torch.testing.assert_close(mixed[0], words[0] * 0.75 + words[1] * 0.25)
    assert not torch.allclose(conditioning[0][0][0], prepared.positive[0][0][0])
    with pytest.raises(ValueError, match=r"\(16, 64\) and 'pseudo_words_2' \(16, 32\).*same inversion adapter"):
        run("BlendPseudoWords", clip=models.clip, pseudo_words_1=words, pseudo_words_2=words[..., :32])


def sheet(run, results, people, garments, person_names="", garment_names="", height=32, gap=4):
    """Wardrobe Sheet on lists, as ComfyUI hands them over."""
    (picture,) = run(
        "WardrobeSheet", results=results, person=people, garments=[garments], person_names=[person_names],
        garment_names=[garment_names], height=[height], gap=[gap],
    )  # fmt: skip
    return picture


def test_every_cell_of_the_sheet_is_where_it_belongs(run):
    """Two people of different widths, three garments; every picture a colour of its own."""

    def flat(value: float, width: int = 24, count: int = 1) -> torch.Tensor:
        shades = value + 0.02 * torch.arange(count)
        return shades.view(-1, 1, 1, 1).expand(count, 32, width, 3).clone()

    people, garments = [flat(0.1), flat(0.2, width=40)], flat(0.3, count=3)
    results = [flat(0.5, count=3), flat(0.7, width=40, count=3)]
    picture = sheet(run, results, people, garments)
    strip, width = 24, 40
    assert picture.shape == (1, 3 * (32 + strip + 4) - 4, 4 * (width + 4) - 4, 3)
    middle = picture[0, strip + 16 :: 32 + strip + 4, width // 2 :: width + 4, 0]
    expected = torch.tensor([[1.0, 0.3, 0.32, 0.34], [0.1, 0.5, 0.52, 0.54], [0.2, 0.7, 0.72, 0.74]])
    torch.testing.assert_close(middle, expected, rtol=0, atol=1e-5)
    assert (picture[0, :strip] < 0.5).any() and (picture[0, 60 : 60 + strip, :40] < 0.5).any()  # names are written
    named = sheet(run, results, people, garments, "Ann, Bo", "red, green, blue")
    assert not torch.equal(named, picture)


def test_a_sheet_that_does_not_fit_is_refused_in_words(run):
    people, garments = [torch.zeros(1, 8, 8, 3)] * 2, torch.zeros(3, 8, 8, 3)
    results = [torch.zeros(3, 8, 8, 3)] * 2
    with pytest.raises(ValueError, match="'results' are 1 batches of 3 pictures, for 2 people in 3 garments"):
        sheet(run, results[:1], people, garments)
    with pytest.raises(ValueError, match="'person_names' has 3 names for 2"):
        sheet(run, results, people, garments, person_names="a, b, c")
    with pytest.raises(ValueError, match="megapixels; 100 is the limit. Lower 'height'"):
        sheet(run, results, people, garments, height=4096)
