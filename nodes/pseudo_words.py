"""Nodes on the pseudo-words themselves: blend two garments, save a garment as an embedding for any prompt.

`inversion.py` makes them from a garment. Paper section 3.2.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch
from torch import Tensor

from ..ladivton_core.disk.names import fault_of_name
from ..ladivton_core.disk.writing import whole_files
from .inversion import encode_words, prompt_inputs, prompt_outputs, tokens_with_room
from .notes import Notes
from .tensors import common_batch
from .types import CATEGORY, PseudoWords, check_choices, io, search_aliases

ENDING = ".safetensors"


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
    def validate_inputs(cls, category: str | None = None) -> bool | str:
        return check_choices(cls, category=category)

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
        import folder_paths
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


NODES = [LadiVTON_BlendPseudoWords, LadiVTON_SavePseudoWords]
