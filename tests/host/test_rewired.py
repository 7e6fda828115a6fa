"""What artists rewire: the try-on beside ComfyUI's own samplers, patches and conditioning nodes, picture by picture.

Each rewiring that changes nothing gives Try-On Sampler's picture; each that changes something gives another one. At
96 x 128, on the embedded models. A dozen run always, all of them with `-m long` (`.ci/run`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hosting.graph import the, ui_to_api
from hosting.shipped import page_file
from safetensors.torch import save_file

Workflow = dict[str, Any]
SAMPLER, CONDITIONING, WORDS = "LadiVTON_TryOnSampler", "LadiVTON_TryOnConditioning", "LadiVTON_TextualInversionEncoder"
MODEL, CLIP, VAE = 0, 1, 2
"""Outputs of Load Embedded Try-On Models."""


def add(workflow: Workflow, key: str, class_type: str, **inputs: Any) -> list:
    """Add a node; its first output."""
    workflow[key] = {"class_type": class_type, "inputs": inputs}
    return [key, 0]


def between(workflow: Workflow, class_type: str, name: str, key: str, added: str, into: str, **inputs: Any) -> Workflow:
    """Put a node into the wire of one input of one node; `into` is where the added node takes it."""
    inputs_of = workflow[the(workflow, class_type)]["inputs"]
    inputs_of[name] = add(workflow, key, added, **{into: inputs_of[name]}, **inputs)
    return workflow


def patched(workflow: Workflow, class_type: str, **inputs: Any) -> Workflow:
    """A patch of the MODEL in front of the sampler."""
    return between(workflow, SAMPLER, "model", "patch", class_type, "model", **inputs)


def sampled_by(workflow: Workflow, class_type: str, **inputs: Any) -> Workflow:
    """Another sampler in the place of Try-On Sampler."""
    node = workflow[the(workflow, SAMPLER)]
    ours = node["inputs"]
    wires = {name: ours[name] for name in ("model", "positive", "negative")}
    node["class_type"], node["inputs"] = class_type, wires | {"latent_image": ours["latent"], "cfg": 1.5} | inputs
    return workflow


def ksampler(workflow: Workflow, sampler: str = "euler", scheduler: str = "sgm_uniform", **inputs: Any) -> Workflow:
    settings = {"seed": 1234, "steps": 4, "sampler_name": sampler, "scheduler": scheduler, "denoise": 1.0}
    return sampled_by(workflow, "KSampler", **settings | inputs)


def advanced(workflow: Workflow, start: int = 0, end: int = 4) -> Workflow:
    """KSamplerAdvanced, in two parts when it does not end at the end."""
    settings = {"noise_seed": 1234, "steps": 4, "sampler_name": "euler", "scheduler": "sgm_uniform"}
    first = settings | {"start_at_step": 0, "add_noise": "enable", "end_at_step": end}
    sampled_by(workflow, "KSamplerAdvanced", **first, return_with_leftover_noise="enable" if end < 4 else "disable")
    if end < 4:
        key = the(workflow, "KSamplerAdvanced")
        rest = {"start_at_step": end, "end_at_step": 10000, "add_noise": "disable", "latent_image": [key, 0]}
        workflow["rest"] = copy.deepcopy(workflow[key])
        workflow["rest"]["inputs"] |= rest | {"return_with_leftover_noise": "disable"}
        workflow[the(workflow, "LadiVTON_EMASCDecoder")]["inputs"]["samples"] = ["rest", 0]
    return workflow


def custom(workflow: Workflow, cut: int = 0) -> Workflow:
    """SamplerCustomAdvanced with the pack's SIGMAS, SAMPLER and NOISE, whole or cut in two."""
    ours = workflow[the(workflow, SAMPLER)]["inputs"]
    wires = {name: ours[name] for name in ("model", "positive", "negative")}
    add(workflow, "schedule", "LadiVTON_PaperSchedule", model=ours["model"], steps=3, denoise=1.0)
    guider = add(workflow, "guider", "CFGGuider", **wires, cfg=1.5)
    sigmas, part = ["schedule", 0], {"guider": guider, "sampler": ["schedule", 1]}
    if cut:
        sigmas = add(workflow, "cut", "SplitSigmas", sigmas=sigmas, step=cut)
    node = workflow[the(workflow, SAMPLER)]
    noise = add(workflow, "noise", "LadiVTON_PaperNoise", seed=ours["seed"])
    node["class_type"] = "SamplerCustomAdvanced"
    node["inputs"] = part | {"noise": noise, "sigmas": sigmas, "latent_image": ours["latent"]}
    if cut:
        first = [the(workflow, "SamplerCustomAdvanced"), 0]
        silence = add(workflow, "silence", "DisableNoise")
        rest = part | {"noise": silence, "sigmas": ["cut", 1], "latent_image": first}
        workflow[the(workflow, "LadiVTON_EMASCDecoder")]["inputs"]["samples"] = add(
            workflow, "rest", "SamplerCustomAdvanced", **rest
        )
    return workflow


