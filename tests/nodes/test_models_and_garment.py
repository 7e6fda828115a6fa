"""Loaders and garment nodes: files told by content, widths checked, pseudo-words usable as an embedding."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from ladivton_core.embedded import EMBEDDED_DIR
from ladivton_core.preprocessing.people.blazepose import GRAPHS


@pytest.fixture
def model_folder(tmp_path, nodes):
    """models/ladi_vton, empty."""
    import folder_paths

    paths, extensions = folder_paths.folder_names_and_paths["ladi_vton"]
    folder_paths.folder_names_and_paths["ladi_vton"] = ([str(tmp_path)], extensions)
    yield tmp_path
    folder_paths.folder_names_and_paths["ladi_vton"] = (paths, extensions)
    folder_paths.filename_list_cache.pop("ladi_vton", None)


def test_loaders_take_their_own_file_and_name_any_other(run, model_folder):
    loaders = {
        "LoadWarper": ("warper_name", "warping"),
        "LoadInversionAdapter": ("adapter_name", "inversion_adapter"),
        "LoadEMASC": ("emasc_name", "emasc"),
        "LoadTryOnModel": ("unet_name", "unet"),
    }
    for part in ("warping", "inversion_adapter", "emasc", "unet"):
        # Names say nothing: content decides.
        shutil.copy(EMBEDDED_DIR / f"{part}.safetensors", model_folder / f"{part[0]}.safetensors")
    for loader, (name, part) in loaders.items():
        assert len(run(loader, **{name: f"{part[0]}.safetensors"})) == 1
        wrong = "e.safetensors" if part != "emasc" else "w.safetensors"
        with pytest.raises(ValueError, match=f"{wrong} is .* was expected here"):
            run(loader, **{name: wrong})


def offered(nodes, loader: str, name: str) -> list[str]:
    return next(box.options for box in nodes[f"LadiVTON_{loader}"].define_schema().inputs if box.id == name)


def test_a_list_offers_what_fits_by_content(nodes, model_folder):
    for part in ("warping", "inversion_adapter", "emasc", "unet", "vae"):
        shutil.copy(EMBEDDED_DIR / f"{part}.safetensors", model_folder / f"{part[0]}.safetensors")
    torch.save(load_file(model_folder / "u.safetensors"), model_folder / "archive.pth")
    inpainting = load_file(model_folder / "u.safetensors")
    inpainting["conv_in.weight"] = inpainting["conv_in.weight"][:, :9].contiguous()
    save_file(inpainting, model_folder / "nine_channels.safetensors")
    torch.save({"epoch": 3, "optimizer_tps": {}, **nested(load_file(model_folder / "w.safetensors"))},
               model_folder / "published.pth")  # fmt: skip
    (model_folder / "cut.safetensors").write_bytes((model_folder / "e.safetensors").read_bytes()[:1000])
    (model_folder / "cut.pth").write_bytes((model_folder / "published.pth").read_bytes()[:5000])
    (model_folder / "page.pth").write_text("<html>not found</html>")
    # other models' files lie in the same folders; none of them may break ComfyUI's list of nodes
    save_file({"model.diffusion_model.double_blocks.0.img_attn.qkv.weight": torch.zeros(3, 1)},
              model_folder / "flux.safetensors")  # fmt: skip
    save_file({"conv_in.weight": torch.zeros(3), "time_embedding.linear_1.weight": torch.zeros(1),
               "down_blocks.0": torch.zeros(1)}, model_folder / "odd.safetensors")  # fmt: skip
    (model_folder / "index.bin").write_text('{"weight_map": {"a": 3}}')

    assert offered(nodes, "LoadTryOnModel", "unet_name") == ["archive.pth", "u.safetensors"]
    assert offered(nodes, "LoadWarper", "warper_name") == ["published.pth", "w.safetensors"]
    assert offered(nodes, "LoadInversionAdapter", "adapter_name") == ["i.safetensors"]
    assert offered(nodes, "LoadEMASC", "emasc_name") == ["e.safetensors"]


def nested(state: dict) -> dict:
    """Flat warper keys nested as in the published file: a dict a network."""
    halves: dict = {}
    for key, tensor in state.items():
        half, _, name = key.partition(".")
        halves.setdefault(half, {})[name] = tensor
    return halves


def test_a_replaced_file_is_looked_at_again(nodes, model_folder):
    shutil.copy(EMBEDDED_DIR / "emasc.safetensors", model_folder / "a.safetensors")
    assert offered(nodes, "LoadEMASC", "emasc_name") == ["a.safetensors"]
    shutil.copy(EMBEDDED_DIR / "warping.safetensors", model_folder / "a.safetensors")
    assert offered(nodes, "LoadEMASC", "emasc_name") == []
    assert offered(nodes, "LoadWarper", "warper_name") == ["a.safetensors"]


def test_folders_of_extra_model_paths_count(run, nodes, model_folder, tmp_path_factory):
    import utils.extra_config

    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "vton").mkdir()
    shutil.copy(EMBEDDED_DIR / "emasc.safetensors", elsewhere / "vton" / "far.safetensors")
    config = elsewhere / "extra_model_paths.yaml"
    config.write_text(f"mine:\n  base_path: {elsewhere}\n  ladi_vton: vton\n", encoding="utf-8")
    utils.extra_config.load_extra_path_config(str(config))

    assert offered(nodes, "LoadEMASC", "emasc_name") == ["far.safetensors"]
    assert len(run("LoadEMASC", emasc_name="far.safetensors")) == 1


@pytest.mark.parametrize(
    ("loader", "name", "said"),
    [
        ("LoadTryOnModel", "unet_name", ["unet_vitonhd.pth", "3,464 MB", "1,732 MB", "download dresscode"]),
        ("LoadWarper", "warper_name", ["warping_dresscode.pth", "151 MB"]),
        ("LoadInversionAdapter", "adapter_name", ["inversion_adapter_vitonhd.pth", "545 MB"]),
        ("LoadEMASC", "emasc_name", ["emasc_vitonhd.pth", "32 MB"]),
    ],
)
def test_a_missing_file_says_which_file_where_how_large_and_whose(nodes, model_folder, loader, name, said):
    answer = nodes[f"LadiVTON_{loader}"].validate_inputs(**{name: "gone.pth"})
    for words in ["gone.pth", "models/ladi_vton", str(model_folder), "CC BY-NC 4.0", *said]:
        assert words in answer
    assert "nothing in models/ladi_vton" in nodes[f"LadiVTON_{loader}"].validate_inputs(**{name: ""})


def test_truncated_files_say_what_to_do(run, model_folder):
    whole = (EMBEDDED_DIR / "emasc.safetensors").read_bytes()
    (model_folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cut.safetensors.*download it again"):
        run("LoadEMASC", emasc_name="cut.safetensors")


def test_stable_diffusions_own_unet_is_named(run, module, model_folder):
    native = module("nodes.host.native")
    state = {
        "conv_in.weight": torch.zeros(320, 9, 3, 3), "time_embedding.linear_1.weight": torch.zeros(1),
        "down_blocks.0": torch.zeros(1),
    }  # fmt: skip
    with pytest.raises(ValueError, match="9 input channels.*inpainting.*31"):
        native.preset_of_unet(state, "sd2_inpainting.safetensors")


def test_own_prompts_take_one_dollar_for_all_words(run, models, scene, prepared):
    inputs = {name: getattr(models, name) for name in ("clip", "clip_vision", "adapter")} | {"garment": scene.garment}
    paper, _ = run("TextualInversionEncoder", **inputs)
    same, _ = run("TextualInversionEncoder", **inputs, prompt="a photo of a model wearing an upper body garment $")
    torch.testing.assert_close(paper[0][0], same[0][0])
    assert paper[0][0].shape == (2, 77, 64) and torch.equal(paper[0][0], prepared.positive[0][0])
    with pytest.raises(ValueError, match="has 3 '\\$'"):
        run("TextualInversionEncoder", **inputs, prompt="$ $ and $")


def test_text_encoder_and_tower_of_another_width_are_named(run, models, module, scene):
    inversion = module("nodes.inversion")
    with pytest.raises(ValueError, match="words are 64 wide, the inversion adapter writes 32"):
        inversion._check_width(models.clip, torch.zeros(1, 16, 32))
    seen = {"last_hidden_state": torch.zeros(1, 2, 8)}
    narrow = SimpleNamespace(image_size=224, encode_image=lambda *args, **options: seen)
    with pytest.raises(ValueError, match="features 8 wide"):
        inversion._look_at(narrow, torch.zeros(1, 3, 8, 8), models.adapter)


def test_saved_pseudo_words_work_in_any_prompt(run, models, prepared, tmp_path):
    import folder_paths

    before = folder_paths.folder_names_and_paths["embeddings"]
    folder_paths.folder_names_and_paths["embeddings"] = ([str(tmp_path)], before[1])
    try:
        (words,) = run("SavePseudoWords", pseudo_words=prepared.pseudo_words[:1], name="shirt")
    finally:
        folder_paths.folder_names_and_paths["embeddings"] = before
    assert words == "embedding:shirt"
    tokenizer = models.clip.tokenizer.clip_h
    tokenizer.embedding_directory, kept = str(tmp_path), tokenizer.embedding_directory
    try:
        with torch.inference_mode():
            tokens = models.clip.tokenize(f"a photo of a model wearing an upper body garment {words}")
            encoded = models.clip.encode_from_tokens(tokens)
    finally:
        tokenizer.embedding_directory = kept
    torch.testing.assert_close(encoded, prepared.positive[0][0][:1], rtol=1e-4, atol=1e-5)


def test_inputs_on_different_devices_meet_on_the_firsts(module):
    first, second = torch.zeros(2, 3, device="meta"), torch.zeros(1, 3)
    batch = module("nodes.tensors").common_batch(first=first, second=second)
    assert batch["second"].device.type == "meta" and batch["second"].shape == (2, 3)


def test_garment_on_white_at_the_models_size(run, scene):
    mask = torch.zeros(128, 96)
    mask[32:96, 24:72] = 1
    white, _ = run("PrepareGarment", garment=scene.garment, mask=mask, width=48, height=64)
    assert white.shape == (2, 64, 48, 3) and torch.all(white[:, :8] > 0.99)
    inverted, _ = run("PrepareGarment", garment=scene.garment, mask=1 - mask, invert_mask=True, width=48, height=64)
    assert torch.equal(white, inverted)
    with pytest.raises(ValueError, match="divisible by 8"):
        run("PrepareGarment", garment=scene.garment, width=50, height=64)
    with pytest.raises(ValueError, match="'mask' is 64 x 64"):
        run("PrepareGarment", garment=scene.garment, mask=torch.ones(1, 64, 64))


def test_an_open_collar_shows_no_inside_of_tops_and_dresses(run):
    rows, columns = torch.meshgrid(torch.arange(256.0), torch.arange(192.0), indexing="ij")
    cloth = ((columns - 95.5).abs() < 70) & (rows > 40) & (rows < 220)
    inside = cloth & (((columns - 95.5) / 24) ** 2 + ((rows - 40) / 20) ** 2 < 1)
    garment = torch.where(inside, 0.3, torch.where(cloth, 0.6, 1.0))[None, ..., None].expand(1, 256, 192, 3)
    given = {"garment": garment, "width": 192, "height": 256}
    whole, _ = run("PrepareGarment", **given)
    opened, large = run("PrepareGarment", **given, open_collar=True)
    white = (opened == 1).all(-1)[0]
    assert (white & inside).sum() > 0.9 * inside.sum() and (white & cloth & ~inside).sum() < 0.1 * inside.sum()
    assert torch.equal(opened[:, 100:], whole[:, 100:]) and torch.equal(large, opened)
    assert torch.equal(run("PrepareGarment", **given, open_collar=True, garment_category="lower_body")[0], whole)


def test_warped_garments_do_not_depend_on_their_batch(run, models, scene, prepared):
    warped, _, grid, spline = run(
        "GarmentWarper", warper=models.warper, garment=scene.garment[1:], agnostic=prepared.agnostic[1:],
        pose_map=prepared.pose_map[1:],
    )  # fmt: skip
    assert torch.equal(warped, prepared.warped[1:]) and grid.shape == warped.shape
    assert spline.shape == (*warped.shape[:3], 2)


def test_a_garment_that_cannot_be_dressed_part_by_part_is_told(nodes, models, scene, prepared):
    def said(**changed) -> list[str]:
        given = {"garment": scene.garment[:1], "agnostic": prepared.agnostic[:1], "pose_map": prepared.pose_map[:1]}
        return nodes["LadiVTON_GarmentWarper"].execute(warper=models.warper, **given | changed).ui["text"]

    nobody = torch.zeros_like(prepared.pose_map[:1])
    assert not said(pose_map=nobody), "the drawn people's spline asks for no joints"
    assert any("bent as a whole" in line for line in said(pose_map=nobody, photograph=True))
    assert any("lie flat on white" in line for line in said(garment=scene.garment[:1] * 0 + 1, photograph=True))


@pytest.fixture
def every_folder(tmp_path, nodes, monkeypatch):
    """An empty models folder: part -> where its published file belongs."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    folders = {"unet": "ladi_vton", "warping": "ladi_vton", "inversion_adapter": "ladi_vton", "emasc": "ladi_vton",
               "vae": "vae", "text_encoder": "text_encoders", "vision": "clip_vision"}  # fmt: skip
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})  # or it is asked for folders that are gone
    for name in {*folders.values(), "diffusion_models"}:
        (tmp_path / name).mkdir()
        extensions = folder_paths.folder_names_and_paths[name][1]
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, ([str(tmp_path / name)], extensions))
    return {part: tmp_path / name for part, name in folders.items()}


