"""Pictures say what their data says, in words too, and are the same every time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from k8snet import Cluster
from k8snet.view import display, ladder, matrix, topology

MANIFESTS = Path(__file__).resolve().parents[2] / "notebooks" / "manifests"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def shop():
    cluster = Cluster()
    for name in ("shop.yaml", "lesson/my-service.yaml"):
        assert cluster.apply((MANIFESTS / name).read_text())
    return cluster


def test_a_ladder_has_a_numbered_rung_for_each_hop_and_a_lane_for_each_place(shop):
    trace = shop.pod("frontend").connect("my-service", 80)
    root = ET.fromstring(ladder.svg(trace))
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert [t for t in texts if t.isdigit()] == [str(n) for n in range(1, len(trace.hops) + 1)]
    assert {name.removeprefix("default/") for _, name in ladder.lanes_of(trace)} <= set(texts)
    assert root.find(f"{SVG}title").text == ladder.alt(trace)
    assert texts[-1].startswith("✓ delivered")


def test_a_lane_of_another_namespace_shows_the_pods_own_name_and_where_it_is(shop):
    trace = shop.pod("frontend").connect("kube-dns.kube-system", 9153)
    texts = [t.text for t in ET.fromstring(ladder.svg(trace)).iter(f"{SVG}text")]
    assert any(t.startswith("coredns-") for t in texts) and "pod · kube-system" in texts


def test_the_ring_marks_the_deciding_hop_alone(shop):
    trace = shop.pod("frontend").connect("my-service", 80)
    rings = [c for c in ET.fromstring(ladder.svg(trace)).iter(f"{SVG}circle") if c.get("r") == "15"]
    assert len(rings) == 1
    number = trace.hops.index(trace.deciding)
    assert int(rings[0].get("cy")) == ladder.TOP + ladder.ROW * number + ladder.ROW // 2


def test_the_notebook_form_of_a_trace_needs_no_trust(shop):
    html = display.trace_html(shop.pod("frontend").connect("my-service", 80))
    assert "<svg" not in html and "<script" not in html and 'alt="' in html
    assert "KUBE-SVC-" in html  # the complete text is there to unfold


def test_text_from_manifests_cannot_break_the_picture(shop):
    trace = shop.pod("frontend").connect('"><script>', 80)
    ET.fromstring(ladder.svg(trace))
    assert "<script>" not in display.trace_html(trace)


def test_the_cluster_drawing_names_every_pod_and_is_reproducible(shop):
    drawing = shop.draw()
    for pod in ("frontend", "my-app-1", "my-app-2", "db", "visitor"):
        assert pod in str(drawing)
    assert "coredns" not in str(drawing)
    assert drawing.png() == shop.draw().png()
    assert drawing.png().startswith(b"\x89PNG") and 'alt="Cluster of 3 nodes' in drawing._repr_html_()


def test_a_node_with_many_pods_shows_the_first_ten_by_name():
    cluster = Cluster(nodes=1)
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {{name: {}}}\nspec: {{containers: [{{name: web, image: nginx}}]}}\n"
    cluster.apply("---\n".join(pod.format(f"web-{n}") for n in reversed(range(12))))
    texts = [text.get_text() for text in cluster.draw().figure.axes[0].texts]
    assert "… and 2 more Pods" in texts
    assert any(t.startswith("web-9\n") for t in texts) is False and any(t.startswith("web-0\n") for t in texts)


def test_a_drawn_trace_appears_in_the_text_of_the_drawing(shop):
    trace = shop.pod("frontend").connect("my-service", 80)
    assert str(trace) in str(shop.draw(trace))


def test_the_graph_ties_services_to_ready_pods_only(shop):
    twin = shop.copy()
    twin.kubectl("label pod my-app-2 app-")
    g = topology.graph(twin.snapshot)
    assert set(g[("service", "default/my-service")]) == {("pod", "default/my-app-1")}


def test_a_matrix_shows_each_sign_and_counts_it(shop):
    before = shop.reachability(8080)
    twin = shop.copy()
    twin.apply((MANIFESTS / "lesson" / "allow-app-access.yaml").read_text())
    text = str(before.diff(twin.reachability(8080)).plot())
    assert text.startswith("what changed: ") and "6 now blocked" in text
    assert "visitor   . - - . ." in text


def test_many_pods_are_drawn_as_groups_or_without_names():
    names = [f"p{i}" for i in range(60)]
    drawing = matrix.plot(names, names, ["." * 60] * 60, "TCP 80")
    assert str(drawing) == "TCP 80: 3600 allowed"
    assert drawing.png()
