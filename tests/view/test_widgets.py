"""Each widget has a static text, and moving a control changes what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from k8snet import Cluster
from k8snet.view import boxes, ladder, timeline, widgets

MANIFESTS = Path(__file__).resolve().parents[2] / "notebooks" / "manifests"
POLICY = (MANIFESTS / "lesson" / "allow-app-access.yaml").read_text()


def build(model="overlay"):
    cluster = Cluster(network=model)
    for name in ("shop.yaml", "lesson/my-service.yaml"):
        assert cluster.apply((MANIFESTS / name).read_text())
    return cluster


@pytest.fixture
def shop():
    return build()


def parts(card):
    """The controls by label, and the output, of a panel as ipywidgets makes it."""
    _, row, output = card._build().children
    return {w.description: w for w in row.children}, output


def test_the_tracer_steps_through_hops(shop):
    controls, output = parts(widgets.packet_tracer(shop))
    whole = output.value
    controls["Next"].click()
    controls["Next"].click()
    assert "hop 2 of" in output.value and output.value != whole
    controls["Back"].click()
    assert "hop 1 of" in output.value
    controls["hop"].value = 99
    assert "hop 13 of 13" in output.value, "there is no hop behind the last one"
    controls["target"].value = "no-such-name"
    controls["hop"].value = 0
    assert "not resolve" in output.value or "name not found" in output.value


def test_the_static_text_says_what_the_widget_starts_with(shop):
    card = widgets.packet_tracer(shop)
    assert "client: frontend, target: my-service, port: 80" in str(card)
    assert "proxy: DNAT" in str(card)
    bundle = card._repr_mimebundle_()
    assert bundle["text/plain"] == str(card) and "text/html" in bundle


def test_the_playground_follows_the_policy_that_is_typed(shop):
    controls, output = parts(widgets.policy_playground(shop, POLICY))
    assert "6 newly blocked" in output.value
    controls["manifest"].value = POLICY.replace("role: frontend", "role: nobody")
    assert "8 newly blocked" in output.value
    controls["manifest"].value = POLICY.replace("podSelector", "podselector")
    assert "unknown field" in output.value
    assert not shop.plane.api.list("NetworkPolicy", "default"), "the cluster itself stays as it was"


def test_the_explorer_counts_connections_and_obeys_its_switches(shop):
    controls, output = parts(widgets.service_explorer(shop))
    assert "my-app-1" in output.value and "my-app-2" in output.value
    controls["my-app-2 ready"].value = False
    assert "my-app-2" not in output.value and "100" in output.value
    controls["my-app-2 ready"].value = True
    controls["sessionAffinity ClientIP"].value = True
    assert ("my-app-1" in output.value) != ("my-app-2" in output.value)


def test_the_explorer_says_why_nobody_answers(shop):
    controls, output = parts(widgets.service_explorer(shop))
    controls["internalTrafficPolicy Local"].value = True
    assert "frontend on node-1" in output.value and "timed out: internalTrafficPolicy is Local" in output.value
    for pod in ("my-app-1", "my-app-2"):
        controls[f"{pod} ready"].value = False
    assert "refused: none of the 2 endpoints" in output.value


def test_the_tracer_draws_the_end_only_with_the_last_hop(shop):
    trace = shop.pod("frontend").connect("my-service", 80)
    end = f"✓ {trace.outcome}"
    assert [end in ladder.svg(trace, n) for n in (1, 12, 13, 0)] == [False, False, True, True]


def test_the_resolver_ladder_shortens_with_ndots(shop):
    controls, output = parts(widgets.resolver_ladder(shop, name="example.com"))
    assert "8 questions" in output.value
    controls["ndots"].value = 1
    assert "2 questions" in output.value


def test_the_model_switch_shows_where_two_models_part():
    controls, output = parts(widgets.model_switch(build))
    assert "wrap" in output.value
    controls["right"].value = "bridge"
    assert "no difference" in output.value


def test_a_prediction_is_handed_on_only_when_chosen():
    heard = []
    card = widgets.prediction_card(
        "Predict: what?", "static", ["a", "b"], ["guess", "sure"], lambda o, c: heard.append((o, c)) or "Noted"
    )
    _, choice, sure, button, note = card._build().children
    button.click()
    assert heard == [] and "Choose" in note.value
    choice.value, sure.value = "b", "guess"
    button.click()
    assert heard == [("b", "guess")] and "Noted" in note.value


def test_chains_and_candidates_as_boxes(shop):
    picture = boxes.chains(shop.snapshot, "node-1", "default/my-service")
    assert picture.svg.count("KUBE-SEP-") == 2 and "--probability 0.5" in str(picture)
    assert "holds no chains" in str(boxes.chains(shop.snapshot, "node-1", "default/none"))


def test_the_timeline_names_each_pod_and_its_turns(shop):
    shop.kubectl("create deployment web --image=nginxinc/nginx-unprivileged --replicas=2")
    shop.kubectl("expose deployment web --port=80 --target-port=8080")
    shop.kubectl("rollout restart deployment web")
    text = str(timeline.watch(shop, "default/web", 45))
    assert text.count("draining") == 2 and text.count("45 s") == 2
