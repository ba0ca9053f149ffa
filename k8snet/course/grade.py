"""The static grader: reads notebooks, runs nothing of theirs.

``python -m k8snet.course.grade SUBMISSIONS… --course KEY -o grades.csv [--feedback DIR] [--items FILE]``. A submission is
a notebook; of it the JSON is read and the text of its answer cells, found by nbgrader's ``grade_id``, is judged as in the
notebook. Whatever a file holds, it gives a row, with the reason where there is one; the same files give the same grades.
"""

from __future__ import annotations

import argparse
import csv
import gc
import hashlib
import json
import multiprocessing
import os
import re
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from k8snet.course.draw import COURSE
from k8snet.course.judge import Feedback, body, judge
from k8snet.course.task import Scenario, Task, assignments, sheet, tasks

MOST_BYTES = 200_000_000
COMPARED = ("write", "repair", "arrange", "probes")


@dataclass
class Grade:
    """One row: points by task (None: the file could not be graded), and what an instructor should know."""

    file: str
    student: str
    assignment: str = ""
    points: dict[str, float] | None = None
    remarks: list[str] = field(default_factory=list)
    goals: list[tuple[str, str, bool]] = field(default_factory=list)
    prints: dict[str, str] = field(default_factory=dict)


class TimeUp(BaseException):
    """A time limit; no ``except Exception`` on the way may hold it up."""


def _ring(*_: object) -> None:
    raise TimeUp


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TimeUp in the block after so many seconds (in the main thread, where the system has alarms)."""
    alarms = hasattr(signal, "setitimer")
    if alarms:
        signal.signal(signal.SIGALRM, _ring)
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))
    try:
        yield
    finally:
        if alarms:
            signal.setitimer(signal.ITIMER_REAL, 0)


# reading


def find(paths: Iterable[Path]) -> list[tuple[Path, str, str]]:
    """Every notebook below *paths* with the student and the assignment that its folders and its name say.

    The student is the first folder below the given one that is not named as an assignment, or else the file's name
    without the assignment's, or else the nearest folder above. Links are named and not followed.
    """
    found = {file: (file, *_whose(file, top)) for top in paths for file in _notebooks(top)}
    return sorted(found.values(), key=lambda f: (f[2], f[1], str(f[0])))


def _notebooks(top: Path) -> Iterator[Path]:
    if top.is_symlink() or not top.is_dir():
        yield top
        return
    for folder, inner, names in os.walk(top):
        links = [name for name in inner if Path(folder, name).is_symlink()]
        yield from (Path(folder, name) for name in (*links, *names) if name in links or name.endswith(".ipynb"))
        inner[:] = [name for name in inner if name != ".ipynb_checkpoints"]


def _whose(file: Path, top: Path) -> tuple[str, str]:
    names = assignments()
    stem = file.stem if file.suffix == ".ipynb" else file.name
    assignment = next((n for n in names for part in (stem, *file.parts[::-1]) if n in part), "")
    folders = [p for p in file.relative_to(top).parts[:-1] if p not in names] if file != top else []
    own = re.sub(r"^[-_ .]+|[-_ .]+$", "", stem.replace(assignment, "")) if assignment else stem
    above = next((p for p in file.absolute().parts[-2::-1] if p not in names), "")
    return (folders or [own or above])[0], assignment


def cells_of(data: bytes) -> list[Mapping[str, Any]]:
    """The cells of a notebook. Raises ValueError, RecursionError or MemoryError for what is none."""
    notebook = json.loads(data)
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise ValueError("not a notebook: it has no list of cells")
    return [c for c in cells if isinstance(c, dict)]


def source(cell: Mapping[str, Any]) -> str:
    """A cell's text."""
    text = cell.get("source", "")
    return "".join(line for line in text if isinstance(line, str)) if isinstance(text, list) else str(text)


def grade_id(cell: Mapping[str, Any]) -> str:
    """nbgrader's name of a cell; empty if it has none."""
    meta: Any = cell.get("metadata")
    for key in ("nbgrader", "grade_id"):
        meta = meta.get(key) if isinstance(meta, Mapping) else None
    return meta if isinstance(meta, str) else ""