def merged(workflow: Workflow, ratio: float) -> Workflow:
    """The model merged with a copy of itself that a LoRA has changed."""
    loader = [the(workflow, "LadiVTON_LoadEmbedded"), MODEL]
    other = add(workflow, "other", "LoraLoaderModelOnly", model=loader, lora_name="rewired.safetensors",
                strength_model=1.0)  # fmt: skip
    return between(workflow, SAMPLER, "model", "patch", "ModelMergeSimple", "model1", model2=other, ratio=ratio)


def averaged(workflow: Workflow, strength: float) -> Workflow:
    """The garment's words averaged with a prompt that knows nothing of them."""
    clip = workflow[the(workflow, WORDS)]["inputs"]["clip"]
    plain = add(workflow, "plain", "CLIPTextEncode", clip=clip, text="a photo of a model")
    wires = {"conditioning_from": plain, "conditioning_to_strength": strength}
    return between(workflow, CONDITIONING, "positive", "average", "ConditioningAverage", "conditioning_to", **wires)


def combined(workflow: Workflow) -> Workflow:
    """The conditioning combined with itself, which averages two equal predictions."""
    wire = workflow[the(workflow, SAMPLER)]["inputs"]["positive"]
    return between(workflow, SAMPLER, "positive", "both", "ConditioningCombine", "conditioning_1", conditioning_2=wire)


def embedded(workflow: Workflow) -> Workflow:
    """The garment's words from a saved embedding, in the paper's prompt."""
    inversion = the(workflow, WORDS)
    saved = add(workflow, "save", "LadiVTON_SavePseudoWords", pseudo_words=[inversion, 1], name="rewired",
                overwrite=True)  # fmt: skip
    text = add(workflow, "text", "StringConcatenate", string_b=saved, delimiter=" ",
               string_a="a photo of a model wearing an upper body garment")  # fmt: skip
    prompt = add(workflow, "prompt", "CLIPTextEncode", clip=workflow[inversion]["inputs"]["clip"], text=text)
    workflow[the(workflow, CONDITIONING)]["inputs"]["positive"] = prompt
    return workflow


def controlled(workflow: Workflow, strength: float) -> Workflow:
    """A ControlNet (a Control-LoRA of the embedded UNet) on the person's picture."""
    net = add(workflow, "net", "ControlNetLoader", control_net_name="rewired.safetensors")
    ours, picture = workflow[the(workflow, SAMPLER)]["inputs"], workflow[the(workflow, CONDITIONING)]["inputs"]
    wires = {"positive": ours["positive"], "negative": ours["negative"], "control_net": net, "image": picture["person"]}
    add(workflow, "apply", "ControlNetApplyAdvanced", **wires, strength=strength, start_percent=0.0, end_percent=1.0)
    ours |= {"positive": ["apply", 0], "negative": ["apply", 1]}
    return workflow


def lora(workflow: Workflow, strength: float) -> Workflow:
    return patched(workflow, "LoraLoaderModelOnly", lora_name="rewired.safetensors", strength_model=strength)


def repeated(workflow: Workflow) -> Workflow:
    """The LATENT twice: two pictures, the first as before."""
    return between(workflow, SAMPLER, "latent", "twice", "RepeatLatentBatch", "samples", amount=2)


