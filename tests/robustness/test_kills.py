"""A process killed in the middle of writing leaves whole files, and the next run takes its leftovers away."""

from __future__ import annotations

import hashlib
import http.server
import multiprocessing
import os
import random
import threading
import time

import doors
import pytest

from ladivton_core.disk import writing

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


@pytest.fixture(scope="module")
def processes():
    """Processes that start at once: their parent has imported torch already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "PIL.Image", "doors", "ladivton_core.checkpoints.conversion"])
    return context


def killed(context, work, *given) -> None:
    """Run until something has been written, then a random moment longer, then kill outright."""
    folder = given[0]
    process = context.Process(target=work, args=given, daemon=True)
    process.start()
    while not any(folder.rglob("*")) and process.is_alive():
        time.sleep(0.002)
    time.sleep(random.random() * 0.1)
    assert process.is_alive(), "it ended by itself"
    process.kill()
    process.join()


@pytest.mark.parametrize("name", doors.DOORS)
def test_a_killed_writer_leaves_whole_files(processes, kills, tmp_path, name):
    work, whole = doors.DOORS[name]
    for _ in range(kills):
        killed(processes, work, tmp_path)
        whole(tmp_path)
    for folder in {path.parent for path in tmp_path.rglob("*")}:
        writing.clean(folder)  # as the next run's first file does
    assert not list(tmp_path.rglob("*.part"))
    whole(tmp_path)


def test_two_processes_in_one_folder_leave_each_others_files_alone(processes, tmp_path):
    """Two servers with one output folder: the same names again and again, and both clean up."""
    work, whole = doors.DOORS["results"]
    both = [processes.Process(target=work, args=(tmp_path,), daemon=True) for _ in range(2)]
    for process in both:
        process.start()
    for _ in range(5):
        time.sleep(0.1)
        for folder in {path.parent for path in tmp_path.rglob("*")}:
            assert writing.clean(folder) == 0  # a third one comes: nothing here is left behind
    assert all(process.is_alive() for process in both)
    for process in both:
        process.kill()
        process.join()
    whole(tmp_path)


def test_a_killed_download_leaves_nothing_under_the_models_name_but_the_model(processes, kills, tmp_path):
    content = os.urandom(1 << 20)
    sha256 = hashlib.sha256(content).hexdigest()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            for start in range(0, len(content), 1 << 16):
                try:
                    self.wfile.write(content[start : start + (1 << 16)])
                except ConnectionError:
                    return
                time.sleep(0.001)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/model.bin"
    try:
        for _ in range(kills):
            killed(processes, doors.download, tmp_path, url, sha256)
            model = tmp_path / "model.bin"
            assert not model.exists() or model.read_bytes() == content
        from ladivton_core.checkpoints.download import download

        download([url], tmp_path / "model.bin", sha256=sha256, progress=False)
        assert (tmp_path / "model.bin").read_bytes() == content
        writing.clean(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["model.bin"]
    finally:
        server.shutdown()
