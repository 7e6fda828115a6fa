"""The maps are whole: every room is in docs/architecture.md, every quirk in docs/published_behaviour.md."""

import re

import pytest

QUIRK = re.compile(r"^\| (Q\d+) \|", re.MULTILINE)


@pytest.fixture(scope="module")
def maps(repository):
    return {
        name: (repository / "docs" / f"{name}.md").read_text(encoding="utf-8")
        for name in ("architecture", "published_behaviour")
    }


def test_every_room_is_on_the_map(repository, maps):
    rooms = [folder for folder in (repository / "ladivton_core").iterdir() if any(folder.glob("*.py"))]
    missing = [room.name for room in rooms if f"ladivton_core/{room.name}/`" not in maps["architecture"]]
    assert rooms and not missing


def test_every_quirk_is_listed_once_and_in_order(maps):
    assert QUIRK.findall(maps["published_behaviour"]) == [f"Q{number}" for number in range(1, 30)]


def test_every_file_and_test_that_a_quirk_names_is_there(repository, maps):
    rows = [row for row in maps["published_behaviour"].splitlines() if QUIRK.match(row)]
    for row in rows:
        *_, decided, held, _ = row.split("|")
        for place in re.findall(r"`([\w/]+\.py)`", decided):
            assert (repository / "ladivton_core" / place).is_file(), row
        files = re.findall(r"`([\w/]+\.py)", held)
        texts = []
        for name in files:
            found = [path for path in (repository / "tests").rglob("*.py") if path.as_posix().endswith(f"/{name}")]
            assert found, row
            texts += [path.read_text(encoding="utf-8") for path in found]
        assert files, row
        for test in re.findall(r"\btest_\w+(?!\w*\.py)(?=`)", held):
            assert any(f"def {test}(" in text for text in texts), (row, test)


def test_every_section_that_the_code_cites_exists(repository, maps):
    sections, heading = set(), ""
    for line in maps["published_behaviour"].splitlines():
        if found := re.match(r"##+ ([\d.]*\d)\b", line):
            heading = found[1]
            sections.add(heading)
        elif found := re.match(r"(\d+)\. ", line):  # a step of a section
            sections.add(f"{heading}.{found[1]}")
    cited = {}
    for folder in ("ladivton_core", "nodes", "drawn_world", "tests"):
        for path in (repository / folder).rglob("*.py"):
            for number in re.findall(r"[Pp]ublished §([\d.]*\d)", path.read_text(encoding="utf-8")):
                cited.setdefault(number, path)
    assert cited and not {number: path for number, path in cited.items() if number not in sections}


def test_readme_and_contributing_lead_to_both(repository):
    for page in ("README.md", "CONTRIBUTING.md"):
        text = (repository / page).read_text(encoding="utf-8")
        assert "docs/architecture.md" in text and "docs/published_behaviour.md" in text
