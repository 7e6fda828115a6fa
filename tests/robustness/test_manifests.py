"""A catalogue's tables of any content: read, or refused with every problem; no name leads out of the run's folder."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from malformed import SCALARS, broken, changed

from ladivton_core.batch import ManifestError, Request, read_manifest
from ladivton_core.disk.names import fault_of_name, printable

ROWS = [
    {"person": "a.jpg", "garment": "b.jpg", "category": "upper_body", "seed": 3, "steps": 5, "id": "one"},
    {"person": "a.jpg", "garment": "c.jpg", "category": "upper_body", "guidance_scale": 1.5, "person_id": "ann"},
]
CSV = 'person,garment,category,seed,id\na.jpg,b.jpg,dresses,3,one\n"a.jpg",c.jpg,dresses,,two\n'


def looked_at(path) -> None:
    """The manifest holds, or every problem is told."""
    try:
        manifest = read_manifest(Request(pairs=path, look=False))
    except ManifestError as error:
        assert error.problems and path.name in str(error) and printable(str(error)) == str(error)
        return
    assert (
        len({item.id for item in manifest.items}) == len({item.file for item in manifest.items}) == len(manifest.items)
    )
    for item in manifest.items:
        assert 0 <= item.seed < 2**53 and item.garment in manifest.garments and item.person in manifest.persons
        assert not any(map(fault_of_name, item.file.split("/")))


@given(broken(CSV.encode()) | broken(CSV.encode("utf-16")) | st.binary(max_size=200))
def test_csv_of_broken_bytes(desk, content):
    (desk / "pairs.csv").write_bytes(content)
    looked_at(desk / "pairs.csv")


@given(changed(ROWS) | st.lists(st.dictionaries(st.sampled_from([*ROWS[0], *ROWS[1]]), SCALARS), max_size=3))
def test_lines_of_any_values(desk, rows):
    (desk / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8", errors="surrogatepass")
    looked_at(desk / "pairs.jsonl")


@given(data=st.data())
def test_parquet_of_broken_bytes(desk, data):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), buffer)
    (desk / "pairs.parquet").write_bytes(data.draw(broken(buffer.getvalue())))
    looked_at(desk / "pairs.parquet")
