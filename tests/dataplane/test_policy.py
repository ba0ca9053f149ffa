"""Verdicts, their reasons, nearest misses, sentences and lint of NetworkPolicies."""

from __future__ import annotations

import pytest

from k8snet.controlplane.policies import compiled
from k8snet.dataplane import policy
from k8snet.dataplane.lint import ADVICE, lint
from k8snet.dataplane.nearest import nearest_miss
from k8snet.dataplane.sentences import sentence
from k8snet.manifests.errors import ApiError
from tests.dataplane.policy_objects import SEED_POLICY, node, pod, shop


def ask(snapshot, source, destination, port=8080, protocol="TCP"):
    return policy.verdict(snapshot, policy.peer(snapshot, source), policy.peer(snapshot, destination), port, protocol)


# who is isolated, and what opens (T14 to T18)


def test_without_a_policy_everything_is_open_also_across_namespaces():
    assert ask(shop(), "other/frontend", "db", 5432)


def test_the_seed_policy_admits_its_own_namespace_on_every_port_and_nobody_else():
    cluster = shop(SEED_POLICY)
    assert ask(cluster, "frontend", "my-app", 22)
    assert not ask(cluster, "visitor", "my-app")
    assert not ask(cluster, "other/frontend", "my-app")
    assert not ask(cluster, "198.51.100.7", "my-app")
    assert ask(cluster, "visitor", "db", 5432)


def test_policies_add_up_whatever_their_order():
    second = "podSelector: {}\ningress: [{ports: [{port: 8080}]}]\n"
    for text in (f"{SEED_POLICY}---\n{second}", f"{second}---\n{SEED_POLICY}"):
        assert ask(shop(text), "visitor", "my-app", 8080)
        assert not ask(shop(text), "visitor", "my-app", 81)


def test_both_ends_must_agree():
    """netpol: should support denying of egress traffic on the client side, even if the server allows it."""
    cluster = shop(SEED_POLICY + "---\npodSelector: {matchLabels: {role: frontend}}\npolicyTypes: [Egress]\n")
    verdict = ask(cluster, "frontend", "my-app")
    assert (verdict.egress.allowed, verdict.ingress.allowed, verdict.allowed) == (False, True, False)


@pytest.mark.parametrize(
    ("spec", "ingress", "egress"),
    [
        ("podSelector: {}", False, True),
        ("podSelector: {}\negress: []", False, True),
        ("podSelector: {}\negress: [{}]", False, True),
        ("podSelector: {}\npolicyTypes: [Egress]", True, False),
        ("podSelector: {}\npolicyTypes: [Egress]\ningress: [{}]", True, False),
        ("podSelector: {}\npolicyTypes: [Ingress, Egress]\ningress: []\negress: []", False, False),
        ("podSelector: {}\ningress: [{}]", True, True),
        ("podSelector: {}\ningress: [{from: []}]", True, True),
        ("{}", False, True),
    ],
)
def test_policy_types_and_empty_lists(spec, ingress, egress):
    verdict = ask(shop(spec), "frontend", "my-app")
    assert (verdict.ingress.allowed, verdict.egress.allowed) == (ingress, egress)


def test_one_dash_decides_between_and_and_or():
    one = "podSelector: {}\ningress: [{from: [{namespaceSelector: {matchLabels: {team: x}}, podSelector: {matchLabels: {app: db}}}]}]"
    two = "podSelector: {}\ningress: [{from: [{namespaceSelector: {matchLabels: {team: x}}}, {podSelector: {matchLabels: {app: db}}}]}]"
    callers = ("other/frontend", "db", "visitor")
    assert [bool(ask(shop(one), c, "my-app")) for c in callers] == [False, False, False]
    assert [bool(ask(shop(two), c, "my-app")) for c in callers] == [True, True, False]


def test_a_namespace_always_carries_its_name_as_a_label_and_a_missing_one_too():
    text = "podSelector: {}\ningress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}}]}]"
    stray = [pod("undeclared/x", {}, "10.244.1.9")]
    assert ask(shop(text % "other"), "other/frontend", "db")
    assert ask(shop(text % "undeclared", extra=stray), "undeclared/x", "db")


