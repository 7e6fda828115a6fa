"""What the one writer promises: whole or not there, the old one untouched, nothing left behind."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from ladivton_core.datasets.results import result_path, write_pictures
from ladivton_core.disk import locking, names, tensors, writing
from ladivton_core.training.commands import END, START, note

REPOSITORY = Path(__file__).resolve().parents[2]


def left(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def full_disk(monkeypatch):
    """Every file's bytes reach a disk that is full."""

    def no_room(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", no_room)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: writing.write_text(path, "new"),
        lambda path: writing.write_json({"new": 1}, path),
        lambda path: writing.write_picture(Image.new("RGB", (4, 4)), path),
        lambda path: tensors.write_tensors(path, {"new": torch.ones(3)}),
        lambda path: write_pictures(
            [Image.new("RGB", (4, 4))] * 2, [path, path.with_name("other.png")], overwrite=True
        ),
    ],
)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, full_disk, write):
    path = tmp_path / "x.png"
    path.write_text("precious")
    with pytest.raises(OSError, match="x.png could not be written: No space left on device; make room"):
        write(path)
    assert path.read_text() == "precious" and left(tmp_path) == ["x.png"]


def test_a_full_disk_does_not_cost_the_model_card(tmp_path, full_disk):
    card = tmp_path / "CARD.md"
    card.write_text(f"# Mine\n\nmy words\n{START}\n{END}\n")
    before = card.read_text()
    with pytest.raises(OSError, match="make room"):
        note(card, {"preset": "vitonhd", "stages": {}})
    assert card.read_text() == before


def test_an_error_inside_the_block_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), writing.whole_file(tmp_path / "x") as file:
        file.write(b"half")
        raise KeyError
    assert left(tmp_path) == []


def test_the_hidden_name_is_short_whatever_the_final_one_is(tmp_path):
    name = "ä" * 125 + ".json"
    assert len(os.fsencode(name)) == 255
    with writing.whole_file(tmp_path / name) as file:
        (part,) = left(tmp_path)
        assert part.startswith(".") and part.endswith(".part") and len(part) < 48
        file.write(b"{}")
    assert left(tmp_path) == [name]
    with pytest.raises(OSError, match="too long for a name; choose a shorter one"):
        writing.write_text(tmp_path / f"a{name}", "x")
    assert left(tmp_path) == [name]


def test_a_link_stays_a_link_and_rights_stay_as_they_were(tmp_path):
    real, link = tmp_path / "real" / "x.json", tmp_path / "x.json"
    real.parent.mkdir()
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    writing.write_text(link, "new")
    assert link.is_symlink() and real.read_text() == "new" and stat.S_IMODE(real.stat().st_mode) == 0o640


def test_what_a_killed_run_left_goes_after_a_day_and_nothing_else_does(tmp_path):
    fresh, old, foreign = ".00000000.part", ".00000001.part", ".other.part"
    for name in (fresh, old, foreign, "x"):
        (tmp_path / name).touch()
        if name != fresh:
            os.utime(tmp_path / name, (0, 0))
    assert writing.clean(tmp_path) == 1
    assert left(tmp_path) == sorted([fresh, foreign, "x"])


# --- names


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("NUL.jpg", "device"), ("con", "device"), ("Com1.png", "device"), ("lpt9.tar.gz", "device"),
        ("a.jpg ", "blank"), ("a.jpg.", "dot"), (" a.jpg", "blank"), ("a\x1b[2J.jpg", "plain"),
        ("a\ud800.jpg", "plain"),
        ("a\n.jpg", "plain"), ("..", "plain"), ("a/b", "plain"), ("a:b.jpg", "plain"), ("x" * 300, "too long"),
    ],
)  # fmt: skip
def test_names_that_some_system_refuses_are_refused_with_the_reason(tmp_path, name, why):
    assert why in names.fault_of_name(name)
    with pytest.raises(ValueError, match="cannot be the name of a file"):
        result_path(tmp_path, "paired", "dresses", name)


@pytest.mark.parametrize("name", ["00001_00.jpg", "my model (2).png", "ärmel.jpg", "console.jpg", ".hidden", "a" * 250])
def test_names_that_hold_everywhere_pass(name):
    assert names.fault_of_name(name) is None


def test_twins_in_letter_case_or_accents_are_one_file(tmp_path):
    picture = Image.new("RGB", (4, 4))
    for one, other in (("A.png", "a.png"), ("\u00e4.png", "a\u0308.png")):
        with pytest.raises(ValueError, match="2 pictures for 1 different files"):
            write_pictures([picture, picture], [tmp_path / one, tmp_path / other])
    assert left(tmp_path) == []


