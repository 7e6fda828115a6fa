"""The library and the nodes stand on their own: what only the repository has imports them, never the other way."""

import ast

import pytest

ONLY_RELATIVELY = {"drawn_world", "scripts", "hosting", "benchmarks", "tests", "ladivton_core"}


def imported(source: str) -> set[str]:
    """Top-level packages that a module imports by absolute name, wherever in it."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in names}


def test_every_form_of_an_import_is_seen():
    source = "import a.b\nfrom c.d import e\nfrom . import f\ndef g():\n    import h as i"
    assert imported(source) == {"a", "c", "h"}


@pytest.mark.parametrize("room", ["ladivton_core", "nodes"])
def test_nothing_of_the_repository_alone_and_nothing_of_its_own_by_name_is_imported(repository, room):
    """ComfyUI gives the pack another name, and has `nodes` of its own."""
    files = list((repository / room).rglob("*.py"))
    assert len(files) > 20
    wrong = {str(file): found for file in files if (found := imported(file.read_text("utf-8")) & ONLY_RELATIVELY)}
    assert not wrong
