"""Downloads from a server that breaks off, forgets ranges, moves, lies or has the wrong file; and from a full disk."""

import errno
import hashlib
import http.server
import json
import re
import threading
from pathlib import Path

import pytest

from ladivton_core.checkpoints import download as module
from ladivton_core.checkpoints.__main__ import main
from ladivton_core.checkpoints.download import DownloadError, download
from ladivton_core.checkpoints.inventory import sources

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at /file; what goes wrong is set by the test."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag, self.ranges = CONTENT, '"one"', True
        self.cuts = []  # a response for every entry, broken off after so many bytes
        self.seen = []  # (path, Range)
        self.logins = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.seen.append((self.path, asked))
        server.logins.append(self.headers["Authorization"])
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", f"{server.url}/file")
            self.end_headers()
            return
        if self.path.partition("?")[0] != "/file":
            self.send_error(404)
            return
        start = 0
        if asked and server.ranges and self.headers.get("If-Range") == server.etag:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
        if start and start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.end_headers()
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", server.etag)
        self.end_headers()
        self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class FullDisk:
    """A file on a disk with room for 5000 bytes."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        if self.file.tell() + len(data) > 5000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)


def fetch(urls, target, **options):
    urls = [urls] if isinstance(urls, str) else urls
    return download(urls, target, **{"pause": 0, "progress": False, "retries": 1} | options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_and_alone(server, tmp_path):
    assert fetch(f"{server.url}/file", tmp_path / "new" / "a.pth", sha256=SHA256.upper()) == SHA256
    assert (tmp_path / "new" / "a.pth").read_bytes() == CONTENT
    assert names(tmp_path / "new") == ["a.pth"]


@pytest.mark.parametrize("ending", [".part", ".part.lock"])
def test_a_part_that_is_a_link_is_not_written_through(server, tmp_path, ending):
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    (tmp_path / f"a{ending}").symlink_to(other)
    with pytest.raises(DownloadError, match=f"a{ending} is a link"):
        fetch(f"{server.url}/file", tmp_path / "a")
    assert other.read_bytes() == b"mine" and not server.seen


def test_a_proxy_is_not_asked_for_this_machine(server, tmp_path, nobody, monkeypatch):
    monkeypatch.setenv("http_proxy", nobody)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert fetch(f"{server.url}/file", tmp_path / "a") == SHA256


def test_a_broken_connection_is_resumed(server, tmp_path):
    server.cuts = [1000, 2000]
    fetch(f"{server.url}/file", tmp_path / "a", sha256=SHA256)
    assert [asked for _, asked in server.seen] == [None, "bytes=1000-", "bytes=3000-"]


def test_an_interrupted_command_goes_on_the_next_time(server, tmp_path):
    server.cuts = [1000, 0, 0]
    with pytest.raises(DownloadError, match="1,000 bytes are kept in .*a.part; run the command again"):
        fetch(f"{server.url}/file", tmp_path / "a")
    server.seen.clear()
    fetch(f"{server.url}/file", tmp_path / "a", sha256=SHA256)
    assert server.seen == [("/file", "bytes=1000-")] and names(tmp_path) == ["a"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, tmp_path):
    server.cuts = [1000, 0, 0]
    with pytest.raises(DownloadError):
        fetch(f"{server.url}/file", tmp_path / "a")
    server.content, server.etag = CONTENT[::-1], '"two"'
    fetch(f"{server.url}/file", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_or_with_weak_etags_starts_anew(server, tmp_path):
    for server.ranges, server.etag in ((False, '"one"'), (True, 'W/"one"')):
        server.cuts = [1000]
        fetch(f"{server.url}/file", tmp_path / "a", sha256=SHA256)


def test_a_part_that_was_complete_is_not_fetched_again(server, tmp_path):
    (tmp_path / "a.part").write_bytes(CONTENT)
    (tmp_path / "a.part.json").write_text(json.dumps({"url": f"{server.url}/file", "validator": '"one"'}))
    fetch(f"{server.url}/file", tmp_path / "a", sha256=SHA256)
    assert server.seen == [("/file", f"bytes={len(CONTENT)}-")]


def test_a_part_of_unknown_origin_is_not_continued(server, tmp_path):
    (tmp_path / "a.part").write_bytes(b"something else")
    (tmp_path / "a.part.json").write_text("{")
    fetch(f"{server.url}/file", tmp_path / "a", sha256=SHA256)


def test_redirects_are_followed_and_keep_the_range(server, tmp_path):
    server.cuts = [1000]
    fetch(f"{server.url}/moved", tmp_path / "a", sha256=SHA256)
    assert server.seen[-1] == ("/file", "bytes=1000-")


def test_the_next_mirror_is_asked(server, nobody, tmp_path, caplog):
    fetch([f"{server.url}/gone", f"{nobody}/file", f"{server.url}/file"], tmp_path / "a", sha256=SHA256)
    assert "gone: the server answers 404" in caplog.text and f"{nobody}/file: the connection broke" in caplog.text
    with pytest.raises(DownloadError, match="(?s)a could not be downloaded.*404.*connection broke"):
        fetch([f"{server.url}/gone", f"{nobody}/file"], tmp_path / "a")


def test_a_wrong_hash_keeps_the_file_aside(server, tmp_path):
    (tmp_path / "a").write_bytes(b"the old one")
    with pytest.raises(DownloadError, match=f"wrong SHA-256: {SHA256} instead of 0000.*kept as .*a.wrong-sha256"):
        fetch(f"{server.url}/file", tmp_path / "a", sha256="0" * 64)
    assert names(tmp_path) == ["a", "a.wrong-sha256"]
    assert (tmp_path / "a").read_bytes() == b"the old one"


def test_a_disk_too_small_is_noticed_before_the_first_byte(server, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": len(CONTENT) - 1})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(DownloadError, match="The disk is full: 0 MB are needed in"):
        fetch(f"{server.url}/file", tmp_path / "a")
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_leaves_a_part_to_go_on_from(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 4096)
    opened = Path.open

    def with_a_full_disk(path, *given, **named):
        file = opened(path, *given, **named)
        if path.name == "a.part" and given == ("ab",):
            return FullDisk(file)
        return file

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", with_a_full_disk)
        with pytest.raises(DownloadError, match="disk is full: No space left.*\n.*4,096 bytes are kept"):
            fetch(f"{server.url}/file", tmp_path / "a")
    fetch(f"{server.url}/file", tmp_path / "a", sha256=SHA256)
    assert server.seen[-1] == ("/file", "bytes=4096-")


def test_only_the_web_is_asked(tmp_path):
    (tmp_path / "secret").write_text("x")
    with pytest.raises(DownloadError, match="not an http or https address"):
        fetch((tmp_path / "secret").as_uri(), tmp_path / "a")
    with pytest.raises(DownloadError, match="no address is known for a; give one with --url"):
        fetch([], tmp_path / "a")


# --- the command


def test_the_list_of_sources_is_sound():
    for source in sources():
        assert all(url.startswith("https://") for url in source.urls) and source.urls
        assert source.sha256 is None or re.fullmatch("[0-9a-f]{64}", source.sha256)
        assert (source.channels is not None) == (source.part == "unet")
    assert len({source.name for source in sources()}) == len(sources())
    assert main(["download"]) == 0


def test_the_command_says_what_it_does_not_know_and_what_went_wrong(server, tmp_path, caplog):
    caplog.set_level("INFO")
    here = ["--models", str(tmp_path), "--url", f"{server.url}/file"]
    assert main(["download", "dresscode_masks.zip", *here]) == 0
    assert f"no SHA-256 is known to compare with; this one has {SHA256}" in caplog.text
    assert (tmp_path / "ladi_vton" / "dresscode_masks.zip").read_bytes() == CONTENT
    server.seen.clear()
    assert main(["download", "dresscode_masks.zip", *here]) == 0 and not server.seen  # is there already
    assert main(["download", "hat.pth", "--models", str(tmp_path)]) == 1
    assert "no known file or group; groups are vitonhd, dresscode, sd2, training" in caplog.text
    assert main(["download", "vitonhd", *here]) == 1
    assert "--url and --sha256 are those of one file; these are 4" in caplog.text


def test_a_page_in_place_of_weights_does_not_keep_the_models_name(server, tmp_path, caplog):
    server.content = b"<html>Please log in</html>"
    where = ["--models", str(tmp_path), "--url", f"{server.url}/file"]
    assert main(["download", "emasc_vitonhd.pth", *where]) == 1
    assert "what came is not emasc_vitonhd.pth" in caplog.text
    assert names(tmp_path / "ladi_vton") == ["emasc_vitonhd.pth.wrong-content"]


def test_the_command_fetches_and_verifies_a_model(server, tmp_path, caplog):
    from ladivton_core.embedded import embedded_path

    caplog.set_level("INFO")
    server.content = embedded_path("emasc").read_bytes()
    where = ["--models", str(tmp_path), "--url", f"{server.url}/file", "--sha256"]
    assert main(["download", "emasc_vitonhd.pth", *where, hashlib.sha256(server.content).hexdigest()]) == 0
    assert "(emasc of tiny); SHA-256 right" in caplog.text
    assert main(["download", "emasc_vitonhd.pth", *where, "0" * 64]) == 1  # is there, and not that one
    assert main(["download", "emasc_vitonhd.pth", "--force", *where, "0" * 64]) == 1


def test_two_commands_never_write_one_file(server, tmp_path):
    """Without a known hash a file mixed from two would keep the model's name."""
    from ladivton_core.checkpoints import download as module

    target = tmp_path / "model.bin"
    with module._alone(target), pytest.raises(DownloadError, match="model.bin is being fetched .* by another command"):
        fetch(f"{server.url}/file", target)
    assert names(tmp_path) == []
    fetch(f"{server.url}/file", target)
    assert names(tmp_path) == ["model.bin"]


def test_an_addresss_secrets_are_sent_and_neither_told_nor_kept(server, tmp_path, caplog):
    server.cuts = [3000, 0, 0]
    secret = f"http://me:s3cret@127.0.0.1:{server.server_port}"
    with pytest.raises(DownloadError, match="bytes are kept") as told:
        download([f"{secret}/gone?token=t0ken", f"{secret}/file?token=t0ken#fragment"], tmp_path / "a.bin", retries=1,
                 pause=0, progress=False)  # fmt: skip
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for word in ("s3cret", "t0ken", "fragment"):
        assert word not in str(told.value) + caplog.text and word.encode() not in written
    assert set(server.logins) == {"Basic bWU6czNjcmV0"}
    server.cuts = []
    assert download([f"{secret}/file?token=t0ken"], tmp_path / "a.bin", sha256=SHA256, progress=False) == SHA256
    assert server.seen[-1] == ("/file?token=t0ken", "bytes=3000-")
    server.logins.clear()
    assert download([f"{secret}/moved"], tmp_path / "b.bin", progress=False) == SHA256
    assert server.logins == ["Basic bWU6czNjcmV0", None]
