"""What installers read agrees, and torch is nobody's to install but ComfyUI's."""

from __future__ import annotations

import re


def listed(text: str) -> set[str]:
    return {line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip()}


def test_requirements_and_pyproject_say_the_same(repository):
    text = (repository / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL).group(1)
    requirements = listed((repository / "requirements.txt").read_text(encoding="utf-8"))
    assert set(re.findall(r'"([^"]+)"', block)) == requirements


def test_the_pack_in_the_registry_holds_what_its_workflow_loads(repository):
    left_out = listed((repository / ".comfyignore").read_text(encoding="utf-8"))
    assert not left_out & {"samples/", "workflows/", "subgraphs/", "web/", "locales/", "nodes/", "ladivton_core/"}


def test_requirements_have_lower_bounds_only_and_leave_torch_alone(repository):
    for line in listed((repository / "requirements.txt").read_text(encoding="utf-8")):
        assert re.fullmatch(r"[\w.-]+>=[\d.]+", line), line
        assert not line.startswith("torch")