@pytest.mark.parametrize(
    ("operator", "values", "who"),
    [
        ("In", ["db"], {"db"}),
        ("NotIn", ["db"], {"frontend", "visitor"}),
        ("Exists", None, {"db"}),
        ("DoesNotExist", None, {"frontend", "visitor"}),
    ],
)
def test_match_operators_not_in_holds_for_a_missing_key(operator, values, who):
    expression = f"{{key: app, operator: {operator}{f', values: {values}' if values else ''}}}"
    cluster = shop(
        f"podSelector: {{matchLabels: {{app: my-app}}}}\ningress: [{{from: [{{podSelector: {{matchExpressions: [{expression}]}}}}]}}]"
    )
    assert {c for c in ("db", "frontend", "visitor") if ask(cluster, c, "my-app")} == who


# ports (T19)


@pytest.mark.parametrize(
    ("ports", "asked", "allowed"),
    [
        ("[{port: 8080}]", (8080, "TCP"), True),
        ("[{port: 8080}]", (8080, "UDP"), False),
        ("[{port: 8080, protocol: SCTP}]", (8080, "SCTP"), True),
        ("[{protocol: UDP}]", (7, "UDP"), True),
        ("[{protocol: UDP}]", (7, "TCP"), False),
        ("[{port: 8000, endPort: 8080}]", (8080, "TCP"), True),
        ("[{port: 8000, endPort: 8080}]", (8081, "TCP"), False),
        ("[{port: http}]", (8080, "TCP"), True),
        ("[{port: http, protocol: UDP}]", (8080, "UDP"), False),
        ("[{port: stats, protocol: UDP}]", (9000, "UDP"), True),
        ("[{port: https}]", (8080, "TCP"), False),
        ("[{port: 1}, {port: 8080}]", (8080, "TCP"), True),
        ("[]", (1, "SCTP"), True),
    ],
)
def test_ports_of_an_ingress_rule_are_the_pods_own(ports, asked, allowed):
    cluster = shop(f"podSelector: {{matchLabels: {{app: my-app}}}}\ningress: [{{ports: {ports}}}]")
    assert bool(ask(cluster, "visitor", "my-app", *asked)) is allowed


def test_a_named_port_of_an_egress_rule_is_the_destinations():
    """kube-network-policies: a name that only the client has, or no Pod at all, opens nothing."""
    cluster = shop("podSelector: {matchLabels: {app: my-app}}\npolicyTypes: [Egress]\negress: [{ports: [{port: pg}]}]")
    assert ask(cluster, "my-app", "db", 5432)
    assert not ask(cluster, "my-app", "visitor", 5432)
    assert not ask(cluster, "my-app", "198.51.100.7", 5432)
    assert not ask(cluster, "my-app", "agent", 5432)


# addresses (C62)

BLOCK = "podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 10.244.0.0/16, except: [10.244.1.4/30]}}, {ipBlock: {cidr: 198.51.100.1/24}}]}]"


@pytest.mark.parametrize(
    ("source", "allowed"),
    [("198.51.100.7", True), ("203.0.113.1", False), ("frontend", True), ("visitor", False), ("fd00::1", False)],
)
def test_ip_blocks_match_addresses_also_of_pods_and_have_holes(source, allowed):
    """A CIDR may be written with host bits set, as upstream's own test does."""
    verdict = ask(shop(BLOCK), source, "db")
    assert bool(verdict) is allowed
    assert ("F27" in verdict.ingress.note) is (source == "frontend")


def test_an_address_in_one_blocks_hole_may_be_allowed_by_another():
    """netpol: should ensure an IP overlapping both IPBlock.CIDR and IPBlock.Except is allowed."""
    text = "podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 10.244.1.5/32}}]}]"
    assert ask(shop(f"{BLOCK}\n---\n{text}"), "visitor", "db")


def test_selectors_never_find_what_is_no_pod():
    cluster = shop("podSelector: {}\ningress: [{from: [{namespaceSelector: {}}]}]")
    assert ask(cluster, "other/frontend", "db")
    assert not ask(cluster, "198.51.100.7", "db")
    assert not ask(cluster, "192.168.10.11", "db")


def test_pods_of_two_families_are_seen_by_the_address_that_the_pair_uses():
    both = [pod("default/two", {}, ips=["10.244.1.30", "fd00::30"]), pod("default/six", {}, ips=["fd00::31"])]
    cluster = shop("podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 'fd00::/64'}}]}]", extra=both)
    assert ask(cluster, "two", "six")
    assert not ask(cluster, "two", "visitor")


