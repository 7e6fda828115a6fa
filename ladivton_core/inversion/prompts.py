"""Prompts with placeholders, and their token ids.

Every `$` of a prompt is one pseudo-word: one token of id 259. `encoders.TextTower` puts the vectors there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

PLACEHOLDER = "$"
PLACEHOLDER_ID = 259
"""Id of a stand-alone `$` in CLIP's byte-pair vocabulary."""

CONTEXT_LENGTH = 77

GARMENT_PHRASES = {
    "upper_body": "an upper body garment",
    "lower_body": "a lower body garment",
    "dresses": "a dress",
}
"""How the paper's prompt names a category (published §4.4)."""


def prompt_for(category: str, num_words: int = 16) -> str:
    """The paper's prompt for a garment category, ending in `num_words` placeholders.

    Raises:
        ValueError: unknown category.

    Source: published §4.4.
    """
    if category not in GARMENT_PHRASES:
        raise ValueError(f"garment category {category!r} is unknown; choose one of {', '.join(GARMENT_PHRASES)}.")
    return f"a photo of a model wearing {GARMENT_PHRASES[category]} " + f" {PLACEHOLDER} " * num_words


def prompts_for(
    category: str | Sequence[str], garments: int, num_words: int = 16, prompt: str | None = None
) -> list[str]:
    """One prompt a garment.

    Args:
        category: one for all garments, or one each.
        prompt: own prompt in place of the paper's, with a placeholder for each pseudo-word, or none.

    Raises:
        ValueError: unknown category, a count that does not fit, or a prompt with another number of placeholders.
    """
    categories = [category] * garments if isinstance(category, str) else list(category)
    if len(categories) != garments:
        raise ValueError(f"there are {garments} garments and {len(categories)} categories; give one, or one each.")
    if prompt is None:
        return [prompt_for(item, num_words) for item in categories]
    if prompt.count(PLACEHOLDER) not in (0, num_words):
        raise ValueError(
            f"the prompt holds {prompt.count(PLACEHOLDER)} '{PLACEHOLDER}'; "
            f"write {num_words}, one for each pseudo-word, or none."
        )
    return [prompt] * garments


def tokenize(prompts: Sequence[str] | str, context_length: int = CONTEXT_LENGTH) -> Tensor:
    """CLIP token ids, padded with 0 as Stable Diffusion 2 does (Q5).

    Returns:
        (B, 77) int64; too long prompts are cut and still end in the end-of-text token.

    Source: published §4.4.
    """
    tokenizer = _tokenizer()
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    ids = torch.zeros(len(prompts), context_length, dtype=torch.int64)
    for row, prompt in zip(ids, prompts, strict=True):
        tokens = [tokenizer.sot_token_id, *tokenizer.encode(prompt)][: context_length - 1]
        tokens.append(tokenizer.eot_token_id)
        row[: len(tokens)] = torch.tensor(tokens)
    return ids


@lru_cache(maxsize=1)
def _tokenizer():
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()
