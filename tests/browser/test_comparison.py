"""The pages of `evaluation compare` in a browser without network: pictures enlarged, a vote by keys that counts."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ladivton_core.evaluation import compare as comparing
from ladivton_core.evaluation import comparison_page, votes

pytest.importorskip("skimage")
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory, repository):
    """Both pages, of two systems on the drawn people that ship."""
    out, root = tmp_path_factory.mktemp("compared"), repository / "samples" / "datasets" / "vitonhd"
    for photo in (root / "test" / "image").iterdir():
        pixels = np.asarray(Image.open(photo).convert("RGB")).astype(int)
        for system, lighter in (("same", 0), ("lighter", 30)):
            (out / system).mkdir(exist_ok=True)
            made = np.clip(pixels + lighter, 0, 255).astype(np.uint8)
            Image.fromarray(made).save(out / system / f"{photo.stem}.png")
    found = comparing.compare(
        [str(out / "same"), str(out / "lighter")], "vitonhd", root, "paired", skip=("lpips", "fid", "kid", "is"),
        resamples=50, progress=False,
    )  # fmt: skip
    (out / "compare.html").write_text(comparison_page.comparison_page(found), encoding="utf-8")
    votes.write_vote(found, out, 20, 0)
    return out


@pytest.fixture
def tab(new_tab):
    tab = new_tab()
    tab.context.set_offline(True)
    yield tab
    tab.context.close()


def test_a_click_enlarges_arrows_go_on_and_another_click_closes(tab, folder):
    tab.goto((folder / "compare.html").as_uri())
    tab.locator("#people .enlarge").first.click()
    picture = tab.locator("#large img")
    picture.wait_for()
    first = picture.get_attribute("src")
    assert picture.evaluate("image => image.naturalWidth") > 100
    tab.keyboard.press("ArrowRight")
    assert picture.get_attribute("src") != first
    tab.keyboard.press("ArrowLeft")
    assert picture.get_attribute("src") == first
    picture.click()
    picture.wait_for(state="hidden")


def test_votes_by_keys_are_kept_corrected_saved_and_counted(tab, folder):
    tab.goto((folder / votes.PAGE).as_uri())
    text = tab.locator("body").inner_text()
    assert "Pair 1 of" in text and "same" not in text and "lighter" not in text
    pairs = int(tab.evaluate("() => document.getElementById('progress').max"))
    for key in ("ArrowLeft", "Backspace", "ArrowDown"):  # a mind that changed
        tab.keyboard.press(key)
    tab.reload()  # the browser keeps what was answered
    for _ in range(pairs - 1):
        tab.keyboard.press("ArrowRight")
    assert "Thank you" in tab.locator("#says").inner_text()
    with tab.expect_download() as saved:
        tab.keyboard.press("s")
    saved.value.save_as(folder / "votes.json")
    counted = votes.count_votes(folder / votes.KEY, [folder / "votes.json"])
    (result,) = counted["results"]
    assert (counted["voters"], counted["answered"], counted["pairs"]) == (1, pairs, pairs)
    assert result["equal"] == 1 and sum(result["won"]) == pairs - 1
