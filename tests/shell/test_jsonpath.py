"""kubectl's jsonpath, after client-go util/jsonpath/jsonpath_test.go."""

from __future__ import annotations

import pytest

from k8snet.manifests.errors import KubectlError
from k8snet.shell.jsonpath import render

DATA = {
    "items": [
        {"metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "x"}}, "n": 3, "up": True,
         "conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
        {"metadata": {"name": "b"}, "n": 5},
    ]
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.items[*].metadata.name}", "a b"),
        ("{.items[0].metadata.name}{.items[1].n}", "a5"),
        ("name: {.items[-1].metadata.name}!", "name: b!"),
        ('{range .items[*]}{.metadata.name}{"\\t"}{.n}{"\\n"}{end}', "a\t3\nb\t5\n"),
        ("{.items[?(@.n>3)].metadata.name}", "b"),
        ('{.items[0].conditions[?(@.type=="Ready")].status}', "True"),
        ("{.items[0].conditions[?(@.type!='Ready')].status}", "False"),
        ("{.items[?(@.up==true)].metadata.name}", "a"),
        ("{.items[?(@.conditions)].metadata.name}", "a"),
        ("{.items[0].metadata.labels.app\\.kubernetes\\.io/name}", "x"),
        ("{.items[0].metadata.labels['app\\.kubernetes\\.io/name']}", "x"),
        ("{.items[0]['n','up']}", "3 true"),
        ("{.items[0:1].n}", "3"),
        ("{.items[0,1].n}", "3 5"),
        ("{..name}", "a b"),
        ("{$.items[1]}", '{"metadata":{"name":"b"},"n":5}'),
        ("{.nothing.here}", ""),
        ("plain", "plain"),
        ("{range .items[*]}{range .conditions[*]}{.type},{end}{.n};{end}", "Ready,Other,3;5;"),
    ],
)
def test_templates(template: str, text: str) -> None:
    assert render(template, DATA) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{.items[9]}", "array index out of bounds: index 9, length 2"),
        ("{.items[0}", "error: error parsing jsonpath {.items[0}, unterminated array"),
        ("{.items", "error: error parsing jsonpath {.items, unclosed action"),
        ("{.items[x]}", "error: error parsing jsonpath {.items[x]}, invalid array index x"),
        ("{.items[-]}", "invalid array index -"),
        ("{.items[::0]}", "invalid array index ::0"),
        ("{end}", "not in range"),
        ("{range .items}", "unclosed range"),
    ],
)
def test_bad_templates_are_kubectl_errors(template: str, message: str) -> None:
    with pytest.raises(KubectlError) as raised:
        render(template, DATA)
    assert message in str(raised.value)
