"""Help pages and languages say what the schemas say, all of it, in a form that ComfyUI's page can show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import make_texts
import pytest

LANGUAGES = ("en", "it", "zh")
STAGES = {
    "pose": "PoseMap", "agnostic": "AgnosticPerson", "garment": "PrepareGarment", "warp": "GarmentWarper",
    "words": "TextualInversionEncoder", "result": "EMASCDecoder",
}  # fmt: skip
"""Picture -> the node whose page shows it."""
PICTURES = 400_000
"""Bytes that they may take together."""


@pytest.fixture(scope="module")
def schemas(nodes) -> dict[str, Any]:
    return {name: node.define_schema() for name, node in nodes.items()}


@pytest.fixture(scope="module")
def pages(repository) -> dict[str, str]:
    folder = repository / "web" / "docs"
    return {file.stem: file.read_text(encoding="utf-8") for file in folder.glob("*.md")}


def translated(repository: Path, language: str) -> dict[str, Any]:
    return json.loads((repository / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


def test_pages_and_english_are_made_from_the_schemas(schemas):
    stale = [file.name for file, text in make_texts.texts(schemas).items() if file.read_text(encoding="utf-8") != text]
    assert not stale, "run python scripts/make_texts.py"


def test_no_page_is_left_over_and_none_has_a_table(schemas, pages):
    assert pages.keys() == schemas.keys()
    assert not [name for name, page in pages.items() if re.search(r"^\|", page, re.MULTILINE)], (
        "the panel cuts them off"
    )


def test_pages_of_neighbours_link_to_each_other(pages):
    links = {name: set(re.findall(r"\]\((\w+)\.md\)", page)) for name, page in pages.items()}
    assert all(links.values()), "a page without a way on"
    for name, others in links.items():
        assert others <= pages.keys(), name
        assert all(name in links[other] for other in others), f"{name}: a link without a way back"


@pytest.mark.parametrize(("picture", "node"), STAGES.items())
def test_every_stage_is_shown_on_its_page(repository, pages, picture, node):
    from PIL import Image

    assert f"(images/{picture}.jpg)" in pages[f"LadiVTON_{node}"]
    with Image.open(repository / "web" / "docs" / "images" / f"{picture}.jpg") as image:
        assert image.format == "JPEG" and min(image.size) >= 240
        image.load()


def test_readme_shows_the_stages_too_and_all_pictures_are_small(repository):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    shown = [name for name in STAGES if f"web/docs/images/{name}.jpg" in readme]
    assert set(shown) == STAGES.keys() - {"garment"}  # it stands beside its words
    assert sum(file.stat().st_size for file in (repository / "web" / "docs" / "images").iterdir()) < PICTURES


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_every_text_of_every_node(repository, schemas, language):
    texts, english = translated(repository, language), make_texts.english(schemas)
    assert texts.keys() == english.keys()
    for name, node in english.items():
        assert texts[name].keys() == node.keys(), name
        for part in ("inputs", "outputs"):
            assert texts[name][part].keys() == node[part].keys(), f"{name}.{part}"
            for key, text in node[part].items():
                assert texts[name][part][key].keys() == text.keys(), f"{name}.{part}.{key}"
                assert all(texts[name][part][key].values()), f"{name}.{part}.{key}"
        assert texts[name]["display_name"] and texts[name]["description"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_means_itself_to_the_page(repository, language):
    """vue-i18n reads `{name}`, `@:key` and `a | b` as its own language and would show something else, or nothing."""
    text = (repository / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8")
    strings = re.findall(r'": "((?:[^"\\]|\\.)*)"', text)
    assert len(strings) > 200
    assert not [string for string in strings if re.search(r"[{}@|]", string)]


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_every_text_has_a_translation_that_keeps_what_must_be_typed(schemas, language):
    phrases = make_texts.languages()[language]
    assert make_texts.untranslated(schemas)[language] == [], "write them in phrases.json, then run make_texts.py"
    assert not phrases.keys() - make_texts.all_texts(make_texts.english(schemas)), "phrases that nothing says any more"
    typed = re.compile(r"[\w./]*_[\w./]+|\b[A-Z]{3,}\w*\b|\$|\d+(?:\.\d+)?|'[a-z]+'|\[\w+\]")
    for text, translation in phrases.items():
        if len(text.split()) > 3:
            assert translation != text
            assert not [kept for kept in typed.findall(text) if kept.rstrip(".") not in translation], text
