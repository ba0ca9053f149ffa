"""A third opinion on NetworkPolicy: the documentation's sentences, one after another, straight over the objects.

Deliberately naive: no compiling, no sharing with the package, everything looked up anew for each question.
"""

from __future__ import annotations

import ipaddress


def allowed(objects, source, destination, port, protocol):
    """True, False or None (undefined). Source and destination: ``namespace/name`` of a Pod, or an address."""
    client, server = find_pod(objects, source), find_pod(objects, destination)
    client_ip, server_ip = choose_addresses(addresses(client, source), addresses(server, destination))
    if client and server and client is server:
        return True
    sides = [
        side("Egress", objects, client, server, server_ip, server, port, protocol),
        side("Ingress", objects, server, client, client_ip, server, port, protocol),
    ]
    return False if False in sides else None if None in sides else True


def find_pod(objects, name):
    for o in objects:
        if o["kind"] == "Pod" and f"{o['metadata']['namespace']}/{o['metadata']['name']}" == name:
            return o
    return None


def addresses(pod, name):
    return [entry["ip"] for entry in pod["status"]["podIPs"]] if pod else [name]


def choose_addresses(client, server):
    for s in server:
        for c in client:
            if (":" in s) == (":" in c):
                return c, s
    return client[0], server[0]


def on_host(pod):
    return bool(pod and pod["spec"].get("hostNetwork"))


def side(direction, objects, own, other, other_ip, server, port, protocol):
    if own is None or on_host(own):
        return True
    if direction == "Ingress" and on_host(other) and other["spec"]["nodeName"] == own["spec"]["nodeName"]:
        return True
    isolating = [
        o
        for o in objects
        if o["kind"] == "NetworkPolicy"
        and o["metadata"]["namespace"] == own["metadata"]["namespace"]
        and selects(o["spec"].get("podSelector", {}), own["metadata"].get("labels", {}))
        and direction in types(o["spec"])
    ]
    if not isolating:
        return True
    if protocol not in ("TCP", "UDP", "SCTP"):
        return None
    field, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    for policy in isolating:
        for rule in policy["spec"].get(field, []):
            peer_ok = not rule.get(peers) or any(
                peer_matches(objects, policy["metadata"]["namespace"], p, other, other_ip) for p in rule[peers]
            )
            port_ok = not rule.get("ports") or any(port_matches(p, server, port, protocol) for p in rule["ports"])
            if peer_ok and port_ok:
                return True
    return False


def types(spec):
    if spec.get("policyTypes"):
        return spec["policyTypes"]
    return ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def peer_matches(objects, namespace, peer, other, other_ip):
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return inside(other_ip, block["cidr"]) and not any(inside(other_ip, e) for e in block.get("except", []))
    if other is None or on_host(other):
        return False
    other_namespace = other["metadata"]["namespace"]
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], namespace_labels(objects, other_namespace)):
            return False
    elif other_namespace != namespace:
        return False
    return "podSelector" not in peer or selects(peer["podSelector"], other["metadata"].get("labels", {}))


def namespace_labels(objects, name):
    for o in objects:
        if o["kind"] == "Namespace" and o["metadata"]["name"] == name:
            return {**o["metadata"].get("labels", {}), "kubernetes.io/metadata.name": name}
    return {"kubernetes.io/metadata.name": name}


def inside(ip, cidr):
    network = ipaddress.ip_network(cidr, strict=False)
    address = ipaddress.ip_address(ip)
    return address.version == network.version and address in network


def selects(selector, labels):
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for e in selector.get("matchExpressions", []):
        has = e["key"] in labels
        if e["operator"] == "In" and not (has and labels[e["key"]] in e["values"]):
            return False
        if e["operator"] == "NotIn" and has and labels[e["key"]] in e["values"]:
            return False
        if e["operator"] == "Exists" and not has:
            return False
        if e["operator"] == "DoesNotExist" and has:
            return False
    return True


def port_matches(entry, server, port, protocol):
    if entry.get("protocol", "TCP") != protocol:
        return False
    if "port" not in entry:
        return True
    if isinstance(entry["port"], int):
        return entry["port"] <= port <= entry.get("endPort", entry["port"])
    if server is None or on_host(server):
        return False
    for container in server["spec"]["containers"]:
        for p in container.get("ports", []):
            if p.get("name") == entry["port"] and p.get("protocol", "TCP") == protocol:
                return p["containerPort"] == port
    return False
