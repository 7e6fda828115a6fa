"""Strategies for broken input: good files with bytes changed, cut, repeated, and JSON of any shape."""

from __future__ import annotations

from hypothesis import strategies as st

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=8)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def broken(draw, whole: bytes) -> bytes:
    """A good file's bytes after one to four accidents."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        size = len(content)
        place = draw(st.integers(0, max(size - 1, 0)))
        kind = draw(st.sampled_from(("flip", "cut", "drop", "repeat", "put")))
        if kind == "flip" and size:
            content[place] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del content[place:]
        elif kind == "drop":
            del content[place : place + draw(st.integers(1, 64))]
        elif kind == "repeat":
            content[place:place] = content[place : place + draw(st.integers(1, 64))]
        else:
            content[place:place] = draw(st.binary(max_size=16))
    return bytes(content)


@st.composite
def changed(draw, document):
    """A good JSON document with one of its values, anywhere, replaced by another or taken away."""
    import copy

    result = copy.deepcopy(document)
    places = list(_places(result))
    holder, key = draw(st.sampled_from(places))
    if draw(st.booleans()):
        holder[key] = draw(JSON)
    else:
        del holder[key]
    return result


def _places(content):
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in entries:
        yield content, key
        yield from _places(value)
