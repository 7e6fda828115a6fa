"""Write what the nodes say of themselves where ComfyUI looks for it: `web/docs/*.md` and `locales/*/nodeDefs.json`.

python scripts/make_texts.py

Languages other than English are made of `locales/<language>/phrases.json`, English text -> translation, which a person
writes: where an English text changes, its translation is missing and has to be looked at.

A help page is made of the node's schema (name, description, inputs, outputs), of the pictures and the section
"Good to know" that a person wrote on the page, and of links to the nodes it goes together with. Run it after a change
of a node's texts; `tests/nodes/test_texts.py` compares. The help panel is narrow: lists, no tables.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

from hosting import installation
from hosting.places import REPOSITORY, WORKFLOWS

DOCS = REPOSITORY / "web" / "docs"
LOCALES = REPOSITORY / "locales"
GOOD_TO_KNOW, TOGETHER = "## Good to know", "## Goes together with"
SHARED_TYPES = ("POSE_KEYPOINT",)
"""Wire types beside the pack's own (LADI_...) by which two nodes are neighbours though no workflow connects them."""
BESIDE = (
    ("LoadVAE", "TryOnConditioning"), ("LoadCLIP", "TextualInversionEncoder"), ("LoadTryOnModel", "PaperSchedule"),
    ("TryOnConditioning", "GarmentSteps"), ("PaperSchedule", "GarmentSteps"), ("PaperSchedule", "EMASCDecoder"),
    ("PaperNoise", "EMASCDecoder"), ("TextualInversionEncoder", "BlendPseudoWords"),
    ("BlendPseudoWords", "TryOnConditioning"), ("LoadTryOnModel", "TryOnSpeed"), ("TryOnSpeed", "TryOnSampler"),
    ("TryOnSpeed", "PaperSchedule"),
)  # fmt: skip
"""Nodes one before the other in graphs that no workflow shows, directly or with ComfyUI's own between."""
FILE_LISTS = ("image", "file", "root")
"""Combo boxes that list what lies in somebody's folders; so do those that end in `_name`."""


def help_page(schema: Any, old: str, before: list[Any], after: list[Any]) -> str:
    """The help page of a node.

    Args:
        schema: the node's.
        old: the page as it is: its pictures and its "Good to know" stay.
        before: schemas of the nodes that feed this one.
        after: schemas of those it feeds.
    """
    parts = [f"# {schema.display_name}", schema.description, *re.findall(r"^!\[.*\]\(.*\)$", old, re.MULTILINE)]
    if schema.inputs:
        parts += ["## Inputs", "\n".join(map(_input, schema.inputs))]
    if schema.outputs:
        parts += ["## Outputs", "\n".join(map(_output, schema.outputs))]
    known = re.search(rf"^{GOOD_TO_KNOW}\n+(.*?)(?=^## |\Z)", old, re.MULTILINE | re.DOTALL)
    if known:
        parts += [GOOD_TO_KNOW, known[1].strip()]
    sides = [
        f"- {side}: {', '.join(map(_link, nodes))}" for side, nodes in (("Before", before), ("After", after)) if nodes
    ]
    if sides:
        parts += [TOGETHER, "\n".join(sides)]
    return "\n\n".join(parts) + "\n"


def _input(part: Any) -> str:
    kind = part.get_io_type().replace(",", " or ")
    options = getattr(part, "options", None)
    default = getattr(part, "default", None)
    if options and not _lists_files(part):
        kind = " or ".join(f"`{option}`" for option in options)
        default = options[0] if default is None else default
    text = f"- `{part.id}` ({kind}{', optional' if part.optional else ''}): {part.tooltip}"
    if default in (None, "") or _lists_files(part):
        return text
    return f"{text} Default: `{json.dumps(default) if isinstance(default, bool) else default}`."


def _lists_files(part: Any) -> bool:
    return hasattr(part, "options") and (part.id in FILE_LISTS or part.id.endswith("_name"))


def _output(part: Any) -> str:
    return f"- `{part.display_name}` ({part.get_io_type().replace(',', ' or ')}): {part.tooltip}"


def _link(schema: Any) -> str:
    return f"[{schema.display_name}]({schema.node_id}.md)"


