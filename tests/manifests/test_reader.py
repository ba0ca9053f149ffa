"""Manifests as kubectl reads them: documents, YAML 1.1 as Go resolves it, error texts, limits."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from k8snet.manifests import dump, reader, yaml11
from k8snet.manifests.errors import KubernetesError

SERVICE = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n  - port: 80\n"


def only_error(text: str) -> str:
    (document,) = reader.read(text, "f.yaml")
    assert document.obj is None and document.error is not None
    return document.error.message


@pytest.mark.parametrize(
    ("written", "read"),
    [
        *[("y", True), ("N", False), ("on", True), ("Off", False), ("1e3", 1000), ("0o10", 8), ("010", 8), ("08", 8)],
        *[("80.0", 80), ("80.5", 80.5), ("22:22", "22:22"), ("2024-01-01", "2024-01-01"), ("0x1f", 31), ("~", None)],
        *[("1_000", 1000), ('"80"', "80"), ("'y'", "y"), ("yes please", "yes please"), ("1.2.3.4", "1.2.3.4")],
    ],
)
def test_words_stand_for_what_go_reads_in_them(written: str, read: object) -> None:
    assert yaml11.parse(f"a: {written}", yaml11.Budget()).value == {"a": read}


def test_boolean_and_numeric_keys_become_text() -> None:
    assert yaml11.parse("y: 1\n8080: 2\n", yaml11.Budget()).value == {"true": 1, "8080": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: b: c", "yaml: mapping values are not allowed in this context"),
        ("x: 1\na: b: c", "yaml: line 2: mapping values are not allowed in this context"),
        ("a: 1\nb:\n\tc: d", "yaml: line 3: found character that cannot start any token"),
        ("a:\n  - b\n c: d\n", "yaml: line 2: did not find expected key"),
        ("x: *b\n", "yaml: unknown anchor 'b' referenced"),
        ("a: &x [*x]", "yaml: anchor 'x' value contains itself"),
        ("a: .inf", "json: unsupported value: +Inf"),
        ("host: *.example.com\n", "yaml: did not find expected alphabetic or numeric character"),
    ],
)
def test_text_that_is_no_yaml_is_refused_in_go_words(text: str, words: str) -> None:
    assert only_error(text) == f"error: error parsing f.yaml: error converting YAML to JSON: {words}"


@settings(derandomize=True)
@given(st.text(alphabet="ab:-[],\n ", max_size=30))
def test_both_parsers_of_pyyaml_say_the_same(text: str) -> None:
    answers = []
    for loader in (getattr(yaml, "CSafeLoader", yaml.SafeLoader), yaml.SafeLoader):
        before, yaml11.LOADER = yaml11.LOADER, loader
        try:
            answers.append(("value", yaml11.parse(text, yaml11.Budget()).value))
        except yaml11.YamlError:
            answers.append(("error", None))
        finally:
            yaml11.LOADER = before
    assert answers[0] == answers[1]


def test_documents_before_a_broken_one_are_kept_and_none_after_it() -> None:
    found = reader.read(SERVICE + "---\nkind: Pod\n---\n" + SERVICE)
    assert [d.obj is not None for d in found] == [True, False]
    assert found[1].line == 9
    assert "apiVersion not set; if you choose to ignore" in str(found[1].error)


def test_an_unknown_kind_costs_only_its_own_object() -> None:
    found = reader.read(SERVICE.replace("Service", "Servce") + "---\n" + SERVICE)
    assert [d.obj is not None for d in found] == [False, True]
    assert 'no matches for kind "Servce" in version "v1"\nensure CRDs' in str(found[0].error)
    assert found[0].error is not None and "kind: Service" in found[0].error.hint


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_an_older_version_that_is_still_served_is_stored_as_the_newer(version: str) -> None:
    (found,) = reader.read(
        f"{{apiVersion: gateway.networking.k8s.io/{version}, kind: ReferenceGrant, metadata: {{name: a}}}}"
    )
    assert found.obj is not None and found.obj["apiVersion"] == "gateway.networking.k8s.io/v1"


def test_lists_are_taken_apart_and_repeated_keys_are_mentioned() -> None:
    items = [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": n}} for n in ("a", "b")]
    text = dump.to_yaml({"apiVersion": "v1", "kind": "List", "items": items})
    assert [d.obj for d in reader.read(text)] == items
    (document,) = reader.read(SERVICE + "  type: NodePort\n  type: ClusterIP\n")
    assert document.obj is not None and document.obj["spec"]["type"] == "ClusterIP"
    assert "line 9" in document.hints[0]


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10_000_001,
        "a: [" + "x," * 4_000_000,
        "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)),
        "[" * 100_000,
        "- " * 100_000,
    ],
)
def test_what_is_too_large_is_refused_at_once(text: str) -> None:
    start = time.perf_counter()
    assert only_error(text).endswith("(a limit of this simulator, not of Kubernetes)")
    assert time.perf_counter() - start < 1.5


def test_a_dump_is_read_from_json_or_yaml_whatever_its_size() -> None:
    items = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{i}"}} for i in range(30_000)]
    dumped = {"apiVersion": "v1", "kind": "List", "items": items}
    assert reader.objects_of(dump.to_json(dumped)) == items
    assert reader.objects_of(dump.to_yaml({**dumped, "items": items[:50]})) == items[:50]
    with pytest.raises(KubernetesError):
        reader.objects_of("hello")


@settings(derandomize=True)
@given(
    st.recursive(st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=8), st.lists, max_leaves=8)
)
def test_what_is_printed_is_read_back(value: object) -> None:
    try:
        printed = dump.to_yaml({"a": value})
        assert yaml11.parse(printed, yaml11.Budget()).value == {"a": value}
    except (UnicodeEncodeError, yaml11.YamlError):
        assert any(not c.isprintable() for c in str(value))
