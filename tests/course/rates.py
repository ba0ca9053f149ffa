"""``python -m tests.course.rates [TASK …]``: what blind answers earn where there are few options.

For each predict, drop, explain and matrix task, over 200 students: how many different model answers there are, how often
the commonest is the right one, how often a neighbour's full answer gets full marks, and the chance of a random answer.
"""

from __future__ import annotations

import sys
from collections import Counter

from k8snet.course import judge
from k8snet.course.task import OUTCOMES, STATIONS, tasks
from tests.course import answers

FEW_OPTIONS = ("predict", "drop", "explain", "matrix")


def chance(task, scenario):
    """How often an answer made of random options is right: outcomes × stations, stations × nodes, options, signs. Free
    questions of a prediction are left out."""
    if task.kind == "explain":
        return 1 / len(scenario.options)
    if task.kind == "matrix":
        return 0.5 ** (len(scenario.pods) * (len(scenario.pods) - 1))
    if task.kind == "drop":
        return 1 / len(STATIONS) / scenario.knobs.get("nodes", 2)
    return 1 / len(OUTCOMES) / (len(STATIONS) + 1) if scenario.request else 0.0


def rates(task, students=200):
    """(different answers, share of the commonest, share of neighbours' answers that are right, chance)."""
    drawn = [task.scenario(f"student-{n}") for n in range(students)]
    given = [answers.model(task.id, s.values) for s in drawn]
    count = Counter(given)
    copied = sum(judge.judge(task, s, text).solved for s, text in zip(drawn, [*given[1:], given[0]], strict=True))
    return len(count), count.most_common(1)[0][1] / students, copied / students, chance(task, drawn[0])


def main():
    """Print a line for each task."""
    print(f"{'task':<32} {'kind':<8} {'answers':>8} {'commonest':>10} {'copied':>7} {'chance':>8}")
    for task in tasks().values():
        if task.kind in FEW_OPTIONS and (not sys.argv[1:] or task.id in sys.argv):
            kinds, commonest, copied, by_chance = rates(task)
            print(f"{task.id:<32} {task.kind:<8} {kinds:>8} {commonest:>10.0%} {copied:>7.0%} {by_chance:>8.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