def chosen(cells: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The place of the cell that counts for each grade_id: the last with an answer in it, or else the last."""
    counts: dict[str, int] = {}
    places = list(enumerate(cells))
    for only_answers in (False, True):
        counts |= {grade_id(c): n for n, c in places if grade_id(c) and (not only_answers or body(source(c)))}
    return counts


# grading


def grade_file(
    item: tuple[Path, str, str], course: str = COURSE, limit: float = 20.0, pages: Path | None = None
) -> Grade:
    """Grade one file. Raises nothing, and takes hardly longer than *limit* seconds."""
    file, student, assignment = item
    row, begun = Grade(str(file), student, assignment), time.monotonic()
    try:
        with limited(limit):
            cells = _read(file)
    except (OSError, ValueError, RecursionError, MemoryError, TimeUp) as error:
        row.remarks.append(f"not graded: {_reason(error)}")
        return row
    known = tasks()
    ids = Counter(i for i in map(grade_id, cells) if i)
    named = Counter(known[i].assignment for i in ids if i in known)
    row.assignment = assignment or (named.most_common(1)[0][0] if named else "")
    if row.assignment not in assignments():
        row.remarks.append("not graded: no assignment of this course is recognised by name or cells")
        return row
    mine, text = assignments()[row.assignment].tasks, {i: source(cells[n]) for i, n in chosen(cells).items()}
    row.remarks += _remarks(mine, ids, text, student)
    row.points, told = {}, []
    for task in mine:
        scenario, left = task.scenario(student, course), limit - (time.monotonic() - begun)
        answer, probes = text.get(task.id, ""), text.get(f"{task.id}-probes", "")
        feedback = judged(task, scenario, answer, probes, min(left, limit / 4))
        row.points[task.id] = points(task, feedback)
        row.goals += [(task.id, _general(g.name, scenario), g.met) for g in feedback.goals]
        if body(answer):
            row.remarks += [f"{task.id}: {feedback.remark}"] if feedback.remark else []
            row.prints[task.id] = hashlib.sha256(body(answer).encode("utf-8", "replace")).hexdigest()
        told.append((task, scenario, replace(feedback, told=True)))
    if pages is not None:
        try:
            with limited(limit):
                _write_page(pages, row, told)
        except (OSError, TimeUp) as error:
            row.remarks.append(f"no feedback page: {_reason(error)}")
    return row


def judged(task: Task, scenario: Scenario, answer: str, probes: str, seconds: float = 5.0) -> Feedback:
    """`judge` within so many seconds."""
    try:
        with limited(seconds):
            return judge(task, scenario, answer, probes)
    except TimeUp as error:
        return Feedback(task.id, 0.0, remark=f"Not judged: {_reason(error)}.")


def points(task: Task, feedback: Feedback) -> float:
    """The points for an answer: by the share of its goals, to a hundredth."""
    return round(task.points * feedback.score, 2)


def _read(file: Path) -> list[Mapping[str, Any]]:
    if file.is_symlink():
        raise ValueError("a symbolic link, which is not followed")
    if not file.is_file():
        raise ValueError("no such file")
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES // 1_000_000} MB")
    return cells_of(file.read_bytes())


def _reason(error: BaseException) -> str:
    kinds: tuple[tuple[type[BaseException], str], ...] = (
        (TimeUp, "it took too long"),
        (UnicodeDecodeError, "the file is not in UTF-8"),
        (json.JSONDecodeError, f"the file is no JSON: {error}"),
        (RecursionError, "nested too deeply"),
        (MemoryError, "it needs too much memory"),
    )
    return next((text for kind, text in kinds if isinstance(error, kind)), str(error))


def _remarks(mine: Iterable[Task], ids: Counter[str], text: Mapping[str, str], student: str) -> Iterator[str]:
    literal = re.search(r"^STUDENT\s*=\s*[\"']([^\"'\n]*)[\"']", text.get("student", ""), re.MULTILINE)
    if not literal:
        yield "the cell with STUDENT is missing or says no name"
    elif literal[1] != student:
        yield f"the notebook says STUDENT = {literal[1]!r}; {student!r}, as handed in, counts"
    wanted = {"student"}
    for task in mine:
        answers = [task.id, *([f"{task.id}-probes"] if task.kind == "probes" else [])]
        wanted |= {*answers, f"{task.id}-test"}
        yield from (f"{i}: the answer cell is missing" for i in answers if i not in ids)
        yield from (f"{i}: {ids[i]} cells of this name; the last with an answer counts" for i in answers if ids[i] > 1)
        if text.get(f"{task.id}-test", "").strip() != f'check("{task.id}")':
            yield f"{task.id}: the check cell is changed or missing (it is not used)"
    foreign = sorted(ids.keys() - wanted)
    if foreign:
        yield f"cells of something else, left out: {', '.join(foreign[:3])}" + (" …" if len(foreign) > 3 else "")


def _general(name: str, scenario: Scenario) -> str:
    """A goal's name with the draw's own words replaced by what they stand for: the same for all learners."""
    drawn = ((str(v), key) for key, v in scenario.values.items() if isinstance(v, (str, int)))
    words = {word: key for word, key in drawn if len(word) > 1 and word in name}
    pattern = "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True))
    return re.sub(rf"(?<![\w])(?:{pattern})(?![\w])", lambda m: f"{{{words[m[0]]}}}", name) if pattern else name


def grade(paths: Iterable[Path], course: str = COURSE, *, jobs: int = 0, limit: float = 20.0, pages: Path | None = None,
          progress: Callable[[int, int, Grade], object] = lambda *_: None) -> list[Grade]:  # fmt: skip
    """Grade all notebooks below *paths*, with *jobs* processes (0: one a core); a row for each, in order.

    *limit* is the seconds that one submission may take, *pages* a folder for feedback pages. *progress* is told after
    each how many are done, of how many, and the row."""
    work, rows = find(paths), []
    one = partial(grade_file, course=course, limit=limit, pages=pages)
    jobs = min(jobs or os.cpu_count() or 1, len(work) // 8 + 1)
    with multiprocessing.Pool(jobs, gc.set_threshold, (100_000, 50)) if jobs > 1 else nullcontext() as pool:
        for row in pool.imap(one, work, chunksize=4) if pool else map(one, work):
            rows.append(row)
            progress(len(rows), len(work), row)
    _compare(rows)
    return rows


def _compare(rows: Iterable[Grade]) -> None:
    """Remark on several files of one student, and on answers that two students wrote letter for letter: draws differ."""
    files, same = defaultdict(list), defaultdict(list)
    for row in rows:
        files[row.student, row.assignment].append(row)
        for task, text in row.prints.items():
            if tasks()[task].kind in COMPARED:
                same[task, text].append(row)
    for several in files.values():
        for row in several if len(several) > 1 else ():
            row.remarks.append(f"{len(several)} files for this student and assignment")
    for (task, _), equal in same.items():
        for row in equal:
            others = sorted({r.student for r in equal} - {row.student})
            row.remarks += [f"{task}: the same text as {', '.join(others[:3])}"] if others else []


# writing


def write_csv(path: Path, rows: Iterable[Grade]) -> None:
    """The grades: student, assignment, score, points at most, remarks, file, and the points of each task."""
    rows = list(rows)
    columns = [t for t in tasks().values() if any(r.points and t.id in r.points for r in rows)]
    head = ["student", "assignment", "score", "max", "remarks", "file", *(t.id for t in columns)]
    lines = []
    for r in rows:
        most = sum(t.points for t in tasks().values() if t.assignment == r.assignment)
        got, score = r.points or {}, "" if r.points is None else f"{sum(r.points.values()):g}"
        by_task = (got.get(t.id, "") for t in columns)
        lines.append([r.student, r.assignment, score, most, "; ".join(r.remarks), r.file, *by_task])
    _table(path, head, lines)


def write_items(path: Path, rows: Iterable[Grade]) -> None:
    """The item analysis: for each sub-goal of each task how many were judged on it and how many missed it."""
    count: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        for task, goal, met in row.goals:
            count[task, goal][0] += 1
            count[task, goal][1] += not met
    order = {task: n for n, task in enumerate(tasks())}
    lines = sorted(count.items(), key=lambda item: (order[item[0][0]], -item[1][1], item[0][1]))
    _table(path, ["task", "goal", "judged", "missed", "share"], [[*key, n, m, f"{m / n:.2f}"] for key, (n, m) in lines])


def _table(path: Path, head: list[str], lines: Iterable[list[Any]]) -> None:
    def safe(value: Any) -> Any:
        """Text that a spreadsheet would take for a formula is given a quote in front."""
        return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value

    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        csv.writer(file).writerows([head, *(map(safe, line) for line in lines)])


def _write_page(folder: Path, row: Grade, told: Iterable[tuple[Task, Scenario, Feedback]]) -> None:
    """One student's feedback: each task as it was drawn, its goals, and a counterexample with its way as a picture."""
    parts = [
        f"<h1>{escape(row.assignment)}: {escape(row.student)}</h1>",
        f"<p>{sum((row.points or {}).values()):g} points</p>",
    ]
    parts += [f"<p>{escape(remark)}</p>" for remark in row.remarks]
    for task, scenario, feedback in told:
        title = f"{escape(task.title)}: {points(task, feedback):g} of {task.points}"
        text = f"<details><summary>The task</summary><pre>{escape(sheet(task, scenario))}</pre></details>"
        parts.append(f"<h2>{title}</h2>{text}{feedback._repr_html_()}")
    mark = hashlib.sha256(row.file.encode("utf-8", "replace")).hexdigest()[:6]
    name = re.sub(r"[^\w.-]", "_", f"{row.student[:100]}-{row.assignment}-{mark}.html")
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(row.student)}</title>'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"{head}{''.join(parts)}</html>", encoding="utf-8", errors="replace")


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m k8snet.course.grade", description=__doc__.split("\n")[0])
    parser.add_argument("submissions", nargs="+", type=Path, help="notebooks, or folders that hold them")
    parser.add_argument("--course", default=COURSE, help="the course key, as in the notebooks")
    parser.add_argument("-o", "--output", type=Path, default=Path("grades.csv"))
    parser.add_argument("--feedback", type=Path, help="a folder for one page for each student")
    parser.add_argument("--items", type=Path, help="a file for the item analysis")
    parser.add_argument("--jobs", type=int, default=0, help="processes; 0: one a core")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for one submission")
    a = parser.parse_args(arguments)

    def progress(done: int, total: int, row: Grade) -> None:
        if sys.stderr.isatty() or done == total or done % max(total // 20, 1) == 0:
            print(f"{done} of {total}: {row.student[:40]}", file=sys.stderr, end="\r" if sys.stderr.isatty() else "\n")

    rows = grade(a.submissions, a.course, jobs=a.jobs, limit=a.limit, pages=a.feedback, progress=progress)
    write_csv(a.output, rows)
    if a.items:
        write_items(a.items, rows)
    bad = sum(r.points is None for r in rows)
    print(f"{len(rows)} submissions, {bad} not graded (see the remarks in {a.output})", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