# nodes, hostNetwork, self, undefined (T20)

DENY = "podSelector: {}\npolicyTypes: [Ingress, Egress]"


def test_a_pod_reaches_itself_and_its_node_reaches_it():
    cluster = shop(DENY)
    assert ask(cluster, "db", "db")
    assert ask(cluster, "192.168.10.12", "db").ingress.why == "node n2 always reaches the Pods that it runs"
    assert not ask(cluster, "192.168.10.11", "db")


def test_host_network_pods_count_as_their_node():
    """kube-network-policies: host-network-pods-are-not-isolated; no podSelector finds them either."""
    cluster = shop(DENY)
    assert ask(cluster, "agent", "db"), "it is node n2, which runs db"
    assert not ask(cluster, "agent", "frontend")
    assert ask(cluster, "other/frontend", "agent")
    open_to_frontend = shop(SEED_POLICY, extra=[pod("default/spy", {"role": "frontend"}, "192.168.10.11", host=True)])
    verdict = ask(open_to_frontend, "spy", "my-app")
    assert not verdict
    assert "selectors find Pods with an address of their own" in str(verdict)


def test_egress_to_the_own_node_needs_a_rule_and_says_that_opinions_differ():
    verdict = ask(shop(DENY), "db", "agent")
    assert not verdict
    assert "documentation" in verdict.egress.note


def test_what_policy_does_to_icmp_is_undefined_only_where_a_pod_is_isolated():
    assert ask(shop(), "visitor", "my-app", 0, "ICMP").allowed is True
    verdict = ask(shop(SEED_POLICY), "frontend", "my-app", 0, "icmp")
    assert verdict.allowed is None
    assert not verdict
    assert "TCP, UDP and SCTP" in verdict.undefined


def test_a_plugin_that_does_not_enforce_lets_everything_through_and_says_so():
    verdict = ask(shop(DENY, enforce_policy=False), "visitor", "db")
    assert verdict
    assert "ignores it" in verdict.ingress.why
    assert [str(p) for p in verdict.ingress.policies] == ["networkpolicy/default/p0"]


def test_ends_are_named_as_kubectl_would():
    cluster = shop()
    assert str(policy.peer(cluster, "10.244.2.4")) == "Pod default/db"
    assert str(policy.peer(cluster, "192.168.10.11")) == "node n1"
    with pytest.raises(ApiError, match=r'^pods "frontend2" not found$'):
        policy.peer(cluster, "frontend2")
    with pytest.raises(ApiError) as caught:
        policy.peer(cluster, "coredns")
    assert "kube-system/coredns" in caught.value.hint


# why


def test_a_verdict_names_the_rule_that_allowed_and_the_condition_that_failed():
    cluster = shop(SEED_POLICY)
    allowed, blocked = ask(cluster, "frontend", "my-app"), ask(cluster, "visitor", "my-app")
    assert str(allowed.ingress.rule) == "networkpolicy/default/p0 spec.ingress[0].from[0]"
    check = blocked.ingress.tried[0].checks[0]
    assert (check.ref.field, check.met) == ("spec.ingress[0].from[0].podSelector", False)
    assert check.text == "wants role=frontend; Pod default/visitor has no label role"
    text = str(blocked)
    assert text.splitlines()[0] == "Pod default/visitor to Pod default/my-app, port 8080/TCP: blocked"
    assert "isolated by networkpolicy/default/p0" in text
    assert "not isolated" in text


def test_a_rule_whose_peer_fits_shows_the_port_that_does_not():
    cluster = shop(
        "podSelector: {}\ningress: [{from: [{podSelector: {}}], ports: [{port: 80}, {port: 8080, protocol: UDP}]}]"
    )
    checks = ask(cluster, "frontend", "my-app").ingress.tried[0].checks
    assert [c.met for c in checks] == [True, False, False]
    assert checks[2].ref.field == "spec.ingress[0].ports[1].protocol"


def test_a_verdict_as_data_and_as_html_says_what_the_text_says():
    verdict = ask(shop(SEED_POLICY), "visitor", "my-app")
    data = verdict.to_dict()
    assert (data["allowed"], data["ingress"]["tried"][0]["checks"][0]["met"]) == (False, False)
    page = verdict.to_html()
    assert page.count("<details") == 2
    assert "wants role=frontend" in page
    assert "<script" not in page


# nearest misses


