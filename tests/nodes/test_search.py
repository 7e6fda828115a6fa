"""People find the nodes by the words they think in."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

WORDS = (
    "try-on", "virtual try-on", "vton", "clothes", "clothing", "garment", "dress", "outfit", "fashion", "wardrobe",
)  # fmt: skip
SEEN_FROM = 26
"""ComfyUI 0.3.75 finds a word in a name only near its beginning: each character further costs a hundredth of a score
that must stay below 0.3, and a little is left for the length."""


def places(text: str, word: str) -> int:
    """Where a word begins, -1 for nowhere."""
    return text.lower().find(word)


@pytest.mark.parametrize("word", WORDS)
def test_hosts_that_search_names_only_find_every_word_in_one(nodes, repository, word):
    schemas = [node.define_schema() for node in nodes.values()]
    names = [name for schema in schemas for name in (schema.node_id, schema.display_name)]
    names += [file.stem for file in (repository / "subgraphs").glob("*.json")]
    assert any(0 <= places(name, word) < SEEN_FROM for name in names)


@pytest.mark.parametrize("word", WORDS)
def test_hosts_that_know_aliases_find_every_word_in_them(nodes, module, monkeypatch, word):
    io = module("nodes.host.types").io

    @dataclass
    class Later(io.Schema):
        """The schema of ComfyUI from 2026 on."""

        search_aliases: list[str] = field(default_factory=list)

    monkeypatch.setattr(io, "Schema", Later)
    aliases = {name: node.define_schema().search_aliases for name, node in nodes.items()}
    assert all(aliases.values()), "every node has words of its own"
    assert any(word in alias for words in aliases.values() for alias in words)
