"""Print how many tests ran, the slowest, and every skip with its reason.

Fail on a skip that nobody agreed to.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def main(report: Path, allowed: Path) -> int:
    """Read pytest's JUnit report; return 1 when a skip is not in the committed list."""
    cases = ET.parse(report).getroot().findall(".//testcase")  # noqa: S314 (our own file)
    lines = (line.partition("#")[0].strip() for line in allowed.read_text().splitlines())
    agreed = {line for line in lines if line}
    skips = {
        f"{case.get('classname')}::{case.get('name')}": skip.get("message", "")
        for case in cases
        for skip in case.findall("skipped")
    }
    failures = [case for case in cases if case.find("failure") is not None]
    failures += [case for case in cases if case.find("error") is not None]
    not_agreed = {name for name in skips if agreed.isdisjoint({name, _whole_module(name)})}
    for name, reason in sorted(skips.items()):
        print(f"skipped {name}: {reason}" + ("  << not agreed" if name in not_agreed else ""))
    print("the ten slowest:")
    for case in sorted(cases, key=_duration_s, reverse=True)[:10]:
        print(f"{_duration_s(case):6.1f} s {case.get('classname')}::{case.get('name')}")
    n_passed = len(cases) - len(skips) - len(failures)
    print(f"{n_passed} passed, {len(failures)} failed, {len(skips)} skipped")
    return int(bool(not_agreed) or bool(failures) or not cases)


def _duration_s(case: ET.Element) -> float:
    return float(case.get("time", "0"))


def _whole_module(name: str) -> str:
    """Return what the list says to agree to every test of this one's module."""
    return f"{name.partition('::')[0]}::*"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