def test_texts_hold_no_orders_to_a_terminal():
    assert names.printable("a\x1b[2J\x9b\ud800\u202eb\nc") == "a\\x1b[2J\\x9b\\ud800\\u202eb\nc"
    assert names.in_one_line("a\nb\tc") == "a\\nb\\tc"


def test_every_refusal_of_the_disk_says_which_file_why_and_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for path, kind, said in (
        (tmp_path / "file" / "a.txt", OSError, "a.txt could not be written: .*; a file has the name of one"),
        (tmp_path / "folder.txt", IsADirectoryError, "folder.txt could not be written: Is a directory; a folder has"),
        (tmp_path / "circle" / "a.txt", OSError, "a.txt could not be written: .*; .* choose another folder"),
        (
            tmp_path.joinpath(*["long"] * 1500, "a.txt"),
            OSError,
            "could not be written: .*; choose a folder with",
        ),
    ):
        with pytest.raises(kind, match=said):
            writing.write_text(path, "x")
    for code, said in (
        (errno.EACCES, "allow writing"),
        (errno.EROFS, "choose a folder on a disk"),
        (errno.EIO, "nothing was"),
    ):

        def refuses(*_, code=code):
            raise OSError(code, os.strerror(code), "some.part")

        monkeypatch.setattr(writing.os, "replace", refuses)
        with pytest.raises(OSError, match=f"a.txt could not be written: .*; {said}") as refused:
            writing.write_text(tmp_path / "a.txt", "x")
        assert refused.value.errno == code and "some.part" not in str(refused.value)
    assert left(tmp_path) == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="resource limits")
def test_a_file_larger_than_the_process_may_write_leaves_nothing(tmp_path):
    """`ulimit -f`: writing fails in the middle of the file, not at its end."""
    import subprocess
    import sys

    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "from ladivton_core.disk import writing\n"
        "path = Path(sys.argv[1])\n"
        "for size in (10_000, 1_000_000):\n"
        "    try: writing.write_bytes(path, bytes(size))\n"
        "    except OSError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.bin")], capture_output=True, text=True)
    assert "x.bin could not be written: File too large; this disk or this process" in done.stdout, done.stderr
    assert left(tmp_path) == ["x.bin"] and (tmp_path / "x.bin").stat().st_size == 10_000


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://h/a.png?token=x", "http://h/a.png"),
        ("https://user:x@h:80/a/b#x", "https://h:80/a/b"),
        ("https://user:x/y@h/a?b", "https://h/a"),
        ("https://user:x#y?z@h/a", "https://h/a"),
        ("https://us@er:x@h", "https://h"),
        ("http://h?token=a/b@c", "http://h"),
        ("http://[::1]:80/?token=a@b", "http://[::1]:80/"),
        ("s3://key:x@bucket/a b.png?versionId=x y", "s3://bucket/a b.png"),
        ("http://h/@somebody/a.png", "http://h/@somebody/a.png"),
        ("/a/b?c#d", "/a/b?c#d"),
        ("host:8188", "host:8188"),
    ],
)
def test_secrets_of_an_address_are_hidden(address, shown):
    assert names.hide_secrets(address) == names.hide_secrets(shown) == shown


def test_secrets_of_addresses_in_a_text_are_hidden():
    text = "no 'http://u:x@h/a?token=x': asked (https://h/b#x), s3://b/c?x, and a?b@c"
    assert names.hide_secrets_in(text) == "no 'http://h/a': asked (https://h/b), s3://b/c, and a?b@c"


def test_a_lock_is_held_by_one_and_let_go_of_when_its_holder_is_killed(tmp_path):
    path = tmp_path / ".lock"
    code = (
        "import sys, time; from pathlib import Path; from ladivton_core.disk.locking import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(locking.Locked, match=f"process {holder.pid} on "), locking.locked(path):
        pass
    holder.kill()
    holder.communicate()
    ours = pytest.raises(locking.Locked, match=f"process {os.getpid()} on ")
    with locking.locked(path), ours, locking.locked(path):
        pass
    with locking.locked(path):
        pass
    assert left(tmp_path) == ([".lock"] if os.name == "nt" else [])


def test_a_disk_without_locks_is_said_and_used(tmp_path, monkeypatch, caplog):
    def none(_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locking, "_lock", none)
    with locking.locked(tmp_path / ".lock"), locking.locked(tmp_path / ".lock"):
        assert "cannot be locked (No locks available)" in caplog.text
