"""The pack in a folder with blanks and letters beyond ASCII, and an input folder with names that no locale knows."""

from __future__ import annotations

import os

import pytest
from hosting.client import ComfyClient
from hosting.server import ComfyServer


@pytest.mark.skipif(os.name == "nt", reason="names of bytes, and locales")
def test_odd_names_on_the_disk_leave_all_nodes(comfy_host, monkeypatch, tmp_path):
    monkeypatch.setattr("hosting.server.PACK_NAME", "LaDI VTON (Kopie) Ärmel")
    for name in (b"\xff\xfe.png", "Zoë.png".encode(), b"\xff.json"):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
            pass
    os.mkdir(os.path.join(os.fsencode(tmp_path), b"\xffdata"))
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    locale = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
    with ComfyServer(comfy_host, ("--input-directory", str(tmp_path)), environment=locale) as server:
        assert server.failed_imports() == []
        nodes = ComfyClient(server.url).object_info()
        assert {"LadiVTON_LoadPicture", "LadiVTON_DatasetSample", "LadiVTON_LoadEmbedded"} <= set(nodes)
        assert "[example] person.png" in nodes["LadiVTON_LoadPicture"]["input"]["required"]["image"][1]["options"]