NEUTRAL: dict[str, tuple[Callable[[Workflow], Workflow], float]] = {
    "SamplerCustomAdvanced": (custom, 0),
    "SamplerCustomAdvanced, cut": (lambda w: custom(w, cut=1), 1),
    "LoRA at 0": (lambda w: lora(w, 0.0), 0),
    "ControlNet at 0": (lambda w: controlled(w, 0.0), 0),
    # It acts on levels two and four times as wide as the first; the embedded UNet has none.
    "FreeU": (lambda w: patched(w, "FreeU_V2", b1=1.3, b2=1.4, s1=0.9, s2=0.2), 0),
    "RescaleCFG at 0": (lambda w: patched(w, "RescaleCFG", multiplier=0.0), 1),
    "PAG at 0": (lambda w: patched(w, "PerturbedAttentionGuidance", scale=0.0), 0),
    "SAG at 0": (lambda w: patched(w, "SelfAttentionGuidance", scale=0.0, blur_sigma=2.0), 0),
    "Try-On Speed": (
        lambda w: patched(w, "LadiVTON_TryOnSpeed", guidance_start=0.0, guidance_end=1.0, cache_prompt=True),
        0,
    ),
    "merge at 1": (lambda w: merged(w, 1.0), 1),
    "ConditioningAverage at 1": (lambda w: averaged(w, 1.0), 1),
    "ConditioningCombine": (combined, 1),
    "embedding": (embedded, 1),
    "RepeatLatentBatch": (repeated, 1),
}
"""Rewirings that give Try-On Sampler's picture, and by how many of 255 a pixel may differ."""

CHANGING: dict[str, Callable[[Workflow], Workflow]] = {
    "LoRA": lambda w: lora(w, 1.0),
    "ControlNet": lambda w: controlled(w, 1.0),
    "RescaleCFG": lambda w: patched(w, "RescaleCFG", multiplier=1.0),
    "PAG": lambda w: patched(w, "PerturbedAttentionGuidance", scale=3.0),
    "SAG": lambda w: patched(w, "SelfAttentionGuidance", scale=1.0, blur_sigma=2.0),
    "Try-On Speed": lambda w: patched(
        w, "LadiVTON_TryOnSpeed", guidance_start=0.0, guidance_end=0.3, cache_prompt=True
    ),
    "merge": lambda w: merged(w, 0.5),
    "ConditioningAverage": lambda w: averaged(w, 0.0),
}
"""Rewirings that change the picture, and leave it one."""

SAMPLERS = [
    "euler", "euler_ancestral", "heun", "dpm_2", "lms", "dpmpp_2m", "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde",
    "ddim", "uni_pc", "lcm", "ipndm", "deis", "res_multistep", "gradient_estimation", "er_sde", "ddpm",
]  # fmt: skip
QUICK = {
    "SamplerCustomAdvanced", "SamplerCustomAdvanced, cut", "ConditioningCombine", "embedding", "RepeatLatentBatch",
    "LoRA", "ControlNet", "FreeU", "PAG", "euler", "dpmpp_2m", "KSamplerAdvanced",
}  # fmt: skip
"""What `make test` runs."""


def marked(names) -> list:
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in names]


@pytest.fixture(scope="module")
def files(comfy_server, repository):
    """A LoRA and a Control-LoRA of the embedded UNet, random and small."""
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int, scale: float) -> torch.Tensor:
        return torch.randn(*shape, generator=draw) * scale

    layer = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_v"
    parts = {"lora_up": normal(128, 4, scale=1.0), "lora_down": normal(4, 64, scale=1.0)}
    change = {f"{layer}.{part}.weight": value for part, value in parts.items()}
    control = {"lora_controlnet": torch.zeros(0), "input_blocks.0.0.weight": normal(128, 4, 3, 3, scale=0.1)}
    widths = [3, 16, 16, 32, 32, 96, 96, 256, 128]
    for place, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
        control[f"input_hint_block.{2 * place}.weight"] = normal(after, before, 3, 3, scale=(before * 9) ** -0.5)
        control[f"input_hint_block.{2 * place}.bias"] = torch.zeros(after)
    for name in (*(f"zero_convs.{block}.0" for block in range(6)), "middle_block_out.0"):
        control[f"{name}.weight"] = normal(128, 128, 1, 1, scale=0.05)
        control[f"{name}.bias"] = torch.zeros(128)
    for folder, state in (("loras", change), ("controlnet", control)):
        place = comfy_server.base / "models" / folder
        place.mkdir(parents=True, exist_ok=True)
        save_file(state, place / "rewired.safetensors")


@pytest.fixture(scope="module")
def rewired(small, files):
    """`rewired(change)`: the small workflow after a change."""
    return lambda change: change(copy.deepcopy(small))


