"""The pack's examples in lists: the name comes first, names of older files keep meaning the same, nothing is hooked."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace

import pytest

LISTS = {"LoadPicture": "image", "LoadKeypoints": "file", "LoadParseMap": "file"}


@pytest.fixture
def listing(module):
    return module("nodes.host.listing")


def examples(nodes, node: str) -> list[str]:
    inputs = nodes[f"LadiVTON_{node}"].define_schema().inputs
    return [name for name in next(box.options for box in inputs if box.id == LISTS[node]) if "[example]" in name]


@pytest.mark.parametrize("node", LISTS)
def test_an_entry_begins_with_its_name_and_every_way_to_say_it_is_one_file(nodes, listing, node):
    offered = examples(nodes, node)
    assert offered
    for entry in offered:
        file = listing.find_input(entry)
        assert file.parent == listing.SAMPLES and entry.startswith(file.stem)
        for other in (f"[example] {file.name}", f"{file.name} [example]"):
            assert listing.find_input(other) == file
            assert nodes[f"LadiVTON_{node}"].validate_inputs(**{LISTS[node]: other}) is True


def test_pictures_are_laid_where_the_page_looks_for_them(nodes, listing, monkeypatch, tmp_path):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(tmp_path / "temp"))
    listing.show_examples()
    for entry in examples(nodes, "LoadPicture"):
        copy = folder_paths.get_annotated_filepath(entry)  # as ComfyUI reads a name
        with open(copy, "rb") as file:
            assert file.read() == listing.find_input(entry).read_bytes()


def test_a_folder_that_cannot_be_written_costs_the_pictures_on_the_page_alone(
    nodes, run, listing, monkeypatch, tmp_path, caplog
):
    import folder_paths

    (tmp_path / "file").touch()
    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(tmp_path / "file" / "temp"))
    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path / "file" / "input"))
    listing.show_examples()
    assert "will not show LaDI-VTON's example pictures" in caplog.text
    for entry in examples(nodes, "LoadPicture"):
        assert run("LoadPicture", image=entry)[0].shape[1:] == (512, 384, 3)


def test_the_server_is_left_as_it_is(pack, monkeypatch):
    from aiohttp import web
    from hosting import in_process

    app = web.Application()
    server = SimpleNamespace(
        PromptServer=SimpleNamespace(instance=SimpleNamespace(app=app, routes=web.RouteTableDef()))
    )
    monkeypatch.setitem(sys.modules, "server", server)
    anew = in_process.import_pack(in_process.Path(pack.__file__).parent, "pack_beside_a_server")
    asyncio.run(asyncio.run(anew.comfy_entrypoint()).get_node_list())
    assert not app.middlewares and not list(app.router.routes()) and not list(server.PromptServer.instance.routes)
