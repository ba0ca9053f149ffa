"""How long does grading take? ``python benchmarks/grading.py [SUBMISSIONS [STOCK]]``, 1,000 and 5 if not said.

A class hands in a full assignment, everything answered: each its own draw, one in five with another's answers. All are
graded with one command; then some of the same submissions go through nbgrader's stock autograde, which runs them in a
kernel, and through nbgrader with our static check. Printed, in milliseconds of the clock and, after a slash, of the
processor (which other work on the machine does not change):

command  the whole command, by submission (all cores), and the largest process
each     one submission in one process (processor): median, 95th of 100, and where the time goes
stock    nbgrader's own chain, by submission, without the time that the command takes to start
adapter  the same with our static check in the place of running
"""

from __future__ import annotations

import gc
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from k8snet.course import grade, judge  # noqa: E402
from tests.course.classroom import ASSIGNMENT, answered, found_course, hand_in, nbgrader  # noqa: E402


def main() -> None:
    """Print the figures."""
    count, few = (int(n) for n in (sys.argv[1:] + ["1000", "5"][len(sys.argv) - 1 :])[:2])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        submitted = folder / "submitted"
        for n in range(count):
            student = f"student-{n:04}"
            hand_in(submitted, student, answered(student, drawn_for="student-0000" if n % 5 == 4 else None))
        print(f"{ASSIGNMENT}, {count} submissions, Python {sys.version.split()[0]}, {os.cpu_count()} cores")
        command(submitted, count)
        median = each(submitted)
        print(f"stock    {ratio(folder, few, median, stock=True)}")
        print(f"adapter  {ratio(folder, few, median, stock=False)}")


def clocks() -> tuple[float, float]:
    """Seconds of the clock, and of the processor for all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), used.ru_utime + used.ru_stime


def command(submitted: Path, count: int) -> None:
    """The command as a teacher types it."""
    begun = clocks()
    run = [sys.executable, "-m", "k8snet.course.grade", str(submitted), "-o", str(submitted.parent / "grades.csv")]
    subprocess.run(run, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
    wall, processor = (end - start for end, start in zip(clocks(), begun, strict=True))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    each = f"{wall / count * 1000:.1f} / {processor / count * 1000:.1f} each"
    print(f"command  {wall:.1f} s: {each}, largest process {peak:.0f} MB")


def each(submitted: Path) -> float:
    """The median processor time of one submission, in seconds."""
    spent = {"read": 0.0, "start": 0.0}

    def clocked(key: str, function):  # type: ignore[no-untyped-def]
        def run(*args):  # type: ignore[no-untyped-def]
            begun = time.process_time()
            try:
                return function(*args)
            finally:
                spent[key] += time.process_time() - begun

        return run

    gc.set_threshold(100_000, 50)  # as in the processes of the command
    found = grade.find([submitted])[:200]
    grade.grade_file(found[0])
    original = grade._read, judge._started
    grade._read, judge._started = clocked("read", grade._read), clocked("start", judge._started)
    times = []
    for item in found:
        begun = time.process_time()
        grade.grade_file(item)
        times.append(time.process_time() - begun)
    grade._read, judge._started = original
    whole, median = sum(times), statistics.median(times)
    rest = whole - sum(spent.values())
    parts = ", ".join(f"{k} {v / len(found) * 1000:.1f}" for k, v in {**spent, "draw and judge": rest}.items())
    print(f"each     median {median * 1000:.1f}, 95th {sorted(times)[int(len(times) * 0.95)] * 1000:.1f}; {parts}")
    return median


def ratio(folder: Path, few: int, median: float, *, stock: bool) -> str:
    """nbgrader's time for one submission: for *few* of them less that for one, so that its start does not count."""
    course = folder / ("stock" if stock else "ours")
    course.mkdir()
    found_course(course, stock=stock)
    nbgrader(course, "generate_assignment", ASSIGNMENT)
    seconds = []
    for students in (
        sorted((folder / "submitted").iterdir())[:1],
        sorted((folder / "submitted").iterdir())[1 : few + 1],
    ):
        shutil.rmtree(course / "submitted", ignore_errors=True)
        for student in students:
            shutil.copytree(student, course / "submitted" / student.name)
        begun = clocks()
        nbgrader(course, "autograde", ASSIGNMENT)
        seconds.append([end - start for end, start in zip(clocks(), begun, strict=True)])
    wall, processor = ((more - one) / (few - 1) for one, more in zip(*seconds, strict=True))
    times = f"{processor / median:.0f} times the processor time of the static grader's median"
    return f"{wall * 1000:.0f} / {processor * 1000:.0f} each, {times}"


if __name__ == "__main__":
    main()
