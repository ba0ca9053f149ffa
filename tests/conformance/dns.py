"""Adapter for the DNS case files: `dns` (what CoreDNS answers, what a Pod's resolver gets) and `resolvconf`."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from k8snet.controlplane import endpoints, podfiles
from k8snet.controlplane.podfiles import ResolvConf
from k8snet.controlplane.settings import Corefile, Internet, Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import dns, lookup, resolver
from k8snet.dataplane.client import Client
from k8snet.dataplane.dns import Record
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.resolver import Lookup
from k8snet.manifests import defaults, validation
from tests.conformance.runner import Adapter, Answer

Case = dict[str, Any]


NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "node"},
    "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.10"}]},
}


def _objects(case: Case) -> list[Case]:
    """The objects, and for each Service with a selector the slices that follow from its Pods.

    The cases name no nodes, but a Pod with an address runs on one: all of them are put on the same.
    """
    placed: list[Case] = [
        {**o, "spec": {"nodeName": "node", **o["spec"]}} if o["kind"] == "Pod" else o for o in case["objects"]
    ]
    pods = [o for o in placed if o["kind"] == "Pod"]
    slices: list[Case] = []
    for service in (o for o in placed if o["kind"] == "Service"):
        mine = [p for p in pods if p["metadata"]["namespace"] == service["metadata"]["namespace"]]
        slices += endpoints.slices_for(service, mine, {"node": NODE})
    return [*placed, NODE, *slices]


def _internet(given: Any) -> Internet:
    if given == "unreachable":
        return Internet(records=(), hosts=(), unreachable=True)
    records = tuple((r["name"], r["type"], r["data"], r.get("ttl", 300)) for r in given if "rcode" not in r)
    return Internet(records=records, servfail=frozenset(r["name"] for r in given if "rcode" in r), hosts=())


def _settings(case: Case, defaults: Case) -> Settings:
    options = {**defaults["corefile"], **case.get("corefile", {})}
    multicluster = options.pop("multicluster")
    if multicluster:
        raise ValueError("multicluster zones are not modelled")
    known = {f.name for f in fields(Corefile)}
    if unknown := set(options) - known:
        raise ValueError(f"Corefile option not known: {sorted(unknown)}")
    corefile = Corefile(**{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()})
    return Settings(
        cluster_domain=defaults["cluster_domain"],
        cluster_dns=(defaults["cluster_dns"],),
        node_resolv_conf=case.get("node_resolv_conf", defaults["node_resolv_conf"]),
        corefile=corefile,
        dns_synced=case.get("synced", True),
        internet=_internet(case.get("internet", ())),
    )


QUERY_KEYS = {"from", "name", "type", "asked", "rcode", "answers", "additional", "authority", "ttl", "note"}
_RCODES = {"NODATA": "NOERROR", "NOTFOUND": "NXDOMAIN"}


def _records(records: Iterable[Record], exact_case: bool) -> list[Case]:
    found = []
    for r in records:
        words = r.data.split(" ")
        data = " ".join([*words[:2], "SERIAL", *words[3:]]) if r.type == "SOA" else r.data
        found.append({"name": r.name, "type": r.type, "data": data})
    return _sorted(found, exact_case)


def _sorted(records: Iterable[Case], exact_case: bool) -> list[Case]:
    """Records in an order of their own, for comparison; without *exact_case* all in lower case."""
    plain = [{k: v if exact_case or k == "type" else v.lower() for k, v in r.items()} for r in records]
    return sorted(plain, key=lambda r: (r["name"], r["type"], r["data"]))


def _alias_first(records: Iterable[Record]) -> bool:
    seen: set[str] = set()
    for r in records:
        seen.add(r.name.lower())
        if r.type == "CNAME" and r.data.lower() in seen:
            return False
    return True


def _outcome(look: Lookup) -> tuple[str, tuple[Record, ...]]:
    last = look.replies[-1]
    if last.rcode == "NOERROR" and last.answers:
        return "NOERROR", last.answers
    if look.result == "TRYAGAIN":
        return next(r.rcode for r in reversed(look.replies) if r.rcode not in ("NOERROR", "NXDOMAIN")), ()
    return _RCODES[look.result], ()


def _dns(case: Case, document: Case) -> Iterator[Answer]:
    snapshot = Snapshot(_objects(case), _settings(case, document["defaults"]))
    exact = case.get("exact_case", False)
    servers = (case["dns_pod_ip"],) if "dns_pod_ip" in case else ()
    for query in case["queries"]:
        if unknown := set(query) - QUERY_KEYS:
            raise ValueError(f"query field not known: {sorted(unknown)}")
        expected = {"rcode": query["rcode"], "answers": _sorted(query["answers"], exact)}
        if "from" in query:
            moment = Moment(snapshot, 0.0, random.Random(0))
            look = lookup.resolve(moment, Client("pod", query["from"]), query["name"], (query["type"],))
            rcode, answers = _outcome(look)
            actual: Case = {"rcode": rcode, "answers": _records(answers, exact)}
            if "asked" in query:
                expected["asked"], actual["asked"] = query["asked"], look.tried
        else:
            reply = dns.answer(snapshot, query["name"], query["type"], servers)
            answers = reply.answers
            actual = {"rcode": reply.rcode, "answers": _records(answers, exact)}
            for section in ("additional", "authority"):
                if section in query:
                    expected[section] = _sorted(query[section], exact)
                    actual[section] = _records(getattr(reply, section), exact)
            if "ttl" in query:
                expected["ttl"], actual["ttl"] = [query["ttl"]], sorted({r.ttl for r in answers or reply.authority})
        expected["aliases first"], actual["aliases first"] = True, _alias_first(answers)
        yield Answer(f"{query['name']} {query['type']} {query.get('from', '')}", expected, actual)


def _server(server: Case) -> resolver.Ask:
    def ask(name: str, qtype: str, _nameserver: str) -> dns.Answer:
        def listed(key: str) -> bool:
            return bool({name, "*"} & set(server.get(key, ())))

        data = {"A": "10.0.0.1"} if listed("exists") else {"AAAA": "fd00::1"} if listed("exists_v6") else {}
        exists = bool(data) or listed("nodata")
        rcode = next((r for k, r in FAILURES.items() if listed(k)), "NOERROR" if exists else "NXDOMAIN")
        records = (Record(name, qtype, data[qtype], 30),) if qtype in data else ()
        return dns.Answer(name, qtype, rcode, records)

    return ask


FAILURES = {"timeout": "TIMEOUT", "refused": "CONNREFUSED", "servfail": "SERVFAIL"}


def _walks(case: Case) -> Iterator[Answer]:
    conf = ResolvConf(*(tuple(case["resolv_conf"][k]) for k in ("nameservers", "search", "options")))
    name, types = case["lookup"]["name"], case["lookup"]["type"].split("+")
    server = _server(case.get("server", {}))
    told = {"glibc": {k: case[k] for k in ("tried", "result", "seconds") if k in case}, "musl": case.get("musl", {})}
    for library, expected in told.items():
        if expected:
            look = resolver.walk(conf, name, types, server, library)
            actual = {"tried": look.tried, "result": look.result, "seconds": round(look.seconds)}
            if "seconds" not in expected and actual["seconds"] < 2:
                del actual["seconds"]
            yield Answer(f"{library} {name} {types}", expected, actual)
    for tool, asked in case.get("tools", {}).items():
        how = "dig" if tool == "dig" else "search"
        replies = resolver.search(conf, name, lambda candidate: server(candidate, "A", ""), how)
        yield Answer(f"{tool} {name}", asked, [r.name for r in replies])


def _kubelet(case: Case) -> Answer:
    kubelet = case["kubelet"]
    if unknown := set(kubelet) - {"clusterDNS", "clusterDomain", "resolvConf", "nodeIPs"}:
        raise ValueError(f"kubelet field not known: {sorted(unknown)}")
    settings = Settings(
        cluster_dns=tuple(kubelet["clusterDNS"]),
        cluster_domain=kubelet["clusterDomain"],
        node_resolv_conf=kubelet["resolvConf"],
    )
    (pod,) = Snapshot(case["objects"], settings).pods.values()
    conf, events = podfiles.resolv_conf(pod.obj, settings, kubelet.get("nodeIPs", ()))
    wanted = case.get("events", [])
    expect = {**case["expect"], "options": sorted(case["expect"]["options"])}
    expected = (expect, [(e["type"], e["reason"]) for e in wanted])
    actual = (
        {"nameservers": list(conf.nameservers), "search": list(conf.search), "options": sorted(conf.options)},
        [(e.type, e.reason) for e in events],
    )
    messages = all(e.message.endswith(w["message"]) for e, w in zip(events, wanted, strict=False))
    return Answer("resolv.conf", (*expected, wanted), (*actual, events), passed=expected == actual and messages)


def _resolvconf(case: Case, _document: Case) -> Iterator[Answer]:
    if "resolv_conf" in case:
        yield from _walks(case)
    if "kubelet" in case:
        yield _kubelet(case)
    if "valid" in case:
        (obj,) = case["objects"]
        errors = validation.errors(defaults.fill(obj))
        actual = (not errors, [{"field": e.field, "type": e.type, "detail": e.detail} for e in errors])
        yield Answer("valid", (case["valid"], case.get("errors", [])), actual)


ADAPTERS = {
    "dns": Adapter(
        _dns, frozenset({"corefile", "internet", "synced", "dns_pod_ip", "node_resolv_conf", "exact_case", "queries"})
    ),
    "resolvconf": Adapter(
        _resolvconf,
        frozenset(
            [
                "kubelet",
                "expect",
                "events",
                "valid",
                "errors",
                "resolv_conf",
                "lookup",
                "server",
                "tried",
                "result",
                "seconds",
                "musl",
                "tools",
            ]
        ),
    ),
}
