"""Write what the pack says where ComfyUI looks for it: `locales/*/nodeDefs.json` and `main.json`, `web/docs/**/*.md`.

python scripts/make_texts.py

Languages other than English are made of `locales/<language>/phrases.json`, English text -> translation, which a person
writes: of nodes, help pages (a line each), options, titles and notes of the templates (a line each) and the page's own
words. Where an English text changes, its translation is missing and has to be looked at. A text that names an option or
an input in quotes, 'crop', gets what the page shows in its place; what stands in `code` is kept. `main.json` is what
`web/js/languages.js` and `option_labels.js` read.

A help page is made of the node's schema (name, description, inputs, outputs), of the pictures and the section
"Good to know" that a person wrote on the English page, and of links to the nodes it goes together with. Run it after a
change of a node's texts; `tests/nodes/test_texts.py` compares. The help panel is narrow: lists, no tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hosting import in_process, installation
from hosting.places import REPOSITORY, WORKFLOWS

DOCS = REPOSITORY / "web" / "docs"
LOCALES = REPOSITORY / "locales"
PAGE = "ladiVton"
"""Key of `main.json`, which ComfyUI merges with its own words."""
GOOD_TO_KNOW, TOGETHER = "Good to know", "Goes together with"
SHARED_TYPES = ("POSE_KEYPOINT",)
"""Wire types beside the pack's own (LADI_...) by which two nodes are neighbours though no workflow connects them."""
BESIDE = (
    ("LoadVAE", "TryOnConditioning"), ("LoadCLIP", "TextualInversionEncoder"), ("LoadTryOnModel", "PaperSchedule"),
    ("TryOnConditioning", "GarmentSteps"), ("PaperSchedule", "GarmentSteps"), ("PaperSchedule", "EMASCDecoder"),
    ("PaperNoise", "EMASCDecoder"), ("TextualInversionEncoder", "BlendPseudoWords"),
    ("BlendPseudoWords", "TryOnConditioning"), ("LoadTryOnModel", "TryOnSpeed"), ("TryOnSpeed", "TryOnSampler"),
    ("TryOnSpeed", "PaperSchedule"), ("StitchPerson", "GarmentDetail"), ("PrepareGarment", "GarmentDetail"),
)  # fmt: skip
"""Nodes one before the other in graphs that no workflow shows, directly or with ComfyUI's own between."""
FILE_LISTS = ("image", "file", "root")
"""Combo boxes that list what lies in somebody's folders; so do those that end in `_name`."""


LABELS = {
    "mode": {"published": "as in the paper", "body": "follow the body"},
    "nobody": {"stop": "stop and say so", "pass": "let the frame pass"},
    "missing_joints": {"published": "as in the paper", "skip": "leave them out"},
    "neck": {
        "published": "as in the paper",
        "usual": "as usual",
        "cut": "repaint it",
        "repaint": "repaint it",
        "keep": "keep it",
    },
    "hands": {"usual": "as usual", "repaint": "repaint them", "keep": "keep them"},
}
"""Widget -> value -> what the page shows in its place, in English; every other value is shown as it is."""
PAGE_WORDS = ("auto",)
"""Of `web/js/recommended.js`."""
INPUT, OUTPUT = "- `{id}` ({kind}{optional}): {text}{default}", "- `{name}` ({kind}): {text}"
OPTIONAL, DEFAULT, OR = ", optional", " Default: {value}.", " or "
LINKS, AND, CHOICE = "- {side}: {links}", ", ", "`{value}`"
FORMS = (INPUT, OUTPUT, OPTIONAL, DEFAULT, OR, LINKS, AND, CHOICE)
"""Forms of a help page's lines."""