NAMES = {
    "unet": "unet_dresscode.pth", "warping": "warping_dresscode.pth",
    "inversion_adapter": "inversion_adapter_dresscode.pth", "emasc": "emasc_dresscode.pth",
    "vae": "sd2_inpainting_vae.safetensors", "text_encoder": "sd2_inpainting_text_encoder.safetensors",
    "vision": "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors",
}  # fmt: skip


def weights_of(loaded: tuple) -> list[torch.Tensor]:
    """One tensor of each of the seven models."""
    model, clip, vae, vision, *own = loaded
    networks = [model.model, clip.cond_stage_model, vae.first_stage_model, vision.model, *(part.module for part in own)]
    return [next(network.parameters()) for network in networks]


def test_one_loader_gives_the_embedded_models_or_the_published_files_once_they_are_there(run, every_folder, models):
    embedded = run("LoadModels")
    for own, same in zip(weights_of(embedded), weights_of(tuple(vars(models).values())), strict=True):
        assert own.dtype == same.dtype and torch.equal(own, same)
    for part, folder in every_folder.items():
        (folder / "mine").mkdir(exist_ok=True)  # in a folder of one's own, and converted
        target = folder / "mine" / f"{Path(NAMES[part]).stem}.safetensors"
        shutil.copy(EMBEDDED_DIR / f"{part}.safetensors", target)
    found = run("LoadModels", models="Dress Code", precision="float32")
    for own, same in zip(weights_of(found), weights_of(embedded), strict=True):
        assert torch.equal(own, same)


