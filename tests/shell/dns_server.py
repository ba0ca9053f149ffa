"""A small DNS server on the loopback address that sends what `k8snet.dataplane.dns` answers, as CoreDNS would send it.

It exists so that the real dig, nslookup, host and glibc can be asked the same questions as the simulated ones.
"""

from __future__ import annotations

import os
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import dns as product

ADDRESS = f"127.53.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"  # each process of a test run has its own


def reply_to(snapshot: Snapshot, wire: bytes, udp: bool) -> bytes:
    """The reply to one question, byte for byte: flags and OPT as CoreDNS sets them, names compressed only to fit."""
    query = dns.message.from_wire(wire)
    question = query.question[0]
    answer = product.answer(snapshot, question.name.to_text(), dns.rdatatype.to_text(question.rdtype))
    reply = dns.message.make_response(query, our_payload=1232)
    reply.use_edns(0 if query.edns >= 0 else False, payload=1232, options=list(query.options))
    reply.flags |= (dns.flags.AA if answer.aa else 0) | (dns.flags.RA if answer.ra else 0)
    reply.set_rcode(dns.rcode.from_text(answer.rcode))
    for section in ("answer", "authority", "additional"):
        for r in getattr(answer, "answers" if section == "answer" else section):
            getattr(reply, section).append(dns.rrset.from_text(r.name, r.ttl, "IN", r.type, r.data))
    limit = (max(query.payload, 512) if query.edns >= 0 else 512) if udp else 65535
    plain = _uncompressed(reply)
    if len(plain) <= limit:
        return plain
    compressed = reply.to_wire(max_size=65535)
    if len(compressed) <= limit:
        return compressed
    for section in (reply.answer, reply.authority, reply.additional):
        section.clear()
    reply.flags |= dns.flags.TC
    return reply.to_wire()


def _uncompressed(reply: dns.message.Message) -> bytes:
    records = [reply.answer, reply.authority, reply.additional]
    counts = [len(reply.question), *(sum(len(r) for r in s) for s in records)]
    body = b"".join(q.name.to_wire() + struct.pack("!HH", q.rdtype, q.rdclass) for q in reply.question)
    for rrset in (r for s in records for r in s):
        for rdata in rrset:
            data = rdata.to_wire()
            body += rrset.name.to_wire() + struct.pack("!HHIH", rrset.rdtype, 1, rrset.ttl, len(data)) + data
    if reply.opt is not None:
        counts[3] += 1
        data = b"".join(struct.pack("!HH", o.otype, len(o.to_wire())) + o.to_wire() for o in reply.options)
        body += b"\0" + struct.pack("!HHIH", 41, reply.payload, 0, len(data)) + data
    return struct.pack("!HHHHHH", reply.id, reply.flags, *counts) + body


@contextmanager
def serving(snapshot: Snapshot, address: str = ADDRESS, port: int = 0) -> Iterator[int]:
    """Serve by UDP and TCP at *address*; gives the port (*port*, or a free one)."""

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, sock = self.request
            sock.sendto(reply_to(snapshot, data, udp=True), self.client_address)

    class Tcp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            (length,) = struct.unpack("!H", self.request.recv(2))
            wire = reply_to(snapshot, self.request.recv(length), udp=False)
            self.request.sendall(struct.pack("!H", len(wire)) + wire)

    socketserver.TCPServer.allow_reuse_address = True
    with socketserver.UDPServer((address, port), Udp) as udp:
        port = udp.server_address[1]
        with socketserver.TCPServer((address, port), Tcp) as tcp:
            for server in (udp, tcp):
                threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield port
            finally:
                udp.shutdown()
                tcp.shutdown()
