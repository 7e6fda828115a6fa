"""Help pages and languages say what the schemas say, all of it, in a form that ComfyUI's page can show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import make_texts
import pytest

LANGUAGES = ("en", "zh")
STAGES = {
    "pose": "PoseMap", "agnostic": "AgnosticPerson", "garment": "PrepareGarment", "warp": "GarmentWarper",
    "words": "TextualInversionEncoder", "result": "EMASCDecoder",
}  # fmt: skip
"""Picture -> the node whose page shows it."""
NAMES = {
    "BOOLEAN", "COMBO", "FLOAT", "INT", "SIGMA", "STRING",
    "ai-edge-litert", "arXiv", "ATR", "B", "BiRefNet", "BlazePose", "BY-NC", "CC", "cfg", "CFG", "checkpoint",
    "CheckpointSave", "CIHP", "CLIP", "CLIPSave", "cloth-mask", "coarse", "COCO", "Code", "ComfyUI",
    "ComfyUI-RMBG", "CONDITIONING", "ControlNet", "CPU", "CreativeML", "Ctrl", "CUDA", "DDIM", "dev", "diffusers",
    "Diffusion", "Dress", "DWPose", "Edit", "EMASC", "embedding", "embeddings", "euler", "Euler", "evaluation",
    "EXIF", "Fill", "FLUX", "FreeU", "GB", "Google", "GPU", "HTTP", "i", "Image", "IMAGE", "inpainting", "input",
    "JPEG", "jpg", "JSON", "K", "Klein", "Kynkäänniemi", "LaDI-VTON", "LATENT", "Latent", "LIP", "LoRA", "M",
    "MASK", "MB", "MIT", "MODEL", "N", "Nodes", "NOISE", "NVIDIA", "Open", "opencv-python-headless", "OpenPose",
    "output", "Pascal", "PerpNeg", "PNG", "png", "POST", "Python", "python", "Qwen", "R", "RAIL", "Redux", "RT-DETR",
    "safetensors", "SAM", "SAMPLER", "SCHP", "SDPose", "seed", "SegFormer", "Sigma", "sigma", "SIGMAS", "Stable",
    "Torch", "torch", "U-Net", "UNet", "v", "VAE", "VAESave", "VITON-HD", "VOC", "Windows", "x", "XL",
}  # fmt: skip
"""Words that a Chinese text may hold: names, units, wire types, what is typed or stands so in files."""
CHINESE = re.compile(r"[\u4e00-\u9fff]")
TYPED = re.compile(r"`[^`]*`|'[^']*'|https?://\S+|\]\([^)]*\)|\[\w+\]|[\w.\-/]*[_/.*\\\d][\w.\-/*:]*\w?")
"""Parts of a text that are code, paths, files, ids and numbers."""
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


def leftovers(text: str) -> set[str]:
    """English words of a Chinese text that are no names."""
    return set(re.findall(r"[A-Za-zÀ-ž]+(?:-[A-Za-z]+)*", TYPED.sub(" ", text))) - NAMES


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_every_text_has_a_translation_that_keeps_what_must_be_typed(schemas, language):
    phrases = make_texts.languages()[language]
    assert make_texts.untranslated(schemas)[language] == [], "write them in phrases.json, then run make_texts.py"
    assert not phrases.keys() - make_texts.needed(schemas), "phrases that nothing says any more"
    shown = {part.id.replace("_", " ") for schema in schemas.values() for part in schema.inputs or ()}
    typed = re.compile(r"[\w./]*_[\w./]+|\b[A-Z]{3,}[A-Z_\d]*\b|\$|\d+(?:\.\d+)?|'[a-z]+'|\[\w+\](?!\()|`[^`]+`")
    for text, translation in phrases.items():
        if len(text.split()) > 3 and text not in make_texts.FORMS:
            assert translation != text
            for kept in typed.findall(text):
                name = kept.strip("`'.").replace("_", " ")
                assert kept.rstrip(".") in translation or (name in shown and phrases[name] in translation), (kept, text)


def test_chinese_is_chinese(repository, schemas):
    """Every text has Chinese words unless it is a name, and no English beside names."""
    phrases, names = make_texts.languages()["zh"], {name.lower() for name in NAMES}
    for text, said in phrases.items():
        if text in make_texts.FORMS:
            continue
        assert not leftovers(said), f"{leftovers(said)} in {said!r}"
        if any(word.lower().rstrip("s") not in names for word in leftovers(text)):
            assert CHINESE.search(said), f"{text!r} is not translated"
    assert leftovers("把 garment 放好") == {"garment"}, "the test sees English"


def test_chinese_has_every_page_option_and_text_that_english_has(repository, schemas):
    words = {name: json.loads((repository / "locales" / name / "main.json").read_text("utf-8"))["ladiVton"]
             for name in LANGUAGES}  # fmt: skip
    for widget, labels in words["en"]["options"].items():
        assert labels.keys() <= words["zh"]["options"][widget].keys()
    for widget, value in make_texts.options(schemas):
        label = words["zh"]["options"].get(widget, {}).get(value, value)
        assert CHINESE.search(label) or not leftovers(label), f"{widget}: {value}"
    assert words["zh"]["texts"].keys() == make_texts.texts_of_the_page(schemas)
    names = [words["zh"]["texts"][file.stem] for file in (repository / "workflows").glob("*.json")]
    assert len(set(names)) == len(names) and not any(re.search(r'[/\\:*?"<>|%#]', name) for name in names)
    folder = repository / "web" / "docs"
    for node in schemas:
        english, chinese = ((folder / page).read_text("utf-8") for page in (f"{node}.md", f"{node}/zh.md"))
        outline = re.compile(r"^(#+ |- |!\[)|\]\(([\w/]+\.(?:jpg|md))\)|^- .*?`(\w+)`.*(?=[:：])", re.MULTILINE)
        kinds = [[found[1] or found[2] for found in outline.finditer(page)] for page in (english, chinese)]
        assert kinds[0] == kinds[1], f"{node}: other lines, pictures or links"
        assert not (left := leftovers(re.sub(r"^\W*`.*?`", "", chinese))), f"{node}: {left}"


def test_a_text_names_options_and_inputs_as_the_page_shows_them(schemas):
    chinese = make_texts.Language(schemas, make_texts.languages()["zh"])
    framing = next(part for part in schemas["LadiVTON_FitPerson"].inputs if part.id == "framing")
    assert "'upper_body'" in framing.tooltip and "'fit'" in framing.tooltip
    said = chinese.say(framing.tooltip, "framing")
    assert "“上装”" in said and "“适配”" in said and "'" not in said
    assert chinese.labels["neck"]["cut"] != chinese.labels["fit"]["crop"]
    assert make_texts.Language(schemas).say("'fit' stays") == "'fit' stays"