@pytest.fixture
def met(nodes, module, monkeypatch):
    """`met("LoadModels", graph)`: what the node of that type raises in that running graph (API format)."""
    from comfy_execution.graph import DynamicPrompt
    from comfy_execution.utils import CurrentNodeContext

    def run(kind: str, graph: dict) -> Exception:
        node_class = nodes[f"LadiVTON_{kind}"]
        (here,) = (key for key, node in graph.items() if node["class_type"] == f"LadiVTON_{kind}")
        monkeypatch.setattr(node_class, "hidden", SimpleNamespace(dynprompt=DynamicPrompt(graph)))
        inputs = {name: value for name, value in graph[here]["inputs"].items() if not isinstance(value, list)}
        photo = {"photo": torch.zeros(1, 8, 8, 3)} if kind == "FindPerson" else {}
        refusals = (ValueError, FileNotFoundError, ImportError)
        with CurrentNodeContext("prompt", here, 0), pytest.raises(refusals) as refused:
            node_class.execute(**photo | inputs)
        return refused.value

    return run


def photo_graph(models: object = "Dress Code", *, first: str = "FindPerson") -> dict:
    """The two nodes of a photo template that need files, one of them first, among others."""
    nodes = {
        "photo": {"class_type": "LoadImage", "inputs": {"image": "me.png"}},
        "FindPerson": {"class_type": "LadiVTON_FindPerson", "inputs": {"photo": ["photo", 0]}},
        "LoadModels": {"class_type": "LadiVTON_LoadModels", "inputs": {"models": models}},
    }
    return {first: nodes.pop(first)} | nodes


