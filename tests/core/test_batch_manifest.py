"""A catalogue's manifest: formats, rules, names, and every problem with its line and column at once."""

from __future__ import annotations

import http.server
import itertools
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ladivton_core.batch import Request, read_manifest
from ladivton_core.batch.engines.base import Needs, group_items, leave_out, split_waves
from ladivton_core.batch.items import Garment, Person
from ladivton_core.batch.manifest import Template, draw_pairs
from ladivton_core.batch.tables import ManifestError, read_table
from ladivton_core.disk import addresses

ROOT = Path(__file__).resolve().parents[2]
PERSONS = "id,photo,category\nann,ann.jpg,upper_body\nbob,bob.jpg,dresses\n"
GARMENTS = "id;picture;category\nred;red.jpg;upper_body\nblue;blue.jpg;upper_body\ngown;gown.jpg;dresses\n"


@pytest.fixture
def tables(tmp_path):
    """Two tables, and the files they name."""
    for name in ("ann", "bob", "red", "blue", "gown"):
        (tmp_path / f"{name}.jpg").write_bytes(b"picture")
    (tmp_path / "persons.csv").write_text(PERSONS, encoding="utf-8-sig")
    (tmp_path / "garments.csv").write_text(GARMENTS, encoding="utf-16")
    return tmp_path


def request(folder, **more) -> Request:
    return Request(folder / "persons.csv", folder / "garments.csv", **more)


def ids(manifest) -> list[str]:
    return [item.id for item in manifest.items]


def problems(folder, **more) -> list[tuple[str, int, str, str]]:
    with pytest.raises(ManifestError) as error:
        read_manifest(request(folder, **more) if "pairs" not in more or more.pop("both", False) else Request(**more))
    return [(os.path.basename(p.file), p.line, p.column, p.text) for p in error.value.problems]


def test_people_with_a_category_wear_garments_of_it_only(tables):
    assert ids(read_manifest(request(tables))) == ["ann/red", "ann/blue", "bob/gown"]


def test_a_sample_is_drawn_by_the_seed_in_the_rules_order(tables):
    every = ids(read_manifest(request(tables)))
    drawn = {tuple(ids(read_manifest(request(tables, sample=2, seed=seed)))) for seed in range(20)}
    assert len(drawn) > 1 and all(len(pick) == 2 and sorted(pick, key=every.index) == [*pick] for pick in drawn)
    assert ids(read_manifest(request(tables, sample=2))) == ids(read_manifest(request(tables, sample=2)))


def test_a_sample_of_ten_million_pairs_holds_none_of_the_others():
    persons = [Person(str(n), "p") for n in range(500)]
    garments = [Garment(str(n), "g", "upper_body") for n in range(20_000)]
    assert len({(p.id, g.id) for p, g in draw_pairs(persons, garments, 1000, 7)}) == 1000
    first, second = itertools.islice(draw_pairs(persons, garments), 19_999, 20_001)
    assert (first[0].id, first[1].id, second[0].id, second[1].id) == ("0", "19999", "1", "0")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_list_of_pairs_reads_alike_from_every_format(tables, ending):
    rows = [{"person": "ann", "garment": "red", "seed": 7, "steps": 3}, {"person": "ann", "garment": "blue", "id": "x"}]
    path = tables / f"pairs.{ending}"
    if ending == "csv":
        path.write_text("person,garment,seed,steps,id\nann,red,7,3,\n\nann,blue,,,x\n")
    elif ending == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist([{"id": None} | rows[0], rows[1]]), path)
    first, second = read_manifest(request(tables, pairs=path)).items
    assert (first.id, first.seed, first.options.steps, second.id) == ("ann/red", 7, 3, "x")
    assert second.seed == read_manifest(request(tables, pairs=path)).items[1].seed != first.seed


def test_a_list_of_files_gives_each_person_and_garment_once(tables):
    path = tables / "pairs.csv"
    path.write_text("person,garment,category\nann.jpg,red.jpg,upper_body\nann.jpg,blue.jpg,upper_body\n")
    manifest = read_manifest(Request(pairs=path))
    assert [*manifest.persons] == ["ann"] and [*manifest.garments] == ["red", "blue"]
    assert manifest.persons["ann"].photo == str(tables / "ann.jpg")


