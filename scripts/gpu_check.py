"""Everything that needs a GPU, in one run of less than eight minutes: `make gpu-check`.

    COMFYUI_PATH=/path/to/ComfyUI COMFYUI_PYTHON=/its/python make gpu-check
    python scripts/gpu_check.py --rehearse            # every section on the CPU, small and with few steps

Says so and ends well where there is no GPU. Nothing is installed or fetched: it takes a ComfyUI and an interpreter that
are there, with the packages of the pack, of scripts/ and of tests/. Every section is a process with a bound on its
time; the report is written whole after each, so that a run that is cut off has reported. Sections are in
`scripts/gpu_checks/`, in the order of their worth. Exit code 1 when anything was not as it should be.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from gpu_checks.page import Page, Setting
from hosting import installation
from hosting.places import HOST, OUTPUT, REPOSITORY
from hosting.server import accelerator, exit_on_terminate

from ladivton_core.disk.writing import write_text

STAND_INS_GIB = 10


@dataclass(frozen=True)
class Section:
    """A module of `gpu_checks`.

    Attributes:
        seconds: the most it may take.
    """

    module: str
    title: str
    seconds: int


SECTIONS = (
    Section("machine", "The machine", 30),
    Section("start_modes", "Every way to start ComfyUI", 190),
    Section("workflows", "Every shipped workflow", 80),
    Section("agreement", "GPU against CPU", 45),
    Section("core", "The core at full size", 110),
    Section("training", "Training stages in float16", 70),
    Section("suites", "Parity and node tests", 120),
)
REHEARSAL = 12
"""How many times as long a section may take on a CPU."""
LEAST = 5
"""Seconds below which a section is not begun."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true", help="every section on the CPU, small and with few steps")
    parser.add_argument("--to", type=Path, default=OUTPUT / "gpu-check.md", help="the report (output/gpu-check.md)")
    parser.add_argument("--work", type=Path, default=OUTPUT / "gpu_check", help="folder for what is made on the way")
    parser.add_argument("--models", type=Path, default=OUTPUT / "full_size" / "models", help="where the stand-ins go")
    parser.add_argument("--minutes", type=float, help="for everything (7.7; a rehearsal has no end)")
    parser.add_argument("--sections", nargs="+", choices=[section.module for section in SECTIONS], help="only these")
    parser.add_argument("--section", help=argparse.SUPPRESS)  # the process of one
    options = parser.parse_args()
    if options.section:
        return run_section(options.section, Setting.load(options.work / "setting.json"))
    exit_on_terminate()
    host = at_hand()
    device = "cpu" if options.rehearse else accelerator(host.python if host else Path(sys.executable))
    if device is None:
        print("No GPU here that torch can use: nothing was checked.")
        print("`make gpu-check REHEARSE=1` runs every section on the CPU.")
        return 0
    if host is None:
        print("No ComfyUI at hand: set COMFYUI_PATH (and COMFYUI_PYTHON, its Python). Nothing is fetched here.")
        return 1
    try:  # as it is, with a word on what its interpreter lacks
        os.environ |= {"COMFYUI_PATH": str(host.comfyui), "COMFYUI_PYTHON": str(host.python)}
        host = installation.find_or_install(tests=True)
    except installation.InstallationError as error:
        print(error)
        return 1
    options.work.mkdir(parents=True, exist_ok=True)
    setting = Setting(host, options.work.absolute(), options.models.absolute(), device, options.rehearse)
    setting.save(options.work / "setting.json")
    minutes = options.minutes or (float("inf") if options.rehearse else 7.7)
    return check(setting, options.to, minutes * 60, options.sections)


def at_hand() -> installation.Host | None:
    """The ComfyUI of COMFYUI_PATH, or the one that is installed here already; None where there is neither."""
    named = os.environ.get("COMFYUI_PATH")
    folder = Path(named).expanduser().absolute() if named else HOST / "ComfyUI"
    if not named and not (folder / "main.py").is_file():
        return None
    return installation.Host(folder, installation.interpreter_of(folder))


def check(setting: Setting, report: Path, seconds: float, only: list[str] | None) -> int:
    """Run the sections, each in a process of its own; the report is written after every one."""
    deadline, written = time.monotonic() + seconds, Report(report, setting)
    wanted = [section for section in SECTIONS if not only or section.module in only]
    writer = write_stand_ins(setting, wanted)
    try:
        for section in wanted:
            left = deadline - time.monotonic()
            bound = min(section.seconds * (REHEARSAL if setting.rehearse else 1), left)
            if left < LEAST:
                written.add(section, "left out: no time is left", 0.0)
                continue
            print(f"{section.title}: at most {bound:.0f} s", flush=True)
            started = time.monotonic()
            written.add(section, ended(section, setting, bound), time.monotonic() - started)
    finally:
        if writer is not None:
            writer.kill()
            writer.wait()
    print(report.read_text(encoding="utf-8"))
    print(f"{written.summary()} {report}")
    return 1 if written.failed else 0