@pytest.mark.parametrize("first", ["FindPerson", "LoadModels"])
def test_whichever_node_runs_first_names_what_both_lack(met, every_folder, first):
    alone = {kind: str(met(kind, {kind: photo_graph()[kind]})).split("\n") for kind in ("FindPerson", "LoadModels")}
    error = met(first, photo_graph(first=first))
    assert type(error) is type(met(first, {first: photo_graph()[first]}))
    named, command, *rest = str(error).split("\n")
    assert named.startswith(alone[first][0]), "its own comes first"
    for own, theirs, *advice in alone.values():
        assert own in named and theirs.partition(": ")[2] in command
        assert all(line in rest for line in advice)
    assert all(name in named for name in (*NAMES.values(), *GRAPHS)) and "' as well: " in named
    assert command.count("start.py") == 2 and " && " in command


def test_where_nothing_else_is_missing_nothing_more_is_said(met, every_folder):
    alone = {kind: str(met(kind, {kind: photo_graph()[kind]})) for kind in ("FindPerson", "LoadModels")}
    for models in ("embedded", ["elsewhere", 0]):
        assert str(met("FindPerson", photo_graph(models))) == alone["FindPerson"]
    twice = photo_graph("embedded") | {"again": {"class_type": "LadiVTON_LoadModels", "inputs": {"models": "Dress"}}}
    assert str(met("FindPerson", twice)) == alone["FindPerson"]
    pose = every_folder["unet"] / "pose"
    pose.mkdir()
    for name in GRAPHS:
        (pose / name).touch()
    pytest.importorskip("ai_edge_litert")
    assert str(met("LoadModels", photo_graph())) == alone["LoadModels"]


