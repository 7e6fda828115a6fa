"""The node that writes the garment into the prompt as pseudo-words.

Paper section 3.2. `garment.py` prepares the garment, `sampling.py` takes the conditioning; `pseudo_words.py` blends the
words and saves them.
"""

from __future__ import annotations

import re
from numbers import Integral

import torch
from torch import Tensor

from ..ladivton_core.inversion.pixels import CLIP_MEAN, CLIP_STD, clip_pixels
from ..ladivton_core.inversion.prompts import PLACEHOLDER, PLACEHOLDER_ID, prompt_for
from ..ladivton_core.preprocessing.labels import CATEGORIES
from ..ladivton_core.runtime.finite import require_finite
from .tensors import from_image
from .types import CATEGORY, InversionAdapter, PseudoWords, TorchPart, check_choices, io, search_aliases


def prompt_inputs(more: str, **shown: str) -> list[io.Input]:
    """Category and prompt around the pseudo-words; `more` goes on with the category's tooltip."""
    return [
        io.Combo.Input(
            "category", options=list(CATEGORIES), default="upper_body", tooltip=f"Completes the paper's prompt{more}.",
        ),
        io.String.Input(
            "prompt", optional=True, multiline=True, default="", **shown,
            tooltip="Your own prompt; one $ stands for all pseudo-words. Leave empty for the paper's prompt.",
        ),
    ]  # fmt: skip


def prompt_outputs(words: str) -> list[io.Output]:
    """The conditioning and the words in it, `words` being their tooltip."""
    return [
        io.Conditioning.Output("CONDITIONING", display_name="CONDITIONING", tooltip="Positive "
            "conditioning, for Try-On Conditioning."),
        PseudoWords.Output("pseudo_words", display_name="pseudo_words", tooltip=words),
    ]  # fmt: skip


class LadiVTON_TextualInversionEncoder(io.ComfyNode):
    """The garment as words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_TextualInversionEncoder",
            display_name="Textual Inversion Encoder",
            **search_aliases("garment to words", "clothing prompt", "fashion prompt", "pseudo-words"),
            category=f"{CATEGORY}/garment",
            description="Looks at the garment with CLIP and writes it into the prompt as 16 pseudo-words, "
                "which carry its colour, fabric and pattern.",
            inputs=[
                io.Clip.Input("clip", tooltip="Stable Diffusion 2 text encoder (or the embedded one)."),
                io.ClipVision.Input("clip_vision", tooltip="CLIP ViT-H/14 vision tower (or the embedded one)."),
                InversionAdapter.Input("adapter", tooltip="From Load Inversion Adapter "
                    "or Load Embedded Try-On Models."),
                io.Image.Input("garment", tooltip="Garment on white, not warped, from Prepare Garment."),
                *prompt_inputs(
                    ": 'a photo of a model wearing an upper body garment $ $ ...'",
                    placeholder="empty: the paper's prompt. Else e.g.: a photo of a model wearing $, studio light",
                ),
            ],
            outputs=prompt_outputs("The words as vectors, to save as an embedding."),
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, category: str | None = None) -> bool | str:
        return check_choices(cls, category=category)

    @classmethod
    def execute(
        cls, clip, clip_vision, adapter: TorchPart, garment: Tensor, category: str = "upper_body", prompt: str = ""
    ) -> io.NodeOutput:
        import comfy.model_management as memory

        count = adapter.settings["num_words"]
        tokens = tokens_with_room(clip, prompt, category, count)
        seen = _look_at(clip_vision, from_image(garment, "garment"), adapter)
        with adapter.loaded() as network:
            words = network.pseudo_words(seen.to(adapter.device, torch.float32), count)
        require_finite(words, "The inversion adapter", f"Load another copy of its file ({adapter.source}).")
        words = words.to(memory.intermediate_device())
        return io.NodeOutput(encode_words(clip, tokens, words), words)


def encode_words(clip, tokens: dict, words: Tensor) -> list:
    """CONDITIONING (B) of a prompt whose `$` are pseudo-words (B, N, C).

    Args:
        tokens: from `tokens_with_room`.

    Raises:
        ValueError: the words are not as wide as the text encoder's embeddings.
    """
    import comfy.model_management as memory
    from comfy.utils import ProgressBar

    _check_width(clip, words)
    progress = ProgressBar(len(words))
    conditionings = []
    for item in words:  # one garment at a time: ComfyUI's text encoder joins prompts into one long one
        memory.throw_exception_if_processing_interrupted()
        conditionings.append(clip.encode_from_tokens_scheduled(_with_words(tokens, item), show_pbar=False))
        progress.update(1)
    for tensor, _ in (entry for conditioning in conditionings for entry in conditioning):
        require_finite(tensor, "The text encoder (CLIP)", "Start ComfyUI with --fp32-text-enc, or load another file.")
    return _stacked(conditionings)


def _look_at(clip_vision, garment: Tensor, adapter: TorchPart) -> Tensor:
    """Vision tokens (B, T, C) of garments (B, 3, H, W) in [-1, 1].

    Raises:
        ValueError: the tower's width is not the adapter's.
    """
    pixels = clip_pixels(garment, clip_vision.image_size)
    # Back to a picture of whole 8-bit levels: ComfyUI's own rounding then changes nothing (Q4).
    mean, std = (pixels.new_tensor(values).view(1, 3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    picture = (pixels * std + mean).clamp(0, 1).movedim(1, -1)
    tokens = clip_vision.encode_image(picture, crop=False)["last_hidden_state"]
    require_finite(tokens, "The vision tower (CLIP_VISION)", "Start ComfyUI with --force-fp32, or load another file.")
    width = adapter.module.input_dim
    if tokens.shape[-1] != width:
        raise ValueError(
            f"This CLIP_VISION gives features {tokens.shape[-1]} wide, the inversion adapter ({adapter.source}) "
            f"reads {width}. Use CLIP ViT-H/14 (laion2B) with the published adapter, "
            "the embedded tower with the embedded one."
        )
    return tokens


def _prompt(prompt: str, category: str, count: int) -> str:
    """The paper's prompt, or the user's with its single `$` standing for all words.

    Raises:
        ValueError: the user's prompt has no `$`, or a number of them that is neither 1 nor `count`.
    """
    if not prompt.strip():
        return prompt_for(category, count)
    # A $ that touches other characters would be swallowed into their token.
    spaced = re.sub(re.escape(PLACEHOLDER), f" {PLACEHOLDER} ", prompt)
    found = spaced.count(PLACEHOLDER)
    if found == 1:
        return spaced.replace(PLACEHOLDER, " ".join([PLACEHOLDER] * count))
    if found != count:
        raise ValueError(
            f"The prompt has {found} '$'. Write one '$' where the garment belongs (or all {count}), "
            "e.g. 'a photo of a model wearing $', or leave it empty."
        )
    return spaced


def tokens_with_room(clip, prompt: str, category: str, count: int) -> dict:
    """Tokens of the paper's prompt, or of the user's, with `count` `$` in it.

    Raises:
        ValueError: the prompt has no place for the words; not a single text encoder, or it does not know `$`.
    """
    tokens = clip.tokenize(_prompt(prompt, category, count))
    if len(tokens) != 1:
        raise ValueError(
            f"This CLIP has {len(tokens)} text encoders ({', '.join(tokens)}); "
            "LaDI-VTON needs Stable Diffusion 2's single one: "
            "Load CLIP with type 'stable_diffusion', or the embedded one."
        )
    ids = [token for chunk in next(iter(tokens.values())) for token, *_ in chunk if _is_id(token)]
    found = ids.count(PLACEHOLDER_ID)
    if found != count:
        raise ValueError(
            f"This text encoder kept {found} of {count} '$' of the prompt. Use Stable Diffusion 2's text encoder."
        )
    return tokens


def _is_id(token) -> bool:
    """Whether a token is a number of the vocabulary, of whatever integer type, and not an embedding's vector."""
    return isinstance(token, Integral)


