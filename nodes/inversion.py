"""Nodes on the garment as pseudo-words: written into the prompt, blended, saved as an embedding for any prompt.

Paper section 3.2. `garment.py` prepares the garment, `conditioning.py` takes the conditioning.
"""

from __future__ import annotations

import os
import re
from numbers import Integral
from pathlib import Path

import folder_paths
import torch
from torch import Tensor

from ..ladivton_core.disk.names import fault_of_name
from ..ladivton_core.disk.writing import whole_files
from ..ladivton_core.inversion.pixels import CLIP_MEAN, CLIP_STD, clip_pixels
from ..ladivton_core.inversion.prompts import PLACEHOLDER, PLACEHOLDER_ID, prompt_for
from ..ladivton_core.preprocessing.labels import CATEGORIES
from ..ladivton_core.runtime.finite import require_finite
from .host.notes import Notes
from .host.types import CATEGORY, InversionAdapter, PseudoWords, TorchPart, io, one_by_one, search_aliases
from .tensors import common_batch, from_image

ENDING = ".safetensors"


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


class LadiVTON_BlendPseudoWords(io.ComfyNode):
    """Two garments in one prompt."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_BlendPseudoWords",
            display_name="Blend Pseudo-Words",
            **search_aliases("mix garments", "textual inversion", "clothes"),
            category=f"{CATEGORY}/garment",
            description="Mixes the pseudo-words of two garments and writes the mixture into the prompt: "
                "colour, fabric and pattern lie between theirs. The shape still comes from the warped garment.",
            inputs=[
                io.Clip.Input("clip", tooltip="The text encoder of Textual Inversion Encoder."),
                PseudoWords.Input("pseudo_words_1", tooltip="From Textual Inversion Encoder."),
                PseudoWords.Input("pseudo_words_2", tooltip="From another one."),
                io.Float.Input(
                    "blend", default=0.5, min=0.0, max=1.0, step=0.05,
                    tooltip="Share of the second garment: 0 is the first alone, 1 the second.",
                ),
                *prompt_inputs(", as in Textual Inversion Encoder"),
            ],
            outputs=prompt_outputs("The mixture, to save or to blend again."),
        )  # fmt: skip

    @classmethod
    def execute(
        cls, clip, pseudo_words_1: Tensor, pseudo_words_2: Tensor, blend: float = 0.5, category: str = "upper_body",
        prompt: str = "",
    ) -> io.NodeOutput:  # fmt: skip
        if pseudo_words_1.shape[1:] != pseudo_words_2.shape[1:]:
            first, second = (tuple(words.shape[1:]) for words in (pseudo_words_1, pseudo_words_2))
            raise ValueError(
                f"'pseudo_words_1' are {first} and 'pseudo_words_2' {second} (words, width). "
                "Both must come from the same inversion adapter."
            )
        pair = common_batch(pseudo_words_1=pseudo_words_1, pseudo_words_2=pseudo_words_2)
        words = torch.lerp(pair["pseudo_words_1"], pair["pseudo_words_2"], blend)
        tokens = tokens_with_room(clip, prompt, category, words.shape[1])
        return io.NodeOutput(encode_words(clip, tokens, words), words)


class LadiVTON_SavePseudoWords(io.ComfyNode):
    """The words as a textual-inversion embedding."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_SavePseudoWords",
            display_name="Save Pseudo-Words (Wardrobe)",
            **search_aliases("embedding", "textual inversion", "garment", "clothes"),
            category=f"{CATEGORY}/garment",
            description="Saves the garment's pseudo-words as a ComfyUI embedding: "
                "any prompt of any Stable Diffusion 2 graph can then say 'embedding:name'.",
            inputs=[
                PseudoWords.Input("pseudo_words", tooltip="From Textual Inversion Encoder."),
                io.String.Input(
                    "name", default="my_garment",
                    tooltip="File name in models/embeddings, without ending and without blanks: "
                        "a prompt ends an embedding's name at the first blank. A batch gets _0, _1, ...",
                ),
                io.Boolean.Input(
                    "overwrite", default=False, optional=True,
                    tooltip="Replace an embedding that has this name already. Off, it is kept and the node says so.",
                ),
            ],
            outputs=[io.String.Output("prompt_words", display_name="prompt_words", tooltip="What to write in a "
                "prompt.")],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        return True if name is None else _usable(name)  # None is a wire: `execute` asks again

    @classmethod
    def execute(cls, pseudo_words: Tensor, name: str = "my_garment", overwrite: bool = False) -> io.NodeOutput:
        from safetensors.torch import save

        names = [name] if len(pseudo_words) == 1 else [f"{name}_{item}" for item in range(len(pseudo_words))]
        for one in (name, *names):
            if (allowed := _usable(one)) is not True:
                raise ValueError(allowed)
        folders = [Path(folder) for folder in folder_paths.get_folder_paths("embeddings")]
        # clip_h is the key under which ComfyUI looks for Stable Diffusion 2's words.
        files = {
            folders[0] / (file + ENDING): save({"clip_h": words.float().cpu().contiguous()})
            for words, file in zip(pseudo_words, names, strict=True)
        }
        for path, content in files.items():  # all are asked before the first is written
            _check_free(path, content, folders, overwrite)
        with whole_files() as writer:
            for path, content in files.items():
                writer.open(path).write(content)
        notes = Notes("Save Pseudo-Words")
        for path in files:
            notes.say(f"Saved {path}")
        return io.NodeOutput(" ".join(f"embedding:{file}" for file in names), ui=notes.ui)


