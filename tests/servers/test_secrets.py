"""What an address holds beside its path is sent where it belongs, and stands in nothing that is printed or written."""

from __future__ import annotations

import http.server
import io
import subprocess
import threading
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest
from hosting.places import SAMPLES
from PIL import Image

SECRETS = ("s3cret", "t0ken", "wr0ng", "fr4gment", "bWU6czNjcmV0", "shopper", "h3ader")
"""Passwords, tokens, what stands after `#`, a login as servers are told it, users, a header's value."""


class Gateway(http.server.ThreadingHTTPServer):
    """The samples, for whoever says the token or the login."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.let_in: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def address(self, path: str, token: str = "t0ken", login: str = "") -> str:
        return f"http://{login}127.0.0.1:{self.server_port}/{path}?token={token}#fr4gment"


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if (
            parse_qs(parts.query).get("token") != ["t0ken"]
            and self.headers["Authorization"] != "Basic c2hvcHBlcjpzM2NyZXQ="
        ):
            return self.send_error(401)
        self.server.let_in.append(parts.path)
        file = (SAMPLES / unquote(parts.path).lstrip("/")).resolve()
        if not file.is_relative_to(SAMPLES) or not file.is_file():
            return self.send_error(404)
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def gateway():
    server = Gateway()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def tables(gateway, tmp_path) -> list[str]:
    """People behind a login, garments behind tokens: two that come, one of a wrong token, one away, one no picture."""
    shirts = {
        f"shirt-{number}": gateway.address(f"datasets/vitonhd/test/cloth/0000{number}_00.jpg") for number in (1, 2)
    }
    shirts["refused"] = gateway.address("datasets/vitonhd/test/cloth/00003_00.jpg", "wr0ng")
    shirts["away"] = gateway.address("datasets/vitonhd/test/cloth/away.jpg")
    shirts["text"] = gateway.address("catalogue/garments.csv")
    lines = [f"{name},{address},upper_body" for name, address in shirts.items()]
    (tmp_path / "garments.csv").write_text("\n".join(["id,picture,category,colour", *lines]))
    people = gateway.address("catalogue/persons.csv", login="shopper:s3cret@")
    return [f"--persons={people}", f"--garments={tmp_path / 'garments.csv'}", f"--out={tmp_path / 'out'}"]


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def require_nothing_secret(out: Path, *runs: subprocess.CompletedProcess) -> None:
    """Neither printed, nor in any file of the run, packed or not, nor in a file's name."""
    from ladivton_core.disk.store import open_store, read_index

    printed = "".join(done.stdout + done.stderr for done in runs)
    files = [path for path in out.rglob("*") if path.is_file()]
    shown = printed + repr(read_index(open_store(out))) + repr(files)
    written = b"".join(path.read_bytes() for path in files)
    for secret in SECRETS:
        assert secret not in shown
        assert secret.encode() not in written


@pytest.mark.long
def test_a_run_on_servers_tells_and_keeps_no_secret_of_any_address(start, gateway, tables, tmp_path, give):
    def lets_in(path, headers):
        return parse_qs(urlsplit(path).query).get("token") == ["t0ken"] and headers["X-Key"] == "h3ader"

    server, gone = start(picture=picture(), lets_in=lets_in), start(lets_in=lets_in)
    gone.close()
    hosts = ",".join(f"{one.url.replace('//', '//me:s3cret@')}/?token=t0ken#fr4gment" for one in (server, gone))
    engine = ["--engine=comfyui", f"--hosts={hosts}", "--header=X-Key: h3ader"]
    command = [*tables, *engine]
    looked, told, made = give(command, [*command, "--no-look", "--dry-run"], [*command, "--no-look"])
    assert looked.returncode == 1 and "nothing was started" in looked.stderr
    assert "401 Unauthorized" in looked.stderr and "there is no file http://127.0.0.1" in looked.stderr
    assert told.returncode == 0 and made.returncode == 1, told.stderr + made.stderr
    assert "cannot be used now" in made.stderr and "refused is left out" in made.stderr
    assert made.stderr.count("is left out") >= 6 and len(list((tmp_path / "out").rglob("*.png"))) >= 6
    assert "/datasets/vitonhd/test/image/00001_00.jpg" in gateway.let_in
    require_nothing_secret(tmp_path / "out", looked, told, made)


@pytest.mark.long
def test_a_run_of_ones_own_neither(gateway, tables, tmp_path, give):
    (made,) = give([*tables, "--no-look", "--height=128", "--width=96", "--steps=1"])
    assert made.returncode == 1 and made.stderr.count("is left out") == 9
    assert len(list((tmp_path / "out" / "upper_body").rglob("*.png"))) == 6
    assert "cannot be read as a picture" in made.stderr and "there is no file http://127.0.0.1" in made.stderr
    require_nothing_secret(tmp_path / "out", made)