def test_every_problem_is_told_at_once_with_line_and_column(tables):
    (tables / "garments.csv").write_text(
        'id,picture,categry\nred,red.jpg,shirt\n../up,"no, not there.jpg",dresses\nred,blue.jpg,x,y\n'
    )
    (tables / "persons.csv").write_text(
        "photo,parse_map,label_set,category\nann.jpg,ann.png,COCO,upper_body\n,,,\nzip://a::http://b/c,,,hat\n"
    )
    found = problems(tables)
    assert {(file, line, column) for file, line, column, _ in found} == {
        ("persons.csv", 2, "keypoints"), ("persons.csv", 2, "label_set"), ("persons.csv", 4, "photo"),
        ("persons.csv", 4, "category"), ("garments.csv", 1, "categry"), ("garments.csv", 4, ""),
        ("garments.csv", 2, "category"), ("garments.csv", 3, "category"), ("garments.csv", 3, "id"),
    }  # fmt: skip
    assert any("did you mean 'category'" in text for *_, text in found)


def test_files_that_are_not_there_are_told_with_their_cell(tables):
    (tables / "red.jpg").unlink()
    (tables / "bob.jpg").unlink()
    assert [found[:3] for found in problems(tables)] == [("garments.csv", 2, "picture"), ("persons.csv", 3, "photo")]


@pytest.mark.parametrize(("there", "named"), [("Zoe\u0308.JPG", "Zo\u00eb.jpg"), ("Zo\u00eb.jpg", "zoe\u0308.jpg")])
def test_a_name_that_is_the_same_to_windows_or_a_mac_alone_is_told(tables, there, named):
    """As archives from a Mac write accents, and as whoever comes from Windows writes letters."""
    (tables / "red.jpg").rename(tables / there)
    (tables / "garments.csv").write_text(f"id,picture,category\nred,{named},dresses\n", encoding="utf-8")
    ((_, _, column, text),) = problems(tables)
    assert column == "picture" and f"there is no file {tables}/{named}; there is {there}, which is another" in text


def test_letters_beyond_the_locale_are_told_with_the_way_out():
    """In a process of its own: its language is settled when it starts."""
    code = (
        "import pathlib; from ladivton_core.disk import addresses, looking, names\n"
        "told = [addresses.fault_of_address('Zo\\xeb.png'), names.fault_of_name('Zo\\xeb.png')]\n"
        "try: looking.file_there(pathlib.Path('Zo\\xeb.png'))\n"
        "except ValueError as error: told.append(str(error))\n"
        "assert addresses.fault_of_address('http://a/Zo\\xeb.png') is None\n"
        "print(*map(ascii, told), sep='\\n')"
    )
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | plain, text=True, capture_output=True
    )
    assert said.stdout.count("start it with PYTHONUTF8=1") == 3, said.stderr


def test_an_unknown_id_a_seed_that_is_none_and_a_pair_twice(tables):
    path = tables / "pairs.csv"
    path.write_text("person,garment,seed,guidance_scale\nan,red,,\nann,red,1.5,nan\nann,red,,\n")
    found = problems(tables, pairs=path, both=True)
    assert [entry[:3] for entry in found] == [
        ("pairs.csv", 2, "person"), ("pairs.csv", 3, "seed"), ("pairs.csv", 3, "guidance_scale"),
        ("pairs.csv", 4, "id"),
    ]  # fmt: skip
    assert "did you mean 'ann'" in found[0][3] and "line 3" in found[3][3]


@pytest.mark.parametrize("content", [b"", b"\x00\x01\xff\xfe", b'id,photo\n"open,x\n', b"photo,photo\na,b\n"])
def test_a_table_that_is_none_is_told_by_name(tables, content):
    (tables / "persons.csv").write_bytes(content)
    assert {file for file, *_ in problems(tables)} == {"persons.csv"}