@dataclass(frozen=True)
class Language:
    """What is said in a language.

    Attributes:
        schemas: of all nodes.
        phrases: English text -> this language's; empty for English.
    """

    schemas: dict[str, Any]
    phrases: dict[str, str] = field(default_factory=dict)

    def say(self, text: str, widget: str = "") -> str:
        """A text, or itself where there is no translation.

        Args:
            widget: the input it belongs to: another one may have an option of the same name.
        """
        said = self.phrases.get(text, text)
        return re.sub(r" ?'([a-z_ ]+)' ?", lambda quoted: self._shown(quoted, widget), said) if self.phrases else said

    def _shown(self, quoted: re.Match, widget: str) -> str:
        label = {**self._everywhere, **self.labels.get(widget, {})}.get(quoted[1])
        return f"“{label}”" if label else quoted[0]

    @cached_property
    def labels(self) -> dict[str, dict[str, str]]:
        """Widget -> value -> label, where it is another one."""
        made = {}
        for widget, value in sorted(options(self.schemas)):
            label = self.phrases.get(words := LABELS.get(widget, {}).get(value, value), words)
            if label != value:
                made.setdefault(widget, {})[value] = label
        return made

    @cached_property
    def _everywhere(self) -> dict[str, str]:
        """What nodes call inputs and options in this language, by the names that texts quote."""
        inputs = {part.id for schema in self.schemas.values() for part in schema.inputs or ()}
        names = {name: self.phrases.get(name.replace("_", " ")) for name in inputs}
        return {name: label for name, label in names.items() if label} | {
            value: label for of_widget in self.labels.values() for value, label in of_widget.items()
        }

    def help_page(self, schema: Any, pictures: list[str], known: str, before: list[Any], after: list[Any]) -> str:
        """The help page of a node.

        Args:
            pictures: lines of Markdown.
            known: its "Good to know", in English.
            before: schemas of the nodes that feed this one.
            after: schemas of those it feeds.
        """
        say = self.say
        parts = [f"# {say(schema.display_name)}", say(schema.description), *map(self._line, pictures)]
        if schema.inputs:
            parts += [f"## {say('Inputs')}", "\n".join(map(self._input, schema.inputs))]
        if schema.outputs:
            parts += [f"## {say('Outputs')}", "\n".join(map(self._output, schema.outputs))]
        if known:
            parts += [f"## {say(GOOD_TO_KNOW)}", "\n".join(map(self._line, known.splitlines()))]
        sides = [
            say(LINKS).format(
                side=say(side),
                links=say(AND).join(f"[{say(node.display_name)}]({node.node_id}.md)" for node in nodes),
            )
            for side, nodes in (("Before", before), ("After", after))
            if nodes
        ]
        if sides:
            parts += [f"## {say(TOGETHER)}", "\n".join(sides)]
        return "\n\n".join(parts) + "\n"

    def _line(self, line: str) -> str:
        start, text = re.fullmatch(r"(- |!\[)?(.*)", line).groups("")
        if start == "![":
            text, place = re.fullmatch(r"(.*)(\]\(.*\))", text).groups()
            return start + self.say(text) + place
        return start + self.say(text)

    def _input(self, part: Any) -> str:
        kind = part.get_io_type().replace(",", self.say(OR))
        options = None if _lists_files(part) else getattr(part, "options", None)
        default = getattr(part, "default", None)
        if options:
            kind = self.say(OR).join(self._choice(part.id, option) for option in options)
            default = options[0] if default is None else default
        shown = self._choice(part.id, json.dumps(default) if isinstance(default, bool) else str(default))
        known = default not in (None, "") and not _lists_files(part)
        return self.say(INPUT).format(
            id=part.id, name=self.say(name_of(part)), kind=kind, text=self.say(part.tooltip, part.id),
            optional=self.say(OPTIONAL) if part.optional else "",
            default=self.say(DEFAULT).format(value=shown) if known else "",
        )  # fmt: skip

    def _choice(self, widget: str, value: str) -> str:
        return self.say(CHOICE).format(value=value, label=self.labels.get(widget, {}).get(value, "")).strip()

    def _output(self, part: Any) -> str:
        kind = part.get_io_type().replace(",", self.say(OR))
        return self.say(OUTPUT).format(name=self.say(part.display_name), kind=kind, text=self.say(part.tooltip))


def _lists_files(part: Any) -> bool:
    return hasattr(part, "options") and (part.id in FILE_LISTS or part.id.endswith("_name"))


def name_of(part: Any) -> str:
    """What the page calls an input: its id in words, where it says nothing else."""
    return part.display_name or part.id.replace("_", " ")


def options(schemas: dict[str, Any]) -> set[tuple[str, str]]:
    """Every choice of every combo box that lists no files, as widget and value."""
    parts = [part for schema in schemas.values() for part in schema.inputs or () if hasattr(part, "options")]
    return {(part.id, value) for part in parts if not _lists_files(part) for value in part.options or ()}


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
            "inputs": {part.id: {"name": name_of(part), "tooltip": part.tooltip} for part in schema.inputs or ()},
            "outputs": {
                str(place): {"name": part.display_name, "tooltip": part.tooltip}
                for place, part in enumerate(schema.outputs or ())
            },
        }
        for name, schema in schemas.items()
    }