@pytest.mark.parametrize(
    ("spec", "pair", "kind", "words"),
    [
        (SEED_POLICY, ("visitor", "my-app", 80), "label", "pod/default/visitor had the label role=frontend"),
        (SEED_POLICY, ("other/frontend", "my-app", 80), "namespace", "a namespaceSelector for other in the same item"),
        (
            "podSelector: {}\ningress: [{ports: [{port: 53}]}]",
            ("visitor", "db", 53, "UDP"),
            "protocol",
            "an entry for 53/UDP",
        ),
        ("podSelector: {}\ningress: [{ports: [{port: 80}]}]", ("visitor", "db", 5432), "port", "an entry for 5432/TCP"),
        (
            "podSelector: {}\ningress: [{from: [{namespaceSelector: {matchLabels: {a: b, c: d}}, podSelector: {matchLabels: {app: db}}}]}]",
            ("db", "my-app", 80),
            "dash",
            "two items",
        ),
        (
            "podSelector: {}\ningress: [{from: [{namespaceSelector: {matchLabels: {a: b}}}]}]",
            ("other/frontend", "db", 80),
            "label",
            "namespace/other had the label a=b",
        ),
        (
            "podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 10.0.0.0/24}}]}]",
            ("198.51.100.7", "db", 80),
            "peer",
            "198.51.100.7",
        ),
        ("podSelector: {}", ("visitor", "db", 80), "rule", "one more ingress rule"),
    ],
)
def test_the_nearest_miss_is_the_smallest_change_that_works(spec, pair, kind, words):
    cluster = shop(spec)
    verdict = ask(cluster, *pair)
    (change,) = nearest_miss(cluster, verdict).changes
    assert change.kind == kind
    assert words in str(nearest_miss(cluster, verdict)) or change.kind == "dash"
    assert ask(change.apply(cluster), *pair)


def test_where_both_ends_block_there_is_a_change_for_each():
    cluster = shop(DENY)
    changes = nearest_miss(cluster, ask(cluster, "visitor", "db")).changes
    assert [c.ref.field for c in changes] == ["spec.egress", "spec.ingress"]
    assert ask(changes[1].apply(changes[0].apply(cluster)), "visitor", "db")


def test_for_an_allowed_pair_all_rules_that_would_have_to_go_are_named():
    cluster = shop(f"{SEED_POLICY}---\npodSelector: {{}}\ningress: [{{}}]")
    found = dict(nearest_miss(cluster, ask(cluster, "frontend", "my-app")).rules)
    assert list(map(str, found["Ingress"])) == [
        "networkpolicy/default/p0 spec.ingress[0]",
        "networkpolicy/default/p1 spec.ingress[0]",
    ]
    assert set(found) == {"Ingress"}, "no policy has a say in what the frontend sends"
    assert str(nearest_miss(cluster, ask(cluster, "db", "db"))) == "no rule decides it"


# sentences


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            SEED_POLICY,
            "Pods app=my-app of namespace default accept connections from Pods role=frontend of the same namespace, on"
            " every port, and nothing else. What they open themselves is not limited.",
        ),
        (
            "podSelector: {}",
            "All Pods of namespace default accept no connections. What they open themselves is not limited.",
        ),
        (
            "podSelector: {}\npolicyTypes: [Egress]\negress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}}], ports: [{port: 53, protocol: UDP}]}]",
            "All Pods of namespace default open connections to all Pods of namespace other, on 53/UDP, and nothing else."
            " What they accept is not limited.",
        ),
    ],
)
def test_a_policy_in_plain_english(spec, text):
    (only,) = compiled(shop(spec)).all
    assert sentence(only) == text


# lint


def found(spec, extra=(), **settings):
    return {f.fault: f for f in lint(shop(spec, extra, **settings))}


def service(port, target):
    spec = {"selector": {"app": "my-app"}, "clusterIP": "10.96.0.20", "ports": [{"port": port, "targetPort": target}]}
    return {"kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": spec}


DNS_PEER = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}"