def test_a_line_of_json_that_is_no_object(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"photo": "a.jpg"}\n[1]\n{"photo": {"deep": 1}}\n{broken\n')
    found = read_table(tmp_path / "a.jsonl").problems
    assert [(problem.line, problem.column) for problem in found] == [(2, ""), (3, "photo"), (4, "")]


@pytest.mark.parametrize(
    "text", ["{person.__class__}.png", "{person!r}.png", "{nobody}.png", "{person}", "{person:>99}.png", "{", "x.exe"]
)
def test_a_template_holds_plain_fields_and_ends_in_a_pictures_ending(text):
    with pytest.raises(ValueError, match="template"):
        Template(text)


@pytest.mark.parametrize("person", ["..", "a/b", "a\\b", "C:", "x\n"])
def test_no_field_leads_out_of_the_folder(person):
    with pytest.raises(ValueError, match="person is .*cannot stand in a file's name"):
        Template("{person}/{garment}.png").name(person=person, garment="g", id="i", category="c", seed=1)


@pytest.mark.parametrize("text", ["{garment}.png", "nul/{person}_{garment}.png", "index/{person}_{garment}.png"])
def test_names_that_collide_or_belong_to_others_are_told(tables, text):
    (tables / "persons.csv").write_text("id,photo\nann,ann.jpg\nAnn,bob.jpg\n")
    assert problems(tables, template=text)


def test_letter_case_alone_makes_no_name(tables):
    (tables / "persons.csv").write_text("id,photo\nann,ann.jpg\nAnn,bob.jpg\n")
    assert any("letter case" in text for *_, text in problems(tables))


def test_batches_share_a_person_and_stay_the_same_when_some_is_done(tables):
    (tables / "persons.csv").write_text("id,photo\nann,ann.jpg\nbob,bob.jpg\n")
    items = read_manifest(request(tables, category="upper_body")).items
    batches = group_items(items, 2)
    assert [[item.id for item in batch.items] for batch in batches] == [
        ["ann/red", "ann/blue"], ["ann/gown"], ["bob/red", "bob/blue"], ["bob/gown"],
    ]  # fmt: skip
    rest = leave_out(batches, {"ann/red", "bob/gown"})
    assert [batch.items for batch in rest] == [batch.items for batch in batches[:3]]
    assert rest[0].wanted == {"ann/blue"}
    needs = Needs.of(batches)
    assert len(needs.persons) == 4 and len(needs.garments) == 3  # two categories each
    waves = [*split_waves(batches, 10, 1, 23, 100)]
    assert [len(wave) for wave in waves] == [2, 2] and sum(waves, []) == batches


class _Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def web(tables):
    """The folder behind a local web server."""
    handler = lambda *given: _Server(*given, directory=str(tables))  # noqa: E731
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_tables_and_pictures_come_from_a_web_server(web, tables):
    pytest.importorskip("fsspec")
    manifest = read_manifest(Request(f"{web}/persons.csv", f"{web}/garments.csv"))
    assert manifest.persons["ann"].photo == f"{web}/ann.jpg"
    assert addresses.read_bytes(f"{web}/ann.jpg") == b"picture"
    with addresses.local_file(f"{web}/ann.jpg") as path:
        assert path.name == "ann.jpg" and path.read_bytes() == b"picture"
    assert not path.exists()
    (tables / "ann.jpg").unlink()
    with pytest.raises(ManifestError, match="ann.jpg"):
        read_manifest(Request(f"{web}/persons.csv", f"{web}/garments.csv"))


class _Shop(http.server.BaseHTTPRequestHandler):
    """Answers with the status that stands in the path; `half` ends in the middle of a file, `member` leads to a login.

    As a proxy it refuses everything.
    """

    def do_GET(self):
        name = self.path.split("?")[0].rpartition("/")[2].partition(".")[0]
        if self.path.startswith("http"):
            self.send_error(407)
            return
        if name == "member":
            self.send_response(302)
            self.send_header("Location", "/login?next=s3cret")
            self.end_headers()
            return
        if name == "login":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"\n<!DOCTYPE html>\n<html>Please log in</html>")
            return
        if name.isdigit():
            self.send_error(int(name))
            return
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"x" * 10)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def shop():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("{}/404.png", "there is no file"),
        ("{}/401.png", "401 Unauthorized; it wants a login"),
        ("{}/403.png", "403 Forbidden"),
        ("{}/410.png", "410 Gone"),
        ("{}/429.png", "429 Too Many Requests; too many requests: try again later"),
        ("{}/503.png", "503 Service Unavailable; the fault is the server's"),
        ("{}/599.png", "answered 599; the fault is the server's"),
        ("{}/half.png", "the connection ended before all had come"),
        ("{}/member.png", "a web page came in its place, from http://[^ ]*/login: it wants a login, or"),
        ("https{}/404.png", r"no secure connection \(TLS\)"),
        ("http://no-such-shop.invalid/a.png", r"the name no-such-shop.invalid cannot be resolved"),
        ("http://127.0.0.1:9/a.png", "nobody answers there"),
        ("memory://nowhere/a.png", "there is no file"),
    ],
)
def test_why_an_address_cannot_be_read(tables, shop, address, said):
    """The same reason when files are looked for and when they are read; "there is no file" is said of 404 alone."""
    pytest.importorskip("fsspec")
    address = address.replace("https{}", shop.replace("http:", "https:")).format(shop)
    with pytest.raises(OSError, match=said) as error:
        addresses.read_bytes(address + "?sig=s3cret")
    assert str(error.value).count(address) == 1 and "s3cret" not in str(error.value)
    (tables / "garments.csv").write_text(f"id,picture,category\nred,{address}?sig=s3cret,dresses\n")
    if "half" not in address:  # little is read when files are looked for
        ((_, _, column, text),) = problems(tables)
        assert column == "picture" and address in text and "s3cret" not in text
        assert ("there is no file" in text) == ("there is no file" in said) and re.search(said, text)