@pytest.fixture(scope="module")
def plain(shown, small) -> np.ndarray:
    """Try-On Sampler's own picture; ComfyUI's cache keeps the last run's results alone."""
    return shown(small)


@pytest.mark.parametrize("name", marked(NEUTRAL))
def test_what_changes_nothing_gives_the_same_picture(shown, rewired, plain, name):
    change, bound = NEUTRAL[name]
    assert np.abs(shown(rewired(change))[:1] - plain).max() <= bound


@pytest.mark.parametrize("name", marked(CHANGING))
def test_what_changes_something_gives_another_picture(shown, rewired, plain, name):
    picture = shown(rewired(CHANGING[name]))
    assert np.abs(picture - plain).mean() > 0.05 and np.abs(picture - plain).max() > 3
    corner = (slice(None), slice(0, 16), slice(0, 16))
    assert np.abs(picture[corner] - plain[corner]).mean() < 12, "the background is not the person's any more"


@pytest.mark.parametrize("name", marked(SAMPLERS))
def test_a_stock_sampler_gives_nearly_the_same_picture(shown, rewired, plain, name):
    assert np.abs(shown(rewired(lambda w: ksampler(w, name))) - plain).mean() < 3


@pytest.mark.parametrize("name", marked(["KSamplerAdvanced"]))
def test_a_split_sampler_gives_the_whole_ones_picture(shown, rewired, name):
    whole = shown(rewired(lambda w: ksampler(w)))
    assert np.abs(shown(rewired(advanced)) - whole).max() == 0
    assert np.abs(shown(rewired(lambda w: advanced(w, end=2))) - whole).max() <= 1


def test_a_repeated_latent_gives_another_picture_each(shown, rewired):
    first, second = shown(rewired(repeated))
    assert np.abs(first - second).mean() > 0.1


def with_node(page: Workflow, kind: str, into: str, name: str, widgets: list) -> dict:
    """Put a node of one wire in, one wire out before an input of a node on the page; the new node."""
    target = next(node for node in page["nodes"] if node["type"] == into)
    taken = next(slot for slot in target["inputs"] if slot["name"] == name)
    wire = next(link for link in page["links"] if link[0] == taken["link"])
    added, leads = page["last_node_id"] + 1, page["last_link_id"] + 1
    page["last_node_id"], page["last_link_id"] = added, leads
    slot = {"type": wire[5], "name": name}
    node = {
        "id": added, "type": kind, "mode": 0, "pos": [0, 0], "size": [200, 80], "flags": {}, "order": 0,
        "properties": {}, "widgets_values": widgets,
        "inputs": [slot | {"link": wire[0]}], "outputs": [slot | {"name": wire[5], "links": [leads]}],
    }  # fmt: skip
    page["nodes"].append(node)
    page["links"].append([leads, added, 0, wire[3], wire[4], wire[5]])
    wire[3], wire[4], taken["link"] = added, 0, leads
    return node


@pytest.mark.long
@pytest.mark.parametrize("kind", ["LoraLoaderModelOnly", "LadiVTON_PrepareGarment"])
def test_a_bypassed_node_is_as_good_as_none(client, shown, shrunk, files, kind):
    """Bypass (Ctrl-B) is the page's: it leaves the node out of the prompt and joins its wires."""
    page = json.loads(page_file("tryon_embedded").read_text("utf-8"))
    if kind.startswith("Lora"):
        node = with_node(page, kind, SAMPLER, "model", ["rewired.safetensors", 1.0])
    else:
        node = next(node for node in page["nodes"] if node["type"] == kind)
    info = client.object_info()
    used = shrunk(ui_to_api(page, info))
    node["mode"] = 4
    bypassed = shrunk(ui_to_api(page, info))

    key = the(used, kind)
    taken = next(value for value in used[key]["inputs"].values() if isinstance(value, list))
    without = copy.deepcopy(used)
    del without[key]
    for other in without.values():
        other["inputs"] = {name: taken if value == [key, 0] else value for name, value in other["inputs"].items()}
    assert kind not in {other["class_type"] for other in bypassed.values()}
    assert np.abs(shown(bypassed) - shown(without)).max() == 0
    assert kind != "LoraLoaderModelOnly" or np.abs(shown(used) - shown(without)).mean() > 0.05
