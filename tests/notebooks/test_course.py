"""The course as a whole: every concept and fault is met where the index says, and the notebooks keep their form."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import objectives

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CONCEPTS = {f"C{n:02}" for n in range(1, 87)}
FAULTS = {f"F{n:02}" for n in range(1, 57)}


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def output(cell: dict) -> str:
    """All text of a cell's outputs."""
    parts = []
    for o in cell.get("outputs", []):
        parts.append("".join(o.get("text", "")))
        parts += ["".join(o.get("data", {}).get(kind, "")) for kind in ("text/plain", "text/html")]
    return "\n".join(parts)


def test_every_concept_and_fault_is_met():
    assert (CONCEPTS | FAULTS) - set(objectives.index()) == set()


@pytest.mark.parametrize("key", sorted(objectives.index()))
def test_the_index_points_at_output_that_shows_it(key):
    for notebook, cell_id, shows in objectives.index()[key]:
        found = [c for c in cells(ROOT / "notebooks" / f"{notebook}.ipynb") if c["id"] == cell_id]
        assert found, f"{notebook} has no cell {cell_id}"
        assert shows.strip() and shows in output(found[0]), f"{notebook} {cell_id} does not show {shows!r}"


def test_objectives_document_is_in_step():
    assert objectives.TARGET.read_text(encoding="utf-8") == objectives.text()


def test_every_objective_has_a_cell_and_a_task():
    from k8snet.course.task import tasks

    met = set(objectives.index())
    taught = {i for t in tasks().values() for i in t.teaches}
    for row in objectives.rows():
        assert met & set(row["ids"]), row["objective"]
        assert taught & set(row["ids"]), row["objective"]


def minutes(path: Path) -> float:
    """words/150 + 2.5 for each prediction."""
    words = sum(len(re.findall(r"\w+", source(c))) for c in cells(path) if c["cell_type"] == "markdown")
    predictions = sum(source(c).startswith("predict(") for c in cells(path))
    return words / 150 + 2.5 * predictions


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_takes_25_to_40_minutes(path):
    print(f"{path.stem}: {minutes(path):.0f} minutes")
    assert 25 <= minutes(path) <= 40


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_sentences_are_short_and_cells_small(path):
    prose = []
    for cell in cells(path):
        if cell["cell_type"] == "markdown":
            text = re.sub(r"```.*?```|^\|.*$|^#.*$|<[^>]+>", "", source(cell), flags=re.S | re.M)
            prose += [s for s in re.split(r"(?<=[.!?:;])\s+|\n\s*\n|\n- |\n\d+\. ", text) if len(s.split()) > 2]
        elif not source(cell).startswith("%%"):
            assert len(source(cell).strip().splitlines()) <= 12, f"{cell['id']} is too long"
    assert sum(len(s.split()) for s in prose) / len(prose) <= 25


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_predictions_come_before_folded_results_and_are_revealed(path):
    asked = [m for c in cells(path) for m in re.findall(r'^predict\("([\w-]+)"', source(c), flags=re.M)]
    revealed = [m for c in cells(path) for m in re.findall(r'^reveal\("([\w-]+)"', source(c), flags=re.M)]
    assert asked == revealed
    for cell in cells(path):
        if source(cell).startswith("reveal("):
            assert cell["metadata"].get("jupyter", {}).get("outputs_hidden") is True, cell["id"]


def test_every_question_is_asked_in_its_notebook_and_its_answer_is_an_option():
    from k8snet.course.predictions import questions

    asked = {m for p in NOTEBOOKS for c in cells(p) for m in re.findall(r'predict\("([\w-]+)"', source(c))}
    assert asked == set(questions())
    for question in questions().values():
        assert question.answer in question.options, question.id
        assert len(set(question.options)) == len(question.options) >= 2, question.id


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_figure_has_alternative_text(path):
    for cell in cells(path):
        for o in cell.get("outputs", []):
            if "image/png" in o.get("data", {}):
                assert o["metadata"].get("image/png", {}).get("alt"), cell["id"]
            for tag in re.findall(r"<img [^>]*>", "".join(o.get("data", {}).get("text/html", ""))):
                assert re.search(r'alt="[^"]{10,}"', tag), cell["id"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_links_lead_somewhere(path):
    for cell in cells(path):
        if cell["cell_type"] == "markdown":
            for target in re.findall(r"\]\(([^)#]+)\)", source(cell)):
                if "://" not in target:
                    assert (path.parent / target).exists(), f"{cell['id']}: {target}"
