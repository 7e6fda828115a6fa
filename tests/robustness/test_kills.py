"""A process killed in the middle of writing leaves whole files, and the next run takes its leftovers away."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import multiprocessing
import os
import random
import signal
import threading

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


def killed(context, work, step: int, *given) -> None:
    """Run it until it is about to touch the disk for the `step`-th time, and no further."""
    process = context.Process(target=doors.until_killed, args=(work, step, *given))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"it ended by itself, before step {step}"


def clean_up(folder) -> None:
    """What a run does in its folders, when those who were killed have been dead for a day."""
    for path in [*folder.rglob("*.part")]:
        assert writing.clean(path.parent) == 0  # somebody may be writing it
        then = path.stat().st_mtime - writing.FORGOTTEN - 1
        os.utime(path, (then, then))
        assert writing.clean(path.parent) == 1


@pytest.mark.parametrize("name", doors.DOORS)
def test_a_killed_writer_leaves_whole_files(processes, steps, tmp_path, name):
    work, whole = doors.DOORS[name]
    for step in steps:
        killed(processes, work, step, tmp_path)
        whole(tmp_path)
    clean_up(tmp_path)
    assert not list(tmp_path.rglob("*.part"))
    whole(tmp_path)


def test_two_processes_in_one_folder_leave_each_others_files_alone(processes, tmp_path):
    """Two servers with one output folder: the same names again and again, and both clean up."""
    work, whole = doors.DOORS["results"]
    both, told = [], []
    for _ in range(2):
        here, there = processes.Pipe(duplex=False)
        both.append(processes.Process(target=doors.telling, args=(work, there, tmp_path), daemon=True))
        both[-1].start()
        there.close()  # so that its end is heard of
        told.append(here)
    for _ in range(5):
        assert all(one.recv() for one in told)  # each has written all of them once more
        for folder in {path.parent for path in tmp_path.rglob("*")}:
            assert writing.clean(folder) == 0  # a third one comes: nothing here is left behind
    assert all(process.is_alive() for process in both)
    for process in both:
        process.kill()
        process.join()
    whole(tmp_path)


def test_a_killed_download_leaves_nothing_under_the_models_name_but_the_model(processes, steps, tmp_path):
    content = random.Random(0).randbytes(1 << 20)

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the one who asked was killed
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/model.bin"
        model = tmp_path / "model.bin"
        for step in steps:
            killed(processes, doors.download, step, tmp_path, url, content)
            assert not model.exists() or model.read_bytes() == content
        from ladivton_core.checkpoints.download import download

        download([url], model, sha256=hashlib.sha256(content).hexdigest(), progress=False)
        assert model.read_bytes() == content
        clean_up(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["model.bin"]
        server.shutdown()
