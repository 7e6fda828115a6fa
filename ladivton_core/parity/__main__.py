"""`python -m ladivton_core.parity DIR`: run every golden case of a folder.

One line a case: name, worst error, its tolerance, ok or FAIL. Exit status 1 when a case fails, names an
unknown family or cannot be run, and when the folder holds no case.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from .. import start
from . import FAMILIES, load_families
from .case import Case, Check, read_case


def run_case(case: Case) -> list[Check]:
    """Every check of a case.

    Raises:
        KeyError: no family of that name.
    """
    if case.family not in FAMILIES:
        raise KeyError(f"unknown family {case.family!r}; known are {', '.join(sorted(FAMILIES))}")
    return list(FAMILIES[case.family](case))


def worst(checks: list[Check]) -> Check:
    """The check nearest to failing, or failing worst."""
    return max(
        checks, key=lambda check: (not check.ok, check.error / check.tolerance if check.tolerance else check.error)
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = start.make_parser("parity", __doc__)
    parser.add_argument("folder", type=Path, help="folder of golden cases (<name>.json + <name>.safetensors)")
    parser.add_argument("names", nargs="*", help="only cases whose name starts with one of these")
    parser.add_argument("-v", "--verbose", action="store_true", help="one line a check")
    options = parser.parse_args(arguments)
    write = sys.stdout.write
    if not options.folder.is_dir():
        write(f"there is no folder {options.folder}\n")
        return 1
    load_families()
    cases = failures = 0
    for path in sorted(options.folder.glob("[!.]*.json")):
        if options.names and not path.stem.startswith(tuple(options.names)):
            continue
        cases += 1
        begun = time.monotonic()
        try:
            checks = run_case(read_case(path))
        except Exception as error:  # one broken case must not hide the others; the status is 1 all the same
            failures += 1
            write(f"{path.stem:32s} {type(error).__name__}: {error}  FAIL\n")
            continue
        if not checks:
            failures += 1
            write(f"{path.stem:32s} nothing was compared  FAIL\n")
            continue
        failed = [check for check in checks if not check.ok]
        failures += bool(failed)
        shown = worst(checks)
        seconds = time.monotonic() - begun
        verdict = "FAIL" if failed else "ok"
        write(
            f"{path.stem:32s} error {shown.error:.3g}, tolerance {shown.tolerance:.3g} "
            f"({shown.name}; {len(checks)} checks, {seconds:.1f} s)  {verdict}\n"
        )
        for check in checks if options.verbose else failed:
            verdict = "ok" if check.ok else "FAIL"
            write(f"    {check.name:40s} error {check.error:.3g}, tolerance {check.tolerance:.3g}  {verdict}\n")
        sys.stdout.flush()
    if not cases:
        write(f"{options.folder} holds no golden case (*.json)\n")
        return 1
    write(f"{cases} cases, {failures} failed\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
