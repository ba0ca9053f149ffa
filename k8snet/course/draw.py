"""A learner's own draw: names, labels, ports, addresses and the place of the fault, from a seed.

The seed comes from the course key (public: it separates terms and hides nothing), the student id and the task id, so
that notebook and grader draw the same thing without storing anything.
"""

from __future__ import annotations

import hashlib
import random

COURSE = "k8snet"

APPS = (
    "cart",
    "orders",
    "catalog",
    "payments",
    "search",
    "reviews",
    "stock",
    "mailer",
    "tickets",
    "ledger",
    "quotes",
    "feeds",
)
TEAMS = ("shop", "billing", "depot", "media", "travel", "library", "clinic", "garden", "harbour", "studio")
PORTS = (8000, 8008, 8080, 8081, 8088, 8090, 8181, 8443, 8888, 9000, 9090, 9292)
SERVICE_PORTS = (80, 81, 88, 443, 591, 800, 808, 880)


def generator(course: str, student: str, task: str) -> random.Random:
    """The seeded generator of one learner's task: the same three texts give the same numbers on every machine."""
    digest = hashlib.sha256("\n".join((course, student, task)).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def several(rng: random.Random, pool: tuple[str, ...], count: int) -> list[str]:
    """*count* different members of a pool."""
    return rng.sample(pool, count)