def written(page: str) -> tuple[list[str], str]:
    """What a person wrote on an English help page: lines of pictures, and "Good to know"."""
    known = re.search(rf"^## {GOOD_TO_KNOW}\n+(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return re.findall(r"^!\[.*\]\(.*\)$", page, re.MULTILINE), known[1].strip() if known else ""


def texts_of_graphs() -> Iterator[str]:
    """What templates and blueprints say: their names, titles, groups, descriptions, and their notes line by line."""
    for file in sorted([*WORKFLOWS.glob("*.json"), *(REPOSITORY / "subgraphs").glob("*.json")]):
        graph = json.loads(file.read_text(encoding="utf-8"))
        yield file.stem
        yield from (text for text in [graph.get("extra", {}).get("BlueprintDescription")] if text)
        for part in (graph, *graph.get("definitions", {}).get("subgraphs", ())):
            yield from (group["title"] for group in part.get("groups", ()))
            for node in part["nodes"]:
                yield from (text for text in [node.get("title")] if text)
                yield from (socket["label"] for socket in node.get("inputs", ()) if "label" in socket)
                if node["type"] in ("MarkdownNote", "Note"):
                    yield from (line for line in node["widgets_values"][0].splitlines() if line.strip())


def help_texts() -> Iterator[str]:
    """What a person wrote on the English help pages, by line, and the pages' own words."""
    yield from ("Inputs", "Outputs", "Before", "After", GOOD_TO_KNOW, TOGETHER, *FORMS)
    for page in sorted(DOCS.glob("*.md")):
        pictures, known = written(page.read_text(encoding="utf-8"))
        yield from (re.match(r"!\[(.*)\]\(", line)[1] for line in pictures)
        yield from (line.removeprefix("- ") for line in known.splitlines())


def all_texts(texts: Any) -> set[str]:
    """Every text of `english`, once."""
    if isinstance(texts, dict):
        return {text for value in texts.values() for text in all_texts(value)}
    return {texts}


def texts_of_the_page(schemas: dict[str, Any]) -> set[str]:
    """What the pack's own page scripts translate: graphs, their own words, and what an empty text box shows."""
    parts = [part for schema in schemas.values() for part in schema.inputs or ()]
    return {*texts_of_graphs(), *PAGE_WORDS} | {
        part.placeholder for part in parts if getattr(part, "placeholder", None)
    }


def needed(schemas: dict[str, Any]) -> set[str]:
    """Every English text that a language has to have; options that are names translate to themselves."""
    choices = {LABELS.get(widget, {}).get(value, value) for widget, value in options(schemas)}
    return all_texts(english(schemas)) | texts_of_the_page(schemas) | set(help_texts()) | choices


def languages() -> dict[str, dict[str, str]]:
    """Language -> its phrases."""
    files = sorted(LOCALES.glob("*/phrases.json"))
    return {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def untranslated(schemas: dict[str, Any]) -> dict[str, list[str]]:
    """Language -> English texts that its phrases lack."""
    return {language: sorted(needed(schemas) - phrases.keys()) for language, phrases in languages().items()}


def in_language(language: Language) -> dict[str, Any]:
    """`english` in another language."""
    return {
        name: {
            "display_name": language.say(node["display_name"]),
            "description": language.say(node["description"]),
            **{
                side: {
                    key: {"name": language.say(text["name"]), "tooltip": language.say(text["tooltip"], key)}
                    for key, text in node[side].items()
                }
                for side in ("inputs", "outputs")
            },
        }
        for name, node in english(language.schemas).items()
    }


def texts(schemas: dict[str, Any]) -> dict[Path, str]:
    """File -> what it should hold."""
    made, around = {}, neighbours(schemas)
    pages = {name: DOCS / f"{name}.md" for name in schemas}
    hand = {name: written(page.read_text(encoding="utf-8") if page.is_file() else "") for name, page in pages.items()}
    for name, phrases in {"en": {}, **languages()}.items():
        language = Language(schemas, phrases)
        shown = {text: phrases[text] for text in sorted(texts_of_the_page(schemas)) if text in phrases}
        main = {PAGE: {"options": language.labels} | ({"texts": shown} if shown else {})}
        for file, content in (("nodeDefs", in_language(language)), ("main", main)):
            made[LOCALES / name / f"{file}.json"] = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        for node, page in pages.items():
            place = page if name == "en" else DOCS / node / f"{name}.md"
            made[place] = language.help_page(schemas[node], *hand[node], *around[node])
    return made


def main() -> None:
    host = installation.find_or_install(tests=True)
    installation.run_inside(host)
    in_process.import_comfyui(host.comfyui)
    nodes = in_process.node_classes(in_process.import_pack(REPOSITORY, "pack_for_texts"))
    schemas = {name: node.define_schema() for name, node in nodes.items()}
    for file, text in texts(schemas).items():
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
            print(file.relative_to(REPOSITORY))
    for language, missing in untranslated(schemas).items():
        for text in missing:
            print(f"locales/{language}/phrases.json lacks: {text}")
    for language, phrases in languages().items():
        if left := phrases.keys() - needed(schemas):
            kept = {text: said for text, said in phrases.items() if text not in left}
            file = LOCALES / language / "phrases.json"
            file.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"locales/{language}/phrases.json: nothing says any more: {sorted(left)}")


if __name__ == "__main__":
    main()
