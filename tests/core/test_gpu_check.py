"""`make gpu-check` ends well without a GPU, bounds its sections, and has reported whenever it is cut off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import gpu_check
import pytest
from gpu_checks.page import Page, Setting
from hosting.installation import Host

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def setting(tmp_path) -> Setting:
    """This interpreter, on the CPU."""
    made = Setting(Host(tmp_path, Path(sys.executable)), tmp_path, tmp_path / "models", "cpu", rehearse=True)
    made.save(tmp_path / "setting.json")
    return made


@pytest.fixture
def sections(setting, monkeypatch):
    """`sections(well="...", ...)`: sections of that code, each in a process of its own, and the report they give.

    They run by a clock of their own: a section that prints a line takes all the time that it may, any other `took`.
    """
    clock = [0.0]
    monkeypatch.setattr(gpu_check, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def run(seconds: float = 60.0, took: float = 0.0, **code: str) -> tuple[int, str]:
        for name, body in code.items():
            # What stands in for the section's process writes its page as `run_section` does.
            script = f"import pathlib, sys, threading\npage = pathlib.Path({str(setting.work / name)!r} + '.md')\n"
            (setting.work / f"{name}.py").write_text(script + body, encoding="utf-8")
        monkeypatch.setattr(gpu_check, "SECTIONS", [gpu_check.Section(name, name, 1) for name in code])
        monkeypatch.setattr(gpu_check, "REHEARSAL", 8)

        class Process(subprocess.Popen):
            def __init__(self, command, **options):
                options |= {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
                super().__init__([sys.executable, str(setting.work / f"{command[-1]}.py")], **options)

            def wait(self, timeout=None):
                if self.stdout.closed:  # it was asked to end, which it may not hear
                    return super().wait(timeout)
                late = self.stdout.readline()
                self.stdout.close()
                clock[0] += timeout if late else took
                if late:
                    raise subprocess.TimeoutExpired(self.args, timeout)
                return super().wait()

        monkeypatch.setattr(gpu_check.subprocess, "Popen", Process)
        report = setting.work / "report.md"
        return gpu_check.check(setting, report, seconds, None), report.read_text(encoding="utf-8")

    return run


def test_without_a_gpu_it_says_so_and_ends_well(monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "accelerator", lambda host: None)
    monkeypatch.setattr(sys, "argv", ["gpu_check.py"])
    monkeypatch.setattr(gpu_check, "exit_on_terminate", lambda: None)
    assert gpu_check.main() == 0
    assert "No GPU here that torch can use: nothing was checked." in capsys.readouterr().out


@pytest.mark.long
def test_a_section_that_hangs_or_fails_does_not_end_the_run(sections):
    code, report = sections(
        hangs="page.write_text('a first row\\n')\nprint('on the page', flush=True)\nthreading.Event().wait()",
        fails="page.write_text('**Problem:** something\\n')\nsys.exit(1)",
        well="page.write_text('figures\\n')",
    )
    assert code == 1
    said = ("1 of 3 sections ended well.", "cut off after 8 s", "a first row", "**Problem:** something", "figures")
    for line in said:
        assert line in report


def test_what_has_no_time_left_is_left_out_aloud(sections):
    code, report = sections(seconds=7, took=2.5, slow="", never="page.write_text('never')")
    assert code == 1
    assert "| slow | well |" in report and "| never | left out: no time is left |" in report


def test_every_section_is_there_and_they_fit_where_none_uses_all_its_time():
    for section in gpu_check.SECTIONS:
        assert (REPOSITORY / "scripts" / "gpu_checks" / f"{section.module}.py").is_file()
    assert len({section.module for section in gpu_check.SECTIONS}) == len(gpu_check.SECTIONS)


def test_a_section_that_raises_leaves_its_page(setting):
    page = Page(setting.work / "core.md")
    page.head("a", "b")
    page.row(("x", 1.23456))
    page.problem("two\nlines")
    assert page.problems == 1
    text = (setting.work / "core.md").read_text(encoding="utf-8")
    assert "| x | 1.23 |" in text and "**Problem:** two lines" in text
    assert Setting.load(setting.work / "setting.json") == setting
