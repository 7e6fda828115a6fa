"""Golden families of the inversion stage: clip_preprocess, clip_vision, inversion_adapter, text_encoding, token_ids."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..inversion.pixels import CLIP_STD, normalise, resize
from ..inversion.prompts import prompt_for, tokenize
from .case import Case, Check, compare, family
from .models import rule_adapter, rule_text_encoder, rule_vision


def prompt_of_row(row: str, num_words: int) -> str:
    """Prompt of a case's row: a category, or `empty`."""
    return "" if row == "empty" else prompt_for(row, num_words)


@family("clip_preprocess")
def clip_preprocess(case: Case) -> Iterator[Check]:
    """Pixels before and after the 8-bit floor; single pixels may land one level off (the case's note)."""
    size = case.config.get("size", 224)
    resized = resize(case.inputs["cloth"], size)
    pixels = normalise(resized)
    level = 1.01 / 255 / min(CLIP_STD)
    for name, expected in case.tensors.items():
        stride = int(name.rsplit("_s", 1)[1]) if "_s" in name and name.rsplit("_s", 1)[1].isdigit() else 1
        if name.startswith("resized"):
            yield case.check(name, resized[..., ::stride, ::stride])
        elif name.startswith("pixel_values"):
            actual = pixels[..., ::stride, ::stride]
            yield compare(name, actual, expected, level, 0.0)
            share = ((actual - expected).abs() > case.tolerance_of(name)[0]).double().mean()
            yield Check(f"{name} share of pixels one level off", float(share), 1e-3)
        elif name == "pixel_sum":
            yield compare(name, pixels.double().sum((2, 3)), expected, 1e-3 * size * size * level, 0.0)
        else:
            yield Check(f"{name} (not computed)", float("inf"), 0.0)


@family("clip_vision")
@torch.no_grad()
def clip_vision(case: Case) -> list[Check]:
    """Last hidden state without post norm, and the projection nobody uses."""
    model = rule_vision(case.config["vision_config"], case.seed, case.gain)
    tokens = model(case.inputs["pixel_values"])
    return list(case.checks({"last_hidden_state": tokens, "image_embeds": model.image_embeds(tokens)}))


@family("inversion_adapter")
@torch.no_grad()
def inversion_adapter(case: Case) -> list[Check]:
    """The adapter, small or full size."""
    model = rule_adapter(case.config, case.config["vision_config"], case.seed, case.gain)
    class_token = model.class_token(case.inputs["tokens"])
    normed = model.post_layernorm(class_token)
    return list(case.checks({"encoder_cls": class_token, "normed_cls": normed, "output": model(case.inputs["tokens"])}))


@family("text_encoding")
@torch.no_grad()
def text_encoding(case: Case) -> list[Check]:
    """Prompts with and without pseudo-words in place."""
    words = case.inputs["word_embeddings"]
    model = rule_text_encoder(case.config["text_config"], case.seed, case.gain)
    ids = tokenize([prompt_of_row(row, case.config.get("num_vstar", words.shape[1])) for row in case.config["rows"]])
    computed = {"input_ids": ids, "last_hidden_state": model(ids, words), "plain_last_hidden_state": model(ids)}
    return list(case.checks(computed, exact=["input_ids"]))


@family("token_ids")
def token_ids(case: Case) -> Iterator[Check]:
    """Ids of the paper's prompts; the expected numbers are in the JSON itself."""
    for row, expected in case.meta.items():
        if isinstance(expected, list):
            num_words = expected.count(259) or 16
            ids = tokenize([prompt_of_row(row, num_words)])
            yield case.check_exact(row, ids, expected=torch.tensor([expected]))