def _with_words(tokens: dict, words: Tensor) -> dict:
    """Tokens with the `$` replaced, one after the other, by the rows of `words` (N, C)."""
    rows = iter(words)

    def replaced(token):
        return next(rows) if _is_id(token) and token == PLACEHOLDER_ID else token

    return {
        name: [[(replaced(token), *rest) for token, *rest in chunk] for chunk in chunks]
        for name, chunks in tokens.items()
    }


def _check_width(clip, words: Tensor) -> None:
    """ComfyUI only logs vectors of a wrong width and drops them.

    Raises:
        ValueError: the words are not as wide as the text encoder's embeddings.
    """
    stage = clip.cond_stage_model
    encoder = getattr(stage, getattr(stage, "clip", ""), None)
    embeddings = getattr(getattr(encoder, "transformer", None), "get_input_embeddings", None)
    if embeddings is None:
        raise ValueError("This CLIP is not a CLIP text encoder. Use Stable Diffusion 2's, or the embedded one.")
    width = embeddings().weight.shape[-1]
    if width != words.shape[-1]:
        raise ValueError(
            f"This CLIP's words are {width} wide, the inversion adapter writes {words.shape[-1]}. "
            "Use Stable Diffusion 2's text encoder (1024) with the published adapter, "
            "the embedded one with the embedded adapter."
        )


def _stacked(conditionings: list) -> list:
    """Conditionings of single garments as one conditioning of their batch."""
    stacked = []
    for entries in zip(*conditionings, strict=True):
        options = dict(entries[0][1])
        if isinstance(options.get("pooled_output"), Tensor):
            options["pooled_output"] = torch.cat([entry[1]["pooled_output"] for entry in entries])
        stacked.append([torch.cat([entry[0] for entry in entries]), options])
    return stacked


NODES = [LadiVTON_TextualInversionEncoder]
