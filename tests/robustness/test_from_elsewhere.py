"""What other programs hand over: colour profiles, workflows, spreadsheets, answers of servers, file names."""

from __future__ import annotations

import csv
import http.server
import io
import json
import os
import struct
import threading
import unicodedata
import zlib
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest
from hosting.graph import ROLES, with_files, with_value
from hypothesis import given
from hypothesis import strategies as st
from malformed import JSON, broken, changed
from PIL import Image, ImageCms

from ladivton_core.batch.comfyui.client import ComfyClient, PromptRejected
from ladivton_core.batch.comfyui.server import Refused, ServerGone, ask
from ladivton_core.batch.comfyui.workflow import _SHAPE as SHAPE
from ladivton_core.batch.comfyui.workflow import Workflow, read_nodes, uses_embedded, with_cores_fitting
from ladivton_core.batch.tables import read_table
from ladivton_core.checkpoints.download import DownloadError, download
from ladivton_core.checkpoints.inventory import weight_files
from ladivton_core.datasets.layouts import find
from ladivton_core.datasets.reading import open_picture
from ladivton_core.datasets.results import result_path
from ladivton_core.disk.addresses import Unreachable, read_bytes, require_there
from ladivton_core.disk.names import MAX_NAME, fault_of_name, is_hidden, is_text, printable
from ladivton_core.disk.structure import check_shape
from ladivton_core.disk.writing import write_bytes
from ladivton_core.evaluation.items import results_in
from ladivton_core.evaluation.truth import people_of
from ladivton_core.preprocessing.pictures import read_picture

ROOT = Path(__file__).resolve().parents[2]

# --- colour profiles, and what stands in their place

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MODES = {"RGB": 3, "RGBA": 4, "P": 1, "L": 1, "LA": 2, "CMYK": 4, "1": 1, "I;16": 1}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("mode", "kind"), [("RGB", "PNG"), ("P", "PNG"), ("L", "TIFF"), ("CMYK", "JPEG"), ("RGBA", "WEBP")]
)
@given(profile=broken(SRGB) | st.binary(max_size=300))
def test_broken_colour_profiles_cost_the_profile_at_most(desk, mode, kind, profile):
    path = desk / f"profile.{kind.lower()}"
    Image.linear_gradient("L").resize((24, 32)).convert(mode).save(path, kind, icc_profile=profile)
    colours, opacity = read_picture(path)
    assert colours.shape == (3, 32, 24) and opacity.shape == (1, 32, 24)
    assert float(colours.min()) >= 0 and float(colours.max()) <= 1
    assert open_picture(path).size == (24, 32)