def ended(section: Section, setting: Setting, bound: float) -> str:
    """Run one section to its end or its bound; how it ended, in words. What it printed is kept in the work folder."""
    command = [str(setting.host.python), __file__, "--work", str(setting.work), "--section", section.module]
    (setting.work / f"{section.module}.md").unlink(missing_ok=True)  # an earlier run's
    with (setting.work / f"{section.module}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT, start_new_session=os.name != "nt"
        )
        try:
            code = process.wait(bound)
        except subprocess.TimeoutExpired:
            stop(process)
            return f"failed: cut off after {bound:.0f} s"
        except BaseException:
            stop(process)
            raise
    return {0: "well", 1: "failed: see the problems"}.get(code, f"failed: its process ended with {code}")


def stop(process: subprocess.Popen) -> None:
    """End a section and what it started: first asked, so that its server goes down in order."""
    for number in (signal.SIGINT, getattr(signal, "SIGKILL", signal.SIGTERM)):
        try:
            if os.name == "nt":
                process.terminate()
            else:
                os.killpg(process.pid, number)
            process.wait(12)
            return
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


def write_stand_ins(setting: Setting, wanted: list[Section]) -> subprocess.Popen | None:
    """Begin to write the full-size files beside the first sections; None where none are needed, or have room.

    What keeps them from being written is left in `setting.not_written` for those who wait.
    """
    if setting.rehearse or not {"start_modes", "core"} & {section.module for section in wanted}:
        return None
    setting.models.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(setting.models).free / 2**30
    if free < STAND_INS_GIB and not any(setting.models.rglob("*.pth")):
        why = f"{free:.0f} GiB are free in {setting.models}, the stand-ins take {STAND_INS_GIB}"
        write_text(setting.not_written, why)
        return None
    setting.not_written.unlink(missing_ok=True)
    code = (
        f"import sys; sys.path[:0] = {[str(REPOSITORY / 'benchmarks'), str(REPOSITORY)]!r}\n"
        f"import stand_ins, pathlib\n"
        f"from ladivton_core.disk.writing import write_text\n"
        f"try: stand_ins.write(pathlib.Path({str(setting.models)!r}))\n"
        f"except BaseException as error:\n"
        f"    write_text(pathlib.Path({str(setting.not_written)!r}), repr(error)); raise"
    )
    with (setting.work / "stand_ins.log").open("w", encoding="utf-8") as log:
        return subprocess.Popen([str(setting.host.python), "-c", code], stdout=log, stderr=subprocess.STDOUT)


def run_section(name: str, setting: Setting) -> int:
    """In the section's process: run it, its problems on its page."""
    sys.path[:0] = [str(REPOSITORY / "benchmarks")]
    sys.path.append(str(REPOSITORY))
    page = Page(setting.work / f"{name}.md")
    try:
        importlib.import_module(f"gpu_checks.{name}").run(setting, page)
    except KeyboardInterrupt:
        page.say("\n(cut off here)\n")
        raise
    except Exception as error:
        page.problem(f"{type(error).__name__}: {str(error)[-800:]}")
        raise
    return 1 if page.problems else 0


class Report:
    """The report's file, written whole after every section."""

    def __init__(self, file: Path, setting: Setting) -> None:
        self._file, self._setting = file, setting
        self._parts: list[str] = []
        self._endings: list[tuple[Section, str, float]] = []
        file.parent.mkdir(parents=True, exist_ok=True)

    @property
    def failed(self) -> bool:
        """Whether anything was not as it should be."""
        return any(ending != "well" for _, ending, _ in self._endings)

    def add(self, section: Section, ending: str, seconds: float) -> None:
        """Take a section's page in."""
        self._endings.append((section, ending, seconds))
        page = self._setting.work / f"{section.module}.md"
        text = page.read_text(encoding="utf-8") if page.is_file() and not ending.startswith("left out") else ""
        self._parts.append(f"## {section.title}\n\nEnded {ending} ({seconds:.0f} s).\n{text}")
        self._write()

    def summary(self) -> str:
        """One line."""
        well = sum(ending == "well" for _, ending, _ in self._endings)
        return f"{well} of {len(self._endings)} sections ended well."

    def _write(self) -> None:
        kind = "Rehearsal on the CPU" if self._setting.rehearse else "GPU check"
        now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M")
        rows = [f"| {section.title} | {ending} | {seconds:.0f} |" for section, ending, seconds in self._endings]
        head = [f"# {kind}, {now}", self.summary(), "| section | ended | seconds |\n|---|---|---|"]
        text = "\n\n".join(head) + "\n" + "\n".join(rows) + "\n\n" + "\n".join(self._parts)
        write_text(self._file, text)


if __name__ == "__main__":
    sys.exit(main())
