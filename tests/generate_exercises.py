"""``python -m tests.generate_exercises``: make exercises/ out of solutions/, with nbgrader's own generate_assignment.

The settings are those of ``nbgrader_config.py``; no database is used, so that the result depends on the sources alone.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import k8snet._fastimport  # noqa: F401  (before anything of Jupyter is imported)

ROOT = Path(__file__).resolve().parents[1]


def assignments() -> list[str]:
    """The folders of solutions/ that hold a notebook, in order."""
    return sorted(p.parent.name for p in (ROOT / "solutions").glob("*/*.ipynb"))


def generate(names: list[str], target: Path) -> None:
    """Write the released form of *names* below *target*. Raises RuntimeError where nbgrader fails."""
    from nbgrader.apps.api import NbGraderAPI
    from traitlets.config import Config
    from traitlets.config.loader import PyFileConfigLoader

    config = Config(PyFileConfigLoader("nbgrader_config.py", path=str(ROOT)).load_config())
    config.CourseDirectory.root = str(ROOT)
    config.CourseDirectory.release_directory = str(target)
    config.GenerateAssignment.no_database = True
    config.SaveCells.enabled = False
    api = NbGraderAPI(config=config)
    for name in names:
        outcome = api.generate_assignment(name)
        if not outcome["success"]:
            raise RuntimeError(f"{name}: {outcome.get('error') or outcome.get('log')}")


def main() -> int:
    """Replace exercises/ by what solutions/ gives now."""
    for old in (ROOT / "exercises").glob("*/"):
        shutil.rmtree(old)
    generate(assignments(), ROOT / "exercises")
    print(f"generated {len(assignments())} assignments")
    return 0


if __name__ == "__main__":
    sys.exit(main())