def encode_words(clip, tokens: dict, words: Tensor) -> list:
    """CONDITIONING (B) of a prompt whose `$` are pseudo-words (B, N, C).

    Args:
        tokens: from `tokens_with_room`.

    Raises:
        ValueError: the words are not as wide as the text encoder's embeddings.
    """
    _check_width(clip, words)
    conditionings = []
    for item in one_by_one(words):  # one garment at a time: ComfyUI's text encoder joins prompts into one long one
        conditionings.append(clip.encode_from_tokens_scheduled(_with_words(tokens, item), show_pbar=False))
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


def _usable(name: str) -> bool | str:
    """Whether a prompt finds an embedding of this name, and every file system takes it; else what is wrong."""
    if not re.fullmatch(r"[\w\-.]*\w", name):
        return (
            f"{name!r} cannot be the name of an embedding: use letters, digits, dots, - and _. "
            "A prompt ends the name at the first blank or comma."
        )
    if fault := fault_of_name(name + ENDING):
        return f"{name!r} cannot be the name of an embedding: {fault}. Choose another one."
    return True


def _check_free(path: Path, content: bytes, folders: list[Path], overwrite: bool) -> None:
    """A prompt's 'embedding:name' must mean this file, and no other file may lose its place to it.

    ComfyUI looks in every embeddings folder and all folders below, in no fixed order, for the name as it is and with
    each ending; '.safetensors' comes before the others.

    Raises:
        FileExistsError: another embedding has the name; the message says which and what to do.
    """
    for folder in dict.fromkeys(place for top in folders for place, *_ in os.walk(top, followlinks=True)):
        for ending in ("", ".safetensors", ".pt", ".bin"):
            other = Path(folder) / (path.stem + ending)
            if not other.is_file() or (other == path and other.read_bytes() == content):
                continue
            beside = other.parent == path.parent and ending
            if not overwrite or not beside:
                way_out = "turn on 'overwrite'" if beside else "move that file away: a prompt might find it first"
                raise FileExistsError(f"There is an embedding {other} already. Choose another name, or {way_out}.")


NODES = [LadiVTON_TextualInversionEncoder, LadiVTON_BlendPseudoWords, LadiVTON_SavePseudoWords]
