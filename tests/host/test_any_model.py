"""Templates for others' models: each fits the schemas of the ComfyUI it is for, and runs on random weights.

The weights have the layouts that ComfyUI's own loaders tell the models by, at true widths. Where a model is too large
it has one block of each kind, and where a text encoder is (Qwen, T5) words are random numbers of its width.
"""

from __future__ import annotations

import io
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hosting.client import ComfyClient, PromptRejected
from hosting.graph import the, with_value
from hosting.places import SAMPLES
from hosting.server import ComfyServer
from hosting.shipped import NEWER, STOCK_MODELS, TITLES, page_file, queue_file
from PIL import Image

FOR_ANY = [name for name in TITLES if name.startswith("any_") or name in STOCK_MODELS]
WORDS = """
import torch


class RandomWords:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"width": ("INT", {"default": 8, "max": 99999}), "pooled": ("INT", {"max": 99999})}}

    RETURN_TYPES, FUNCTION, CATEGORY = ("CLIP",), "load", "stand-in"

    def load(self, width, pooled):
        self.width, self.pooled = width, pooled
        return (self,)

    def tokenize(self, text, **_):
        return text

    def encode_from_tokens_scheduled(self, tokens):
        numbers = torch.Generator().manual_seed(len(tokens))
        pooled = {"pooled_output": torch.randn(1, self.pooled, generator=numbers)} if self.pooled else {}
        return [[torch.randn(1, 16, self.width, generator=numbers), pooled]]


NODE_CLASS_MAPPINGS = {"RandomWords": RandomWords}
"""


PIXELS = {
    "double_z": True, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128, "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0,
}  # fmt: skip
"""Sizes of the encoder and decoder that Stable Diffusion, FLUX and FLUX.2 share."""


def graph(name: str) -> dict:
    return json.loads(queue_file(name).read_text("utf-8"))


def files_of(name: str) -> dict[str, str]:
    """File -> folder of everything that the page says a template needs."""
    nodes = json.loads(page_file(name).read_text("utf-8"))["nodes"]
    return {file["name"]: file["directory"] for node in nodes for file in node["properties"].get("models", ())}


def test_the_templates_of_others_models_are_those_that_need_their_files():
    assert {name for name in TITLES if files_of(name)} == set(STOCK_MODELS)


@pytest.mark.parametrize("name", FOR_ANY)
def test_comfyui_finds_no_fault_but_the_missing_files(client, name, skip_if_too_old):
    skip_if_too_old(name, client)
    wanted = files_of(name)
    if not wanted:
        client.cancel(client.queue(graph(name)))
        return
    with pytest.raises(PromptRejected) as told:
        client.queue(graph(name))
    faults = [error for node in told.value.node_errors.values() for error in node["errors"]]
    assert {error["type"] for error in faults} == {"value_not_in_list"}
    assert {error["extra_info"]["received_value"] for error in faults} == wanted.keys()


@pytest.fixture(scope="module")
def stand_in(comfy_host, pose_graphs):
    """A server of its own with BlazePose and a node that gives random words; `models` is its folder."""

    class WithWords(ComfyServer):
        def _start(self) -> None:
            folder = self.base / "custom_nodes" / "random_words"
            folder.mkdir(parents=True)
            (folder / "__init__.py").write_text(WORDS, encoding="utf-8")
            super()._start()

    with WithWords(comfy_host) as started:
        shutil.copytree(pose_graphs, started.base / "models" / "ladi_vton" / "pose", dirs_exist_ok=True)
        yield started