def test_one_error_names_every_missing_file_with_its_folder_and_one_command_for_all(nodes, run, every_folder):
    loader = nodes["LadiVTON_LoadModels"]
    before = loader.fingerprint_inputs(models="Dress Code")
    with pytest.raises(ValueError, match="^7 of the 7") as refused:
        run("LoadModels", models="Dress Code")
    first, command, *rest = str(refused.value).split("\n")
    fetched = f'checkpoints download dresscode sd2 --models "{every_folder["vae"].parent}"'  # wherever the pack lies
    assert all(name in first for name in NAMES.values()) and command.endswith(fetched)
    for part, name in NAMES.items():
        assert any(name in line and str(every_folder[part]) in line and "licence" in line for line in rest)
    shutil.copy(EMBEDDED_DIR / "vae.safetensors", every_folder["vae"] / NAMES["vae"])
    with pytest.raises(ValueError, match="^6 of the 7") as refused:
        run("LoadModels", models="Dress Code")
    assert NAMES["vae"] not in str(refused.value)
    for part in NAMES.keys() - {"vae"}:
        shutil.copy(EMBEDDED_DIR / f"{part}.safetensors", every_folder[part] / f"{Path(NAMES[part]).stem}.safetensors")
    assert loader.fingerprint_inputs(models="Dress Code") != before
