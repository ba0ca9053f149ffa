"""Progress is kept in one file, or not at all, and shows what to repeat."""

from __future__ import annotations

import json

from k8snet.course import predict, progress, report, reveal
from k8snet.course.predictions import questions


def test_nothing_is_kept_where_progress_is_off(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("K8SNET_PROGRESS", "none")
    progress.keep_task("t", 1.0)
    assert progress.load() == progress.Progress()
    assert list(tmp_path.iterdir()) == []
    assert str(report()).startswith("Nothing is kept yet")


def test_a_surprise_that_was_sure_comes_back_first(monkeypatch, tmp_path):
    monkeypatch.setenv("K8SNET_PROGRESS", str(tmp_path / "p.json"))
    first, second, third = list(questions().values())[:3]
    for question, right, confidence in ((first, True, "sure"), (second, False, "guess"), (third, False, "sure")):
        option = next(o for o in question.options if (o == question.answer) is right)
        assert "Noted" in str(predict(question.id, option, confidence))
        said = str(reveal(question.id))
        assert ("as you predicted" in said) is right
    text = str(report())
    assert "  3 of" in text
    assert text.index(third.id) < text.index(second.id) and f"{first.id}:" not in text


def test_the_best_score_of_a_task_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("K8SNET_PROGRESS", str(tmp_path / "p.json"))
    for score in (0.5, 1.0, 0.2):
        progress.keep_task("t05", score)
    assert progress.load().tasks == {"t05": 1.0}


def test_a_damaged_file_is_no_obstacle(monkeypatch, tmp_path):
    file = tmp_path / "p.json"
    monkeypatch.setenv("K8SNET_PROGRESS", str(file))
    for text in ("{", "[]", json.dumps({"predictions": 3})):
        file.write_text(text)
        assert progress.load() == progress.Progress()


def test_words_for_an_option_or_a_question_that_is_not_there():
    question = next(iter(questions().values()))
    assert "Choose one of" in str(predict(question.id, "no such option"))
    assert "no question" in str(predict("n99-x")) and "no question" in str(reveal("n99-x"))
