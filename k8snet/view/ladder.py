"""A trace as a picture: one lane for each place, one rung for each hop, the reply on the way back.

The picture is a static SVG without scripts or fonts of its own. It shows nothing that ``str(trace)`` does not say.
"""

from __future__ import annotations

from html import escape

from k8snet.dataplane.packet import Packet
from k8snet.dataplane.trace import Hop, Trace
from k8snet.manifests.addresses import host_port
from k8snet.view import style

ROW, TOP, LEFT, LANE, TEXT = 40, 64, 14, 112, 560


def alt(trace: Trace) -> str:
    """One sentence that stands for the picture."""
    lanes = " to ".join(f"{kind} {name}" for kind, name in lanes_of(trace))
    return f"{trace.request}: {trace.outcome.kind} after {len(trace.hops)} hops, through {lanes or 'nothing'}"


def lanes_of(trace: Trace) -> list[tuple[str, str]]:
    """The places of a trace in the order in which the packet meets them, as (kind, name)."""
    return list(dict.fromkeys((h.place.kind, h.place.name) for h in trace.hops))


def changes(hop: Hop) -> str:
    """What a hop did to the headers, in one short line; empty if nothing."""
    before, after = hop.before, hop.after
    if before is None or after is None or before == after:
        return ""
    parts = [
        f"{word} {old} ⇒ {new}"
        for word, old, new in (
            ("to", _end(before, "dst"), _end(after, "dst")),
            ("from", _end(before, "src"), _end(after, "src")),
        )
        if old != new
    ]
    if before.outer is None and after.outer is not None:
        parts.append(f"wrapped: {after.outer.src} ⇒ {after.outer.dst}")
    if before.outer is not None and after.outer is None:
        parts.append("unwrapped")
    return ", ".join(parts)


def _end(packet: Packet, side: str) -> str:
    ip, port = (packet.dst, packet.dport) if side == "dst" else (packet.src, packet.sport)
    return host_port(ip, port) if port else ip


def svg(trace: Trace, until: int = 0) -> str:
    """The picture as SVG text; with *until*, only so many hops of it, in a frame of the same size: the end comes last."""
    lanes = lanes_of(trace)
    width = LEFT + LANE * max(len(lanes), 1) + TEXT
    height = TOP + ROW * len(trace.hops) + 44
    x_of = {lane: LEFT + LANE * i + LANE // 2 for i, lane in enumerate(lanes)}
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="{style.FONT}" font-size="12" role="img">',
        f"<title>{escape(alt(trace))}</title>",
        f'<rect width="{width}" height="{height}" rx="6" fill="{style.PAPER}" stroke="{style.LINE}"/>',
    ]
    for kind, name in lanes:
        out += _lane(x_of[(kind, name)], kind, name, height)
    points = [(x_of[(h.place.kind, h.place.name)], TOP + ROW * i + ROW // 2) for i, h in enumerate(trace.hops)]
    shown = trace.hops[: until or len(trace.hops)]
    for (x1, y1), (x2, y2), hop in zip(points, points[1:], shown[1:], strict=False):
        dash = ' stroke-dasharray="5 4"' if hop.returning else ""
        colour = style.RETURN if hop.returning else style.FORWARD
        out.append(f'<path d="M{x1} {y1} L{x2} {y2}" stroke="{colour}" stroke-width="2.5" fill="none"{dash}/>')
    for number, ((x, y), hop) in enumerate(zip(points, shown, strict=False), 1):
        out += _rung(number, x, y, hop, LEFT + LANE * len(lanes) + 8, hop is trace.deciding)
    if len(shown) < len(trace.hops):
        return "".join(out) + "</svg>"
    sign, colour = style.OUTCOME_SIGNS[trace.outcome.kind]
    y = height - 16
    out.append(
        f'<text x="{LEFT + 6}" y="{y}" font-weight="bold" fill="{colour}" font-size="14">{sign} '
        f"{escape(style.short(str(trace.outcome), width // 8))}</text></svg>"
    )
    return "".join(out)


def _lane(x: int, kind: str, name: str, height: int) -> list[str]:
    fill, stroke = style.PLACES.get(kind, style.PLACES["fabric"])
    half = LANE // 2 - 5
    namespace, _, label = name.rpartition("/")
    below = kind if namespace in ("", "default") else f"{kind} · {namespace}"
    return [
        f'<rect x="{x - half}" y="10" width="{2 * half}" height="{height - 50}" rx="6" fill="{fill}" stroke="{stroke}"/>',
        f'<text x="{x}" y="28" text-anchor="middle" font-weight="bold" font-size="11" fill="{style.INK}">'
        f"{escape(style.short(label, 15))}</text>",
        f'<text x="{x}" y="44" text-anchor="middle" font-size="10" fill="{style.FAINT}">'
        f"{escape(style.short(below, 17))}</text>",
    ]


def _rung(number: int, x: int, y: int, hop: Hop, text_x: int, deciding: bool) -> list[str]:
    colour = style.RETURN if hop.returning else style.FORWARD
    ring = f'<circle cx="{x}" cy="{y}" r="15" fill="none" stroke="{style.INK}" stroke-width="1.5"/>' if deciding else ""
    title = f"{hop.mechanism}: {hop.decision}" + (f"  [{hop.place.device}]" if hop.place.device else "")
    below = changes(hop) or (str(hop.rule) if hop.rule else hop.why)
    return [
        ring,
        f'<circle cx="{x}" cy="{y}" r="11" fill="{style.PAPER}" stroke="{colour}" stroke-width="2"/>',
        f'<text x="{x}" y="{y + 4}" text-anchor="middle" font-size="11" fill="{style.INK}">{number}</text>',
        f'<text x="{text_x}" y="{y - 2}" fill="{style.INK}"{" font-weight=" + chr(34) + "bold" + chr(34) if deciding else ""}>'
        f"{'← ' if hop.returning else '→ '}{escape(style.short(title, 74))}</text>",
        f'<text x="{text_x + 14}" y="{y + 12}" font-size="10.5" font-family="{style.MONO}" fill="{style.FAINT}">'
        f"{escape(style.short(below, 84))}</text>",
    ]