def test_addresses_are_asked_through_the_proxy_and_this_machines_own_directly(shop, monkeypatch):
    pytest.importorskip("fsspec")
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for form in (shop.replace("//", "//me:s3cret@"), shop.removeprefix("http://")):
        monkeypatch.setenv("http_proxy", form)
        with pytest.raises(OSError, match=f"407 .* login .asked through the proxy {shop}; no_proxy=shop.inv") as error:
            addresses.read_bytes("http://shop.invalid/503.png")
        assert "s3cret" not in str(error.value)
        with pytest.raises(
            OSError, match="answered 503 Service Unavailable; the fault is the server's: try again later$"
        ):
            addresses.read_bytes(f"{shop}/503.png")
    monkeypatch.setenv("no_proxy", "shop.invalid")
    with pytest.raises(OSError, match="cannot be resolved"):
        addresses.require_there("http://shop.invalid/503.png")


def test_a_file_that_may_not_be_read_and_a_folder_are_told_apart_from_none(tables):
    (tables / "red.jpg").unlink()
    (tables / "red.jpg").mkdir()
    (tables / "blue.jpg").unlink()
    told = {text for *_, text in problems(tables)}
    assert told == {
        f"{tables}/red.jpg cannot be read: {tables}/red.jpg is a folder",
        f"there is no file {tables}/blue.jpg",
    }


def test_a_table_behind_a_signed_address_keeps_its_signature_to_itself(web, tables):
    pytest.importorskip("fsspec")
    (tables / "ann.jpg").unlink()
    manifest = read_manifest(Request(f"{web}/persons.csv?sig=a/s3cret", f"{web}/garments.csv?sig=s3cret#x", look=False))
    assert manifest.persons["ann"].photo == f"{web}/ann.jpg" and manifest.persons["ann"].where == "persons.csv, line 2"
    with pytest.raises(ManifestError) as error:
        read_manifest(Request(f"{web}/persons.csv?sig=a/s3cret", f"{web}/garments.csv?sig=s3cret#x"))
    assert "s3cret" not in str(error.value) + repr(error.value.problems) and "ann.jpg" in str(error.value)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_the_line_that_spreadsheets_put_before_the_head_is_no_head(tables, mark):
    rows = PERSONS.replace(",", mark)
    (tables / "persons.csv").write_text(f"sep={mark}\r\n{rows}", encoding="utf-8-sig")
    assert [*read_manifest(request(tables)).persons] == ["ann", "bob"]


def test_what_an_address_gives_is_bounded(web):
    pytest.importorskip("fsspec")
    with pytest.raises(OSError, match="larger"):
        addresses.read_bytes(f"{web}/ann.jpg", largest=3)
    with pytest.raises(OSError, match="nobody.jpg"):
        addresses.read_bytes(f"{web}/nobody.jpg")


@pytest.mark.parametrize(
    "text", ["github://a/b", "zip://x.png::http://h/a.zip", "simplecache::http://h/a", "ssh://h/a"]
)
def test_other_protocols_are_refused(text):
    assert addresses.fault_of_address(text)