@pytest.fixture
def random_files(stand_in, comfyui):
    """`random_files(name, {file: {prefix: module}})`: files with the modules' names and shapes, gone afterwards."""
    import comfy.ops

    pool, written = torch.randn(1 << 22), []

    def numbers(key: str, shape: torch.Size) -> torch.Tensor:
        """Of a size that keeps what goes through as large as it was."""
        if key.endswith(("bias", "running_mean")):
            return torch.zeros(shape)
        if len(shape) < 2 or key.endswith("gamma"):
            return torch.ones(shape)
        count, inputs = math.prod(shape), math.prod(shape[1:])
        return pool.repeat(-(-count // len(pool)))[:count].view(shape) / math.sqrt(inputs)

    def write(name: str, **models) -> None:
        for file, folder in files_of(name).items():
            if file not in models:
                continue
            shapes = {}
            for prefix, make in models[file].items():
                with torch.device("meta"):
                    module = make(dtype=torch.float16, device="meta", operations=comfy.ops.disable_weight_init)
                shapes |= {prefix + key: value.shape for key, value in module.state_dict().items()}
            written.append(stand_in.base / "models" / folder / file)
            written[-1].parent.mkdir(parents=True, exist_ok=True)
            save(written[-1], shapes)

    def save(path: Path, shapes: dict[str, torch.Size]) -> None:
        """As safetensors does, one tensor after the other: the largest model has 1.8 GB."""
        head, end = {}, 0
        for key, shape in shapes.items():
            start, end = end, end + 2 * math.prod(shape)
            head[key] = {"dtype": "F16", "shape": [*shape], "data_offsets": [start, end]}
        text = json.dumps(head).encode()
        with path.open("wb") as written_to:
            written_to.write(len(text).to_bytes(8, "little") + text)
            for key, shape in shapes.items():
                written_to.write(numbers(key, shape).half().numpy().tobytes())

    yield write
    for file in written:
        file.unlink()


def small(workflow: dict) -> dict:
    """A window of 192 x 256 and one step without guidance; no border, and nothing random is sought in the photo.

    SAM 3's surest is taken however unsure it is.
    """
    values = {"width": 192, "height": 256, "steps": 1, "cfg": 1.0, "guidance": 1.0, "feather": 0, "register": False,
              "threshold": 0.0, "refine_iterations": 0}  # fmt: skip
    for name in values.keys() & {name for node in workflow.values() for name in node["inputs"]}:
        workflow = with_value(workflow, name, values[name])
    return workflow


def made(server, workflow: dict) -> None:
    """Run it: the result has the photo's size, differs where it was taken, and is the photo's elsewhere to the bit."""
    client = ComfyClient(server.url)
    taken = {"class_type": "MaskPreview", "inputs": {"mask": [the(workflow, "LadiVTON_StitchPerson"), 1]}}
    run = client.run(workflow | {"taken": taken}).or_raise()
    (result,), (mask,) = (run.outputs[key]["images"] for key in (the(workflow, "SaveImage"), "taken"))
    files = [SAMPLES / "person.png", *(io.BytesIO(client.view(file)) for file in (result, mask))]
    photo, result, mask = (np.asarray(Image.open(file).convert("RGB")).astype(int) for file in files)
    assert photo.shape == result.shape == mask.shape
    changed, taken = (photo != result).any(-1), mask[..., 0] > 0
    assert taken.any() and not taken.all()  # random joints stand anywhere
    assert not changed[~taken].any() and changed[taken].mean() > 0.5


def vae(**_):
    """Stable Diffusion's."""
    from comfy.ldm.models.autoencoder import AutoencoderKL

    return AutoencoderKL(embed_dim=4, ddconfig=PIXELS | {"z_channels": 4})


def stable_diffusion_inpainting(**how):
    """Stable Diffusion 1.5's UNet with nine input channels."""
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    return UNetModel(
        image_size=32, in_channels=9, out_channels=4, model_channels=320, num_res_blocks=[2, 2, 2, 2], num_heads=8,
        channel_mult=(1, 2, 4, 4), use_spatial_transformer=True, transformer_depth=[1, 1, 1, 1, 1, 1, 0, 0],
        transformer_depth_middle=1, transformer_depth_output=[1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], context_dim=768,
        use_linear_in_transformer=False, legacy=False, **how,
    )  # fmt: skip


def clip_l(**how):
    from comfy.clip_model import CLIPTextModel

    sizes = {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072,
             "hidden_act": "quick_gelu", "max_position_embeddings": 77, "vocab_size": 49408, "eos_token_id": 2,
             "layer_norm_eps": 1e-5, "projection_dim": 768}  # fmt: skip
    return CLIPTextModel(sizes, **how)


def flux(**how):
    """FLUX Fill with one block of each kind."""
    from comfy.ldm.flux.model import Flux

    sizes = {"in_channels": 96, "out_channels": 16, "vec_in_dim": 768, "context_in_dim": 4096, "hidden_size": 3072,
             "mlp_ratio": 4.0, "num_heads": 24, "depth": 1, "depth_single_blocks": 1, "axes_dim": [16, 56, 56],
             "theta": 10000, "patch_size": 2, "qkv_bias": True, "guidance_embed": True}  # fmt: skip
    return Flux(**sizes | ({"txt_ids_dims": []} if "txt_ids_dims" in flux_fields() else {}), **how)


def flux_fields() -> set[str]:
    from comfy.ldm.flux.model import FluxParams

    return set(FluxParams.__dataclass_fields__)


def flux_vae(**_):
    from comfy.ldm.models.autoencoder import AutoencodingEngine

    model, sizes = "comfy.ldm.modules.diffusionmodules.model.", PIXELS | {"z_channels": 16}
    return AutoencodingEngine(
        regularizer_config={"target": "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"},
        encoder_config={"target": f"{model}Encoder", "params": sizes},
        decoder_config={"target": f"{model}Decoder", "params": sizes},
    )


def klein(**how):
    """FLUX.2 Klein of 4 B with one block of each kind."""
    from comfy.ldm.flux.model import Flux

    return Flux(
        in_channels=128, out_channels=128, vec_in_dim=None, context_in_dim=7680, hidden_size=3072, mlp_ratio=3.0,
        num_heads=24, depth=1, depth_single_blocks=1, axes_dim=[32, 32, 32, 32], theta=2000, patch_size=1,
        qkv_bias=False, guidance_embed=False, txt_ids_dims=[3], global_modulation=True, mlp_silu_act=True,
        ops_bias=False, **how,
    )  # fmt: skip


def klein_vae(**_):
    from comfy.ldm.models.autoencoder import AutoencoderKL

    return AutoencoderKL(embed_dim=32, ddconfig=PIXELS | {"z_channels": 32, "batch_norm_latent": True})


def qwen(**how):
    """Qwen Image Edit with one block."""
    from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel

    return QwenImageTransformer2DModel(num_layers=1, **how)


def qwen_vae(**_):
    """Narrower than Qwen's (96): the node encodes pictures of a million pixels, which takes a CPU minutes."""
    from comfy.ldm.wan.vae import WanVAE

    return WanVAE(dim=16, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[],
                  temperal_downsample=[False, True, True], dropout=0.0)  # fmt: skip


def siglip(**how):
    from comfy.clip_model import CLIPVision

    sizes = {"num_channels": 3, "hidden_act": "gelu_pytorch_tanh", "hidden_size": 1152, "image_size": 384,
             "intermediate_size": 4304, "model_type": "siglip_vision_model", "num_attention_heads": 16,
             "num_hidden_layers": 27, "patch_size": 14}  # fmt: skip
    return CLIPVision(sizes, **how)


def redux(dtype, device, **_):
    from comfy.ldm.flux.redux import ReduxImageEncoder

    return ReduxImageEncoder(dtype=dtype, device=device)


def sdpose(**how):
    """SDPose: Stable Diffusion 2's UNet as Lotus has it, with two of its four levels, and a head for heat maps."""
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    return UNetModel(
        image_size=32, in_channels=4, out_channels=4, model_channels=320, num_res_blocks=[1, 1], channel_mult=(1, 2),
        num_head_channels=64, use_spatial_transformer=True, transformer_depth=[1, 1], transformer_depth_middle=1,
        transformer_depth_output=[1, 1, 1, 1], context_dim=1024, num_classes="sequential", adm_in_channels=4,
        use_linear_in_transformer=True, legacy=False, heatmap_head=True, **how,
    )  # fmt: skip


def sam(**how):
    from comfy.ldm.sam3.detector import SAM3Model

    return SAM3Model(image_model="SAM31", **how)


def sam_words(**_):
    """SAM 3's text encoder, by OpenCLIP's names; without a projection, for which ComfyUI's class has another size."""
    width = 1024

    def block() -> torch.nn.Module:
        attention = torch.nn.MultiheadAttention(width, 16)
        wide = {"c_fc": torch.nn.Linear(width, 4 * width), "c_proj": torch.nn.Linear(4 * width, width)}
        parts = {"ln_1": torch.nn.LayerNorm(width), "attn": attention, "ln_2": torch.nn.LayerNorm(width)}
        return torch.nn.ModuleDict(parts | {"mlp": torch.nn.ModuleDict(wide)})

    encoder = torch.nn.Module()
    encoder.positional_embedding = torch.nn.Parameter(torch.empty(32, width))
    encoder.token_embedding, encoder.ln_final = torch.nn.Embedding(49408, width), torch.nn.LayerNorm(width)
    encoder.transformer = torch.nn.ModuleDict({"resblocks": torch.nn.ModuleList(block() for _ in range(24))})
    return encoder


def birefnet(**how):
    from comfy.background_removal.birefnet import BiRefNet

    return BiRefNet(**how)


MODELS = {
    "any_inpainting": {
        "512-inpainting-ema.safetensors": {
            "model.diffusion_model.": stable_diffusion_inpainting, "first_stage_model.": vae,
            "cond_stage_model.transformer.": clip_l,
        },
    },
    "any_flux_fill": {
        "flux1-fill-dev.safetensors": {"": flux}, "ae.safetensors": {"": flux_vae},
        "sigclip_vision_patch14_384.safetensors": {"vision_model.": siglip}, "flux1-redux-dev.safetensors": {"": redux},
    },
    "any_qwen_edit": {
        "qwen_image_edit_2509_fp8_e4m3fn.safetensors": {"": qwen}, "qwen_image_vae.safetensors": {"": qwen_vae},
    },
    "any_klein": {"flux-2-klein-4b-fp8.safetensors": {"": klein}, "flux2-vae.safetensors": {"": klein_vae}},
    "tryon_photo_comfyui": {
        "sdpose_wholebody_fp16.safetensors": {"model.diffusion_model.": sdpose, "first_stage_model.": vae},
        "sam3.1_multiplex_fp16.safetensors": {"": sam, "detector.backbone.language_backbone.encoder.": sam_words},
        "birefnet.safetensors": {"": birefnet},
    },
}  # fmt: skip
"""Workflow -> file -> prefix of the names in it -> what makes the module."""
TOO_LARGE = {
    "any_flux_fill": ("DualCLIPLoader", 4096, 768), "any_qwen_edit": ("CLIPLoader", 3584, 0),
    "any_klein": ("CLIPLoader", 7680, 0),
}  # fmt: skip
"""Workflow -> loader of a text encoder of gigabytes, and the widths of what it gives."""


@pytest.mark.soak
@pytest.mark.parametrize("name", MODELS)
def test_it_runs_on_random_weights_and_changes_nothing_but_what_it_takes(
    stand_in, random_files, comfyui, name, skip_if_too_old
):
    skip_if_too_old(name, ComfyClient(stand_in.url))
    if name == "any_klein" and "txt_ids_dims" not in flux_fields():
        pytest.skip(f"this ComfyUI knows no Klein: tried with {NEWER[name]}")
    random_files(name, **MODELS[name])
    workflow = small(graph(name))
    if name in TOO_LARGE:
        kind, width, pooled = TOO_LARGE[name]
        workflow[the(workflow, kind)] = {"class_type": "RandomWords", "inputs": {"width": width, "pooled": pooled}}
    made(stand_in, workflow)
