"""The course in a real JupyterLab in headless Chromium: the learner's own environment, the learner's own clicks.

Needs the environment ``.venv`` (``make lab`` or ``make test`` makes it) and Debian's chromium. Screenshots are left in
``artefacts/``.
"""

from __future__ import annotations

import pytest

from tests.browser.laboratory import CHROMIUM, PYTHON, ROOT, running

sync = pytest.importorskip("playwright.sync_api")
ARTEFACTS = ROOT / "artefacts"
NOTEBOOKS = sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb"))
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium"),
    pytest.mark.skipif(not PYTHON.exists(), reason="needs the learner's environment .venv (make lab)"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    ARTEFACTS.mkdir(exist_ok=True)
    with running(tmp_path_factory.mktemp("lab")) as found:
        yield found


def text_of(page, cell_id: str) -> str:
    """The outputs of a cell, as the document model holds them (cells far down are not in the page)."""
    return page.evaluate(
        """id => { const n = jupyterapp.shell.currentWidget.content;
        const c = n.widgets.find(w => w.model.id === id);
        return c.model.outputs.toJSON().map(o => o.text ?? o.data?.['text/plain'] ?? '').join('\\n'); }""",
        cell_id,
    )


def fill(page, cell_id: str, source: str) -> None:
    """Type a cell's source, and run it."""
    assert page.evaluate(
        """async ([id, source]) => { const n = jupyterapp.shell.currentWidget.content;
        const i = n.widgets.findIndex(w => w.model.id === id);
        n.widgets[i].model.sharedModel.setSource(source); n.activeCellIndex = i;
        return await jupyterapp.commands.execute('notebook:run-cell'); }""",
        [cell_id, source],
    ) is not False  # fmt: skip


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_notebook_runs_without_an_error(lab, name):
    page = lab.open(f"notebooks/{name}")
    assert lab.run_all(page) is True
    outputs = page.evaluate(
        "() => jupyterapp.shell.currentWidget.content.widgets.flatMap(w => w.model.outputs?.toJSON() ?? [])"
    )
    assert [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"] == []
    page.screenshot(path=ARTEFACTS / f"{name.removesuffix('.ipynb')}.png")
    page.close()


def test_a_figure_has_alternative_text_on_the_page(lab):
    page = lab.open("notebooks/00-first-packet.ipynb", height=3000)
    assert lab.run_all(page) is True
    images = page.locator(".jp-OutputArea-output img")
    assert images.count() > 0
    assert all(images.nth(i).get_attribute("alt") for i in range(images.count()))
    page.close()


def test_predict_run_and_reveal_with_the_keyboard(lab):
    page = lab.open("notebooks/00-first-packet.ipynb", height=6000)
    assert lab.run_all(page) is True
    card = page.locator(".jp-Cell", has_text='predict("n00-wish")').first
    card.scroll_into_view_if_needed()
    option = card.get_by_role("radio", name="it times out")
    option.focus()
    page.keyboard.press("Space")
    button = card.get_by_role("button", name="Store my prediction")
    button.focus()
    page.keyboard.press("Enter")
    sync.expect(card.get_by_role("status")).to_contain_text("Noted: it times out")
    page.screenshot(path=ARTEFACTS / "prediction.png")
    fill(page, "r-wish", 'reveal("n00-wish")')
    assert "You predicted: it times out" in text_of(page, "r-wish")
    page.close()


def test_fail_a_check_read_the_counterexample_repair_it_and_pass(lab):
    from k8snet.course.task import tasks
    from tests.course import answers

    task = next(t for t in tasks().values() if t.assignment == "05-ingress-policy" and t.kind == "write")
    page = lab.open("exercises/05-ingress-policy/05-ingress-policy.ipynb", height=3000)
    assert lab.run_all(page) is True
    check = f'check("{task.id}")'
    assert "No answer yet" in text_of(page, f"{task.id}-test")
    nobody = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: wrong}\nspec: {podSelector: {}}\n"
    fill(page, task.id, f"%%answer {task.id}\n{nobody}")
    fill(page, f"{task.id}-test", check)
    assert "✗" in text_of(page, f"{task.id}-test") and "For example" in text_of(page, f"{task.id}-test")
    page.screenshot(path=ARTEFACTS / "check-failed.png")
    right = answers.model(task.id, task.scenario("sample").values)
    fill(page, task.id, f"%%answer {task.id}\n{right}")
    fill(page, f"{task.id}-test", check)
    assert "Solved" in text_of(page, f"{task.id}-test")
    page.screenshot(path=ARTEFACTS / "check-passed.png")
    page.close()


def test_a_widget_in_the_page_follows_its_controls(lab):
    page = lab.open("notebooks/05-ingress-policy.ipynb", height=9000)
    assert lab.run_all(page) is True
    panel = page.locator(".jp-Cell", has_text="policy_playground(").last
    panel.scroll_into_view_if_needed()
    area = panel.get_by_role("textbox", name="manifest")
    output = panel.get_by_role("status")
    before = output.inner_text()
    area.fill(area.input_value().replace("role: frontend", "role: nobody"))
    area.blur()
    sync.expect(output).not_to_have_text(before)
    page.screenshot(path=ARTEFACTS / "playground.png")
    page.close()


@pytest.mark.parametrize(
    "notebook, cell, role, name, value, says",
    [
        ("00-first-packet", "packet_tracer(", "button", "Next", "", "hop 1 of 13"),
        ("03-data-path", "service_explorer(", "checkbox", "internalTrafficPolicy Local", "", "timed out: internal"),
        ("04-dns", "resolver_ladder(", "spinbutton", "ndots", "2", "api.example.com: 2 questions"),
    ],
)
def test_a_widget_says_what_its_control_asks_with_the_keyboard(lab, notebook, cell, role, name, value, says):
    page = lab.open(f"notebooks/{notebook}.ipynb", height=9000)
    assert lab.run_all(page) is True
    panel = page.locator(".jp-Cell", has_text=cell).last
    panel.scroll_into_view_if_needed()
    output = panel.get_by_role("status")
    sync.expect(output).not_to_contain_text(says)
    control = panel.get_by_role(role, name=name)
    control.focus()
    if value:
        control.fill(value)
    page.keyboard.press("Enter" if value else "Space")
    sync.expect(output).to_contain_text(says)
    panel.screenshot(path=ARTEFACTS / f"{cell.removesuffix('(')}.png")
    page.close()