CHUNKS = {"cICP": (4, 4), "gAMA": (4, 4), "cHRM": (32, 32), "sRGB": (1, 1), "iCCP": (0, 60)}


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(data=st.data(), mode=st.sampled_from(("RGB", "RGBA", "P", "L", "LA", "1", "I;16")))
def test_whatever_a_png_says_of_its_colours_it_is_read_or_refused_by_name(desk, data, mode):
    buffer = io.BytesIO()
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(4, 3) * 20).convert("I;16" if mode == "I;16" else mode).save(
        buffer, "PNG"
    )
    content = buffer.getvalue()
    for name in data.draw(st.lists(st.sampled_from(sorted(CHUNKS)), max_size=4)):
        small, large = CHUNKS[name]
        body = name.encode() + data.draw(st.binary(min_size=small, max_size=large) | st.just(b"\0" * small))
        content = (
            content[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + content[33:]
        )
    path = desk / "said.png"
    path.write_bytes(content)
    for read in (read_picture, open_picture):
        try:
            read(path)
        except ValueError as error:
            assert path.name in str(error) and printable(str(error)) == str(error)


# --- workflow files of the page

PAGE = json.loads(next((ROOT / "workflows").glob("Try-on, start here.json")).read_text("utf-8"))
API, PHOTO = (
    json.loads((ROOT / f"workflows/api/{name}.json").read_text("utf-8")) for name in ("tryon_embedded", "tryon_photo")
)


@given(data=st.data())
def test_workflows_of_any_shape_are_read_or_refused_by_name(desk, sample_client, data):
    path = desk / "mine.json"
    document = data.draw(changed(PAGE) | changed(API) | JSON)
    encoding = data.draw(st.sampled_from(("utf-8", "utf-8-sig", "utf-16")))
    content = json.dumps(document).encode(encoding)
    path.write_bytes(data.draw(st.just(content) | broken(content)))
    for read in (read_nodes, sample_client.read_workflow):
        try:
            nodes = read(path)
        except (ValueError, sample_client.TryOnError) as error:
            assert "mine.json" in str(error) and printable(str(error)) == str(error) and "API" in str(error)
        else:
            assert all(
                isinstance(node["class_type"], str) and isinstance(node["inputs"], dict) for node in nodes.values()
            )
            assert nodes or read is read_nodes


@given(document=changed(API) | changed(PHOTO))
def test_what_is_read_as_a_workflow_is_filled_in_or_refused_in_words(sample_client, document):
    """Inputs that are lists and no wires, wires from nodes that are not there, titles of any kind."""
    try:
        check_shape(document, SHAPE)
    except ValueError:
        return
    files = {role: Path("x") for role in ROLES}
    values = {"person": "a", "garment": "b", "keypoints": "c", "parse_map": "d", "category": "dresses", "seed": 3}
    for use in (
        lambda: Workflow(document, "mine.json").fill(values),
        lambda: Workflow(document, "mine.json").without,
        lambda: with_cores_fitting(document),
        lambda: uses_embedded(document),
        lambda: with_files(document, files, lambda file, name: name),
        lambda: with_value(document, "category", "dresses"),
        lambda: sample_client.set_files(document, {"person": "a", "garment": "b"}),
        lambda: sample_client.fit_person(document),
        lambda: sample_client.set_value(document, "seed", 3),
    ):
        try:
            use()
        except (ValueError, sample_client.TryOnError) as error:
            assert str(error) and printable(str(error)) == str(error)


# --- CSV as spreadsheets write it

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff\x1a"), max_size=12).map(str.strip)


@given(
    rows=st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=5),
    mark=st.sampled_from(",;\t"),
    ends=st.sampled_from(("\r\n", "\n")),
    encoding=st.sampled_from(("utf-8", "utf-8-sig", "utf-16")),
    head=st.sampled_from(("", "sep")),
    quoting=st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
    more=st.integers(0, 3),
)
def test_spreadsheets_give_the_cells_that_were_in_them(desk, rows, mark, ends, encoding, head, quoting, more):
    """With their separators, quotes, line ends, byte order marks, `sep=` lines and columns of nothing."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=mark, lineterminator=ends, quoting=quoting)
    writer.writerow(["Person", "garment", "Note", *[""] * more])
    writer.writerows([*row, *[""] * more] for row in rows)
    text = (f"sep={mark}{ends}" if head else "") + buffer.getvalue()
    path = desk / "table.csv"
    path.write_bytes(text.encode(encoding))
    table = read_table(path)
    wanted = [dict(zip(("person", "garment", "note"), row, strict=True)) for row in rows]
    kept = [{name: cell for name, cell in row.items() if cell} for row in wanted if any(row.values())]
    assert [line.cells for line in table.lines] == kept
    assert table.columns == ("person", "garment", "note")
    assert not table.problems or (not kept and "has no lines" in table.problems[0].text)


@given(data=st.data(), encoding=st.sampled_from(("cp1252", "mac-roman", "utf-16-le", "utf-8")))
def test_tables_of_any_text_are_read_or_every_problem_is_told(desk, data, encoding):
    text = data.draw(st.text(st.sampled_from("person,garment;\t\"'=\r\n aé€\u00a0-1"), max_size=80))
    path = desk / "any.csv"
    path.write_bytes(text.encode(encoding, "replace"))
    table = read_table(path)
    assert table.lines or table.problems
    for problem in table.problems:
        assert "any.csv" in str(problem) and printable(str(problem)) == str(problem) and "\n" not in str(problem)


# --- addresses


class Answers(http.server.ThreadingHTTPServer):
    """Answers with `code` and `body`, of which only `sent` bytes come; -1 hangs up without a word."""

    daemon_threads = True
    code, body, sent = 200, b"", 0

    def handle_error(self, *_) -> None:
        pass


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        if server.sent < 0:
            self.close_connection = True
            return
        self.send_response_only(server.code, "\tso it \x1b[2J is")
        if 300 <= server.code < 400:
            self.send_header("Location", "ftp://me:s3cret@elsewhere/a?token=s3cret")
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body[: server.sent])
        self.close_connection = True

    do_POST = do_HEAD = do_GET

    def log_message(self, *_) -> None:
        pass


@pytest.fixture(scope="module")
def answers():
    server = Answers(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


ANSWER = st.tuples(
    st.sampled_from([status.value for status in HTTPStatus if status >= 200]) | st.integers(200, 599),
    st.binary(max_size=40)
    | JSON.map(lambda document: json.dumps(document).encode())
    | st.binary(max_size=8).map(lambda start: start + b"/a?token=s3cret \x1b[2J")  # as some say what was asked for
    | st.just(b'{"error": {"message": "/a?token=s3cret"}}'),
    st.integers(-1, 60),
)


@given(answer=ANSWER)
def test_an_address_gives_its_bytes_or_the_reason_why_not(answers, answer):
    answers.code, answers.body, answers.sent = answer
    code, body, sent = answer
    address = f"http://me:s3cret@127.0.0.1:{answers.server_port}/a.png?token=s3cret"
    shown = f"http://127.0.0.1:{answers.server_port}/a.png"
    whole = sent >= len(body)
    for read in (read_bytes, require_there):
        try:
            content = read(address)
        except Unreachable as error:
            text = str(error)
            assert shown in text and "s3cret" not in text and printable(text) == text
            assert ("there is no file" in text) == (code == 404 and sent >= 0)
            assert code not in (200, 203) or not whole
            if code >= 400 and code != 404 and sent >= 0 and whole:
                assert f"answered {code}" in text
        else:
            assert code in (200, 203) and sent >= 0
            assert read is require_there or content == body


@given(answer=ANSWER)
def test_a_server_of_any_answer_is_told_from_a_comfyui(answers, sample_client, answer):
    """Both clients say in words what is wrong, whatever it answers."""
    answers.code, answers.body, answers.sent = answer
    url = f"http://me:s3cret@127.0.0.1:{answers.server_port}/?token=s3cret"
    ours, plain = ComfyClient(url, seconds=5), sample_client.Server(url, {})
    questions = (
        (ours.queued, ()),
        (ours.remaining, ()),
        (ours.queue, ({},)),
        (ours.view, ({"filename": "a"},)),
        (ours.upload_bytes, (b"a", "a.png")),
        (ours.extras, (3,)),
    )
    for question, words in questions:
        try:
            ask(question, *words)
        except Exception as error:
            assert isinstance(error, ServerGone | Refused | PromptRejected), repr(error)
            assert "s3cret" not in str(error)
    for question in (lambda: plain.json("/queue"), lambda: plain.run({}, 1.0), lambda: plain.upload(ROOT / "LICENSE")):
        try:
            question()
        except sample_client.TryOnError as error:
            assert "s3cret" not in str(error) and "\x1b" not in str(error)


@given(answer=ANSWER)
def test_a_download_of_any_answer_is_whole_or_refused(answers, desk, answer):
    answers.code, answers.body, answers.sent = answer
    target = desk / "model.bin"
    target.unlink(missing_ok=True)
    url = f"http://me:s3cret@127.0.0.1:{answers.server_port}/model.bin?token=s3cret"
    try:
        download([url], target, retries=0, pause=0, progress=False)
    except DownloadError as error:
        assert "s3cret" not in str(error) and not target.exists()
    else:
        assert answer[0] < 300 and target.read_bytes() == (b"" if answer[0] in (204, 304) else answers.body)
    notes = [path.read_bytes() for path in desk.glob("model.bin*.json")]  # the rest is what the server sent
    assert b"s3cret" not in b"".join(notes)


# --- file names of other systems

BYTES = st.binary(min_size=1, max_size=40).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))
WORDS = st.text(min_size=1, max_size=12).map(lambda name: name.replace("/", "_").replace("\0", "_"))
FOREIGN = st.sampled_from(
    [
        "._shirt",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "CON",
        "nul",
        "a:b",
        "a ",
        "a.",
        "x" * 255,
        "Ä" * 120,
        "\x1b[2J",
    ]
)
NAMES = st.lists(
    st.one_of(
        WORDS.map(
            lambda name: os.fsencode(unicodedata.normalize("NFD", name).encode("utf-8", "ignore").decode() or "a")
        ),
        WORDS.map(lambda name: name.encode("cp1252", "ignore") or b"a"),
        WORDS.map(lambda name: name.encode("shift-jis", "ignore") or b"a"),
        FOREIGN.map(os.fsencode),
        BYTES,
    ).filter(lambda name: name not in (b".", b"..")),
    max_size=4,
)


@given(names=NAMES, ending=st.sampled_from((b"", b".jpg", b".PNG", b".jfif", b".pth", b".safetensors")))
def test_folders_of_any_names_are_walked(tmp_path_factory, names, ending):
    folder = tmp_path_factory.mktemp("names")
    (folder / "test" / "image").mkdir(parents=True)
    (folder / "test_pairs.txt").write_text("a.jpg b.jpg\n")
    (folder / "test" / "image" / "a.jpg").touch()
    for name in names:
        whole = (name + ending)[:MAX_NAME]
        for place in (folder / "test" / "image", folder):
            try:
                open(os.path.join(os.fsencode(place), whole), "xb").close()  # noqa: SIM115
            except FileExistsError:
                continue
        os.makedirs(os.path.join(os.fsencode(folder), b"d" + name[:200]), exist_ok=True)
    people = people_of("vitonhd", folder, "upper_body")
    assert not any(is_hidden(path.name) for path in (*people, *results_in(folder / "test" / "image")))
    assert (folder / "test" / "image" / "a.jpg") in people
    assert all(is_text(name) for name in find(folder.parent))
    assert not any(is_hidden(path.name) for path in weight_files(folder))


@given(name=WORDS | FOREIGN | BYTES.map(os.fsdecode))
def test_a_name_is_written_as_it_is_or_refused(desk, name):
    fault = fault_of_name(name)
    if fault is None:
        write_bytes(desk / "names" / name, b"here")
        assert [path.name for path in (desk / "names").iterdir()] == [name]
        (desk / "names" / name).unlink()
    try:
        path = result_path(desk, "paired", "dresses", name, "png")
    except ValueError as error:
        assert fault or len(os.fsencode(name)) > MAX_NAME - 4 or fault_of_name(Path(name).stem + ".png")
        assert str(error)
    else:
        assert fault is None and path.parent == desk / "paired" / "dresses"
