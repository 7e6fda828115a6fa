"""What lies on the disk or comes over a wire never takes the pack down, fills the memory or ends in a black picture."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import torch
from PIL import Image


@pytest.fixture
def input_folder(comfyui, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path))
    return tmp_path


def options(nodes, node, name):
    inputs = nodes[f"LadiVTON_{node}"].define_schema().inputs
    return next(found.options for found in inputs if found.id == name)


LISTS = [("LoadPicture", "image"), ("LoadKeypoints", "file"), ("LoadParseMap", "file"), ("DatasetSample", "root")]


# --- schemas


def test_a_name_that_is_no_text_is_not_offered_and_the_others_are(nodes, input_folder):
    for name in (b"\xff\xfe.png", b"\xff.json", "ä b.png".encode(), b"good.json"):
        Path(os.fsdecode(os.path.join(os.fsencode(input_folder), name))).touch()
    os.mkdir(os.path.join(os.fsencode(input_folder), b"\xfffolder"))
    for node, name in LISTS:
        json.dumps(options(nodes, node, name), ensure_ascii=False).encode("utf-8")  # as ComfyUI sends it
    assert "ä b.png" in options(nodes, "LoadPicture", "image")
    assert "good.json" in options(nodes, "LoadKeypoints", "file")


def test_a_folder_that_may_not_be_read_leaves_the_examples(nodes, input_folder, monkeypatch, caplog):
    (input_folder / "lost+found").mkdir()
    scan, is_file = os.scandir, Path.is_file

    def closed(folder="."):
        if Path(folder) == input_folder:
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    def closed_file(path):
        if "lost+found" in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", closed_file)
    assert options(nodes, "DatasetSample", "root")
    monkeypatch.setattr(os, "scandir", closed)
    monkeypatch.setattr(os, "listdir", lambda folder=".": [entry.name for entry in closed(folder)])
    for node, name in LISTS:
        assert all(" [example]" in choice for choice in options(nodes, node, name))
    assert "Permission denied" in caplog.text


def test_whatever_fails_in_a_list_is_logged_and_the_node_is_there(nodes, module, monkeypatch, caplog):
    def fails(*_):
        raise RuntimeError("a strange disk")

    monkeypatch.setattr(module("nodes.datasets"), "find", fails)
    monkeypatch.setattr(module("nodes.host.model_files"), "_fits", fails)
    assert options(nodes, "DatasetSample", "root") == []
    assert options(nodes, "LoadEMASC", "emasc_name") == []
    assert "a strange disk" in caplog.text


# --- sizes


def test_a_small_file_of_a_large_picture_is_refused_before_it_is_decoded(nodes, run, input_folder):
    Image.new("1", (9400, 9400)).save(input_folder / "large.png")
    assert (input_folder / "large.png").stat().st_size < 40_000
    for node, name in (("LoadPicture", "image"), ("LoadParseMap", "file")):
        with pytest.raises(ValueError, match="large.png has 9400 x 9400 pixels, 88 megapixels; at most 50"):
            run(node, **{name: "large.png"})


def test_maps_and_sheets_that_would_fill_the_memory_are_refused(run, scene, module):
    for size in ({"width": 8192, "height": 8192}, {"width": 4096, "height": 4104}):
        with pytest.raises(ValueError, match="height and width of Pose Map.*at most 17, such as 4096 x 4096"):
            run("PoseMap", keypoints=scene.keypoints, **size)
    module("nodes.tensors").check_area(4096, 4096, "stays possible")
    strip, tall = torch.zeros(1, 2, 4000, 3), torch.zeros(1, 4000, 2, 3)
    for pictures, said in (
        ({"image_1": tall, "image_2": strip}, "'image_2' is 4000 x 2 .*choose a smaller 'height'"),
        ({"image_1": strip[:, :1]}, "'image_1' is 4000 x 1"),
        ({"image_1": torch.zeros(1, 3, 4, 3).expand(4000, 3, 4, 3)}, "fewer pictures a batch"),
    ):
        with pytest.raises(ValueError, match=said):
            run("ComparisonSheet", height=512, gap=8, captions="", **pictures)
    (sheet,) = run("ComparisonSheet", image_1=tall, height=512, gap=8, captions="")
    assert sheet.shape == (1, 512, 1, 3)


# --- numbers that are none


def test_a_picture_with_a_value_that_is_no_number_is_named(run, scene, models, prepared):
    person = scene.person.clone()
    person[0, 3, 3, 1] = float("nan")
    inputs = {"person": person, "keypoints": scene.keypoints, "parse_map": scene.parse_map}
    with pytest.raises(ValueError, match="'person' holds values that are no numbers"):
        run("AgnosticPerson", **inputs)
    with pytest.raises(ValueError, match="'garment' holds values that are no numbers"):
        run(
            "GarmentWarper", warper=models.warper, garment=person, agnostic=prepared.agnostic,
            pose_map=prepared.pose_map,
        )  # fmt: skip


@pytest.mark.parametrize("other", [lambda picture: picture * 255, lambda picture: picture * 2 - 1])
def test_a_picture_of_another_range_is_named_and_a_little_beyond_is_taken(run, scene, other):
    with pytest.raises(ValueError, match="'garment' holds values from .*expected 0 to 1"):
        run("PrepareGarment", garment=other(scene.person))
    with pytest.raises(ValueError, match="'mask' holds values from .*expected 0 to 1"):
        run("PrepareGarment", garment=scene.person, mask=other(torch.rand(scene.person.shape[:3])))
    run("PrepareGarment", garment=scene.person * 1.4 - 0.2)


def poisoned(module):
    """One weight of a network, NaN until the returned function is called."""
    weight = next(p for p in module.parameters() if p.ndim > 1)
    with torch.inference_mode():
        kept = weight.clone()
        weight.fill_(float("nan"))

    def mend():
        with torch.inference_mode():
            weight.copy_(kept)

    return mend


def test_the_stage_where_the_first_of_them_appears_is_named(run, models, scene, prepared, condition):
    positive, negative, latent, skips = condition(0)
    stages = {
        "The garment warper": (models.warper.module, lambda: run(
            "GarmentWarper", warper=models.warper, garment=scene.garment[:1], agnostic=prepared.agnostic[:1],
            pose_map=prepared.pose_map[:1])),
        "The inversion adapter": (models.adapter.module, lambda: run(
            "TextualInversionEncoder", clip=models.clip, clip_vision=models.clip_vision, adapter=models.adapter,
            garment=scene.garment[:1])),
        "The VAE's encoder": (models.vae.first_stage_model.encoder, lambda: condition(0)),
        "The try-on UNet": (models.model.model.diffusion_model, lambda: run(
            "TryOnSampler", model=models.model, positive=positive, negative=negative, latent=latent, steps=1,
            guidance=1.0)),
        "EMASC": (models.emasc.module, lambda: run(
            "EMASCDecoder", vae=models.vae, emasc=models.emasc, samples=latent, skip_features=skips)),
        "The VAE's decoder": (models.vae.first_stage_model.decoder, lambda: run(
            "EMASCDecoder", vae=models.vae, emasc=models.emasc, samples=latent, skip_features=skips)),
    }  # fmt: skip
    for stage, (network, work) in stages.items():
        mend = poisoned(network)
        try:
            with pytest.raises(ValueError, match=f"^{re.escape(stage)} gave values that are no numbers"):
                work()
        finally:
            mend()
    bad = {"samples": torch.full_like(latent["samples"], float("inf"))}
    with pytest.raises(ValueError, match="The sampler before 'samples'.*--bf16-unet"):
        run("EMASCDecoder", vae=models.vae, emasc=models.emasc, samples=bad, skip_features=skips)


# --- hooks


def test_no_hook_stays_when_one_cannot_be_registered(models, module, monkeypatch):
    taps, vae = module("nodes.host.taps"), models.vae.first_stage_model

    def refuses(*_):
        raise RuntimeError("no hooks here")

    monkeypatch.setattr(vae.encoder.down[2].block[0], "register_forward_pre_hook", refuses)
    monkeypatch.setattr(vae.decoder.up[2].block[0], "register_forward_pre_hook", refuses)
    for kept in (lambda: taps.taps_kept(vae.encoder), lambda: taps.skips_added(vae, [torch.zeros(1)] * 5)):
        with pytest.raises(RuntimeError, match="no hooks here"), kept():
            pass
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in vae.modules())


# --- beside other packs


def test_nothing_of_ours_has_a_name_another_pack_could_have(nodes, comfyui, repository):
    import folder_paths

    assert all(name.startswith("LadiVTON_") for name in nodes)
    ours = [key for key, (paths, _) in folder_paths.folder_names_and_paths.items() if any("ladi" in p for p in paths)]
    assert all(key.startswith("ladi_vton") for key in ours)
    known = {"POSE_KEYPOINT", "COMBO,STRING", "COMBO", "INT", "FLOAT", "STRING", "BOOLEAN"}
    native = {"MODEL", "VAE", "CLIP", "CLIP_VISION", "IMAGE", "MASK", "LATENT", "CONDITIONING", "SIGMAS", "SAMPLER",
              "NOISE", "BOUNDING_BOX"}  # fmt: skip
    for node in nodes.values():
        schema = node.define_schema()
        for place in (*schema.inputs, *schema.outputs):
            assert place.get_io_type() in known | native or place.get_io_type().startswith("LADI_"), place.id
    lines = (repository / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line.split("#")[0].strip().lower() for line in lines if line.split("#")[0].strip()]
    assert not any(re.search(r"<|==|~=", line) for line in wanted)  # no version of another pack is ruled out
    assert not any(line.startswith(("torch", "transformers", "opencv")) for line in wanted)


def test_another_packs_hooks_and_patches_on_the_shared_vae_stay_and_ours_go(run, models, condition):
    """A pack that looks into the same VAE (tiling, previews, colour) keeps what it put there, and changes nothing."""
    vae, calls = models.vae.first_stage_model, []
    places = [vae.encoder.conv_in, vae.encoder.down[2].block[0], vae.decoder.up[2].block[0], vae.decoder.conv_out]

    def whole():
        positive, negative, latent, skips = condition(0)
        (image,) = run("EMASCDecoder", vae=models.vae, emasc=models.emasc, samples=latent, skip_features=skips)
        return positive[0][1]["noise_concat"], image

    plain = whole()
    foreign = [place.register_forward_hook(lambda *_: calls.append(1)) for place in places]
    foreign += [place.register_forward_pre_hook(lambda *_: calls.append(1)) for place in places]
    before = [(dict(part._forward_hooks), dict(part._forward_pre_hooks)) for part in vae.modules()]
    kept, vae.decoder.forward = (
        vae.decoder.forward,
        lambda *given, **options: type(vae.decoder).forward(vae.decoder, *given, **options),
    )
    patched = vae.decoder.forward
    try:
        beside = whole()
        assert vae.decoder.forward is patched
        assert before == [(dict(part._forward_hooks), dict(part._forward_pre_hooks)) for part in vae.modules()]
    finally:
        vae.decoder.forward = kept
        for hook in foreign:
            hook.remove()
    assert len(calls) >= len(foreign) and all(torch.equal(*pair) for pair in zip(plain, beside, strict=True))


@pytest.mark.long
def test_what_stands_in_front_of_the_path_is_not_taken_for_ours(repository, tmp_path):
    """Packs put `utils`, `nodes`, `models` and folders of theirs before everything else on the path.

    And ours lies in a folder with blanks and letters beyond ASCII, which the locale does not know.
    """
    import subprocess
    import sys

    for name in ("utils", "nodes", "models", "ladivton_core", "types_", "training", "checkpoints"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the foreign {name} was imported')\n")
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from hosting import in_process\n"
        "in_process.import_comfyui(__import__('pathlib').Path(sys.argv[4]))\n"
        "sys.path.insert(0, sys.argv[3])\n"
        "[sys.modules.pop(name, None) for name in ('models', 'ladivton_core')]\n"
        "pack = in_process.import_pack(__import__('pathlib').Path(sys.argv[2]), 'a pack')\n"
        "nodes = in_process.node_classes(pack)\n"
        "nodes['LadiVTON_LoadEmbedded'].execute()\n"
        "print(len(nodes), 'ladivton_core' in sys.modules)\n"
    )
    ours, scripts = tmp_path / "LaDI VTON (Kopie) Ärmel", str(repository / "scripts")
    ours.symlink_to(repository, target_is_directory=True)
    given = [scripts, str(ours), str(tmp_path), os.environ["COMFYUI_PATH"]]
    locale = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, cwd=tmp_path.parent,
                          env=os.environ | locale)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    count, imported = done.stdout.split()[-2:]
    assert int(count) > 30 and imported == "False"