def neighbours(schemas: dict[str, Any]) -> dict[str, tuple[list[Any], list[Any]]]:
    """Node id -> schemas of the nodes before and after it: in a shipped workflow, or by a wire type few nodes know."""
    wires = {tuple(f"LadiVTON_{name}" for name in pair) for pair in BESIDE}
    for file in sorted((WORKFLOWS / "api").glob("*.json")):
        graph = json.loads(file.read_text(encoding="utf-8"))
        for node in graph.values():
            sources = [value[0] for value in node["inputs"].values() if isinstance(value, list)]
            wires |= {(graph[source]["class_type"], node["class_type"]) for source in sources}
    for one in schemas.values():
        gives = {part.get_io_type() for part in one.outputs or ()}
        gives = {kind for kind in gives if kind.startswith("LADI_") or kind in SHARED_TYPES}
        for other in schemas.values():
            if one is not other and gives & {part.get_io_type() for part in other.inputs or ()}:
                wires.add((one.node_id, other.node_id))
    return {
        name: (
            [schemas[other] for other in schemas if (other, name) in wires and other != name],
            [schemas[other] for other in schemas if (name, other) in wires and other != name],
        )
        for name in schemas
    }


def english(schemas: dict[str, Any]) -> dict[str, Any]:
    """The schemas' texts in the form of `nodeDefs.json`; a socket's name is its id in words."""
    return {
        name: {
            "display_name": schema.display_name,
            "description": schema.description,
            "inputs": {
                part.id: {"name": part.display_name or part.id.replace("_", " "), "tooltip": part.tooltip}
                for part in schema.inputs or ()
            },
            "outputs": {
                str(place): {"name": part.display_name, "tooltip": part.tooltip}
                for place, part in enumerate(schema.outputs or ())
            },
        }
        for name, schema in schemas.items()
    }


def in_language(node_texts: Any, phrases: dict[str, str]) -> Any:
    """The same texts translated; what has no translation stays English, and `untranslated` names it."""
    if isinstance(node_texts, dict):
        return {key: in_language(text, phrases) for key, text in node_texts.items()}
    return phrases.get(node_texts, node_texts)


def all_texts(node_texts: Any) -> set[str]:
    """Every text of `english`, once."""
    if isinstance(node_texts, dict):
        return {text for value in node_texts.values() for text in all_texts(value)}
    return {node_texts}


def languages() -> dict[str, dict[str, str]]:
    """Language -> its phrases."""
    files = sorted(LOCALES.glob("*/phrases.json"))
    return {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def untranslated(schemas: dict[str, Any]) -> dict[str, list[str]]:
    """Language -> English texts that its phrases lack."""
    needed = all_texts(english(schemas))
    return {language: sorted(needed - phrases.keys()) for language, phrases in languages().items()}


def texts(schemas: dict[str, Any]) -> dict[Path, str]:
    """File -> what it should hold."""
    node_texts = english(schemas)
    by_language = {"en": node_texts} | {name: in_language(node_texts, known) for name, known in languages().items()}
    made = {
        LOCALES / language / "nodeDefs.json": json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        for language, content in by_language.items()
    }
    for name, (before, after) in neighbours(schemas).items():
        page = DOCS / f"{name}.md"
        old = page.read_text(encoding="utf-8") if page.is_file() else ""
        made[page] = help_page(schemas[name], old, before, after)
    return made


def loaded_schemas(comfyui: Path) -> dict[str, Any]:
    """Schemas by node id, of the pack imported as ComfyUI does."""
    sys.path.insert(0, str(comfyui))
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    spec = importlib.util.spec_from_file_location("pack_for_texts", REPOSITORY / "__init__.py")
    pack = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    nodes = asyncio.run(asyncio.run(pack.comfy_entrypoint()).get_node_list())
    return {schema.node_id: schema for schema in (node.define_schema() for node in nodes)}


def main() -> None:
    host = installation.find_or_install(tests=True)
    installation.run_inside(host)
    schemas = loaded_schemas(host.comfyui)
    for file, text in texts(schemas).items():
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            print(file.relative_to(REPOSITORY))
    for language, missing in untranslated(schemas).items():
        for text in missing:
            print(f"locales/{language}/phrases.json lacks: {text}")


if __name__ == "__main__":
    main()