@pytest.mark.parametrize(
    ("fault", "spec", "field"),
    [
        ("F17", "podSelector: {}\npolicyTypes: [Egress]", "spec.egress"),
        (
            "F18",
            f"podSelector: {{}}\npolicyTypes: [Egress]\negress: [{{to: [{DNS_PEER}], ports: [{{port: 53}}]}}]",
            "spec.egress",
        ),
        (
            "F19",
            "podSelector: {}\ningress: [{from: [{namespaceSelector: {}}, {podSelector: {matchLabels: {app: db}}}]}]",
            "spec.ingress[0].from[0]",
        ),
        (
            "F20",
            "podSelector: {}\ningress: [{from: [{podSelector: {matchLabels: {k8s-app: kube-dns}}}]}]",
            "spec.ingress[0].from[0].podSelector",
        ),
        (
            "F21",
            "podSelector: {}\ningress: [{from: [{namespaceSelector: {matchLabels: {name: other}}}]}]",
            "spec.ingress[0].from[0].namespaceSelector",
        ),
        ("F22", "podSelector: {matchLabels: {role: back}}", "spec.podSelector"),
        ("F23", f"podSelector: {{}}\negress: [{{to: [{DNS_PEER}]}}]", "spec.policyTypes"),
        ("F23", "podSelector: {}\npolicyTypes: [Ingress]\negress: [{}]", "spec.policyTypes"),
        ("F23", "podSelector: {}\negress: []", "spec.policyTypes"),
        (
            "F24",
            "podSelector: {matchLabels: {app: my-app}}\ningress: [{ports: [{port: 80}]}]",
            "spec.ingress[0].ports[0].port",
        ),
        (
            "F24",
            "podSelector: {}\negress: [{to: [{podSelector: {matchLabels: {app: my-app}}}], ports: [{port: 80}]}]",
            "spec.egress[0].ports[0].port",
        ),
        (
            "F27",
            "podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 10.244.1.0/24}}]}]",
            "spec.ingress[0].from[0].ipBlock",
        ),
        ("F27", "podSelector: {}\negress: [{to: [{ipBlock: {cidr: 10.96.0.10/32}}]}]", "spec.egress[0].to[0].ipBlock"),
        (
            "F29",
            "podSelector: {}\ningress: [{from: [{podSelector: {matchLabels: {kind: agent}}}]}]",
            "spec.ingress[0].from[0]",
        ),
        (
            "",
            "podSelector: {}\ningress: [{from: [{podSelector: {matchLabels: {role: backend}}}]}]",
            "spec.ingress[0].from[0]",
        ),
    ],
)
def test_lint_finds_what_novices_get_wrong(fault, spec, field):
    extra = [service(80, 8080), pod("default/nodeagent", {"kind": "agent"}, "192.168.10.11", host=True)]
    finding = found(spec, extra)[fault]
    assert finding.ref.field == field
    assert ADVICE[finding.fault] in str(finding)


def test_lint_has_nothing_to_say_of_a_good_policy():
    good = f"""
podSelector: {{matchLabels: {{app: my-app}}}}
policyTypes: [Ingress, Egress]
ingress: [{{from: [{{podSelector: {{matchLabels: {{role: frontend}}}}}}, {{ipBlock: {{cidr: 198.51.100.0/24}}}}], ports: [{{port: 8080}}]}}]
egress: [{{to: [{DNS_PEER}], ports: [{{port: 53}}, {{port: 53, protocol: UDP}}]}}, {{to: [{{ipBlock: {{cidr: 0.0.0.0/0}}}}]}}]
"""
    assert found(good, [service(80, 8080)]) == {}
    assert set(found(good, enforce_policy=False)) == {"F28"}


def test_another_policy_may_allow_dns():
    allow = f"podSelector: {{}}\npolicyTypes: [Egress]\negress: [{{to: [{DNS_PEER}], ports: [{{port: 53, protocol: UDP}}]}}]"
    assert "F17" not in found(f"podSelector: {{}}\npolicyTypes: [Egress]\n---\n{allow}")


def test_policy_types_are_judged_as_they_were_applied():
    """The server fills them in; kubectl's annotation keeps what was written."""
    written = '{"spec": {"podSelector": {}, "egress": [{}]}}'
    text = f"metadata: {{name: p, namespace: default, annotations: {{kubectl.kubernetes.io/last-applied-configuration: '{written}'}}}}\nspec: {{podSelector: {{}}, policyTypes: [Ingress, Egress], egress: [{{}}]}}"
    assert "F23" in found(text)


def test_a_node_without_pods_is_a_peer_too():
    cluster = shop(
        "podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 192.168.10.13/32}}]}]", [node("n3", "192.168.10.13")]
    )
    assert ask(cluster, "192.168.10.13", "db")
