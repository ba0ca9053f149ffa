"""Programs that talk over the kernel: listeners that say who they are and whom they see, and clients that ask them."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import threading
import time
from dataclasses import dataclass

from tests.kernel import netns

# What connect() says, and how the product calls it. EINVAL: the client's own node has a blackhole route.
ERRORS = {errno.ECONNREFUSED: "refused"} | dict.fromkeys(
    (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EINVAL), "no route"
)
SOCKETS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}


@dataclass(frozen=True)
class Seen:
    """What became of one connection: the kind of outcome, and if it was delivered who answered and whom it saw."""

    kind: str
    server: str = ""
    server_saw: str = ""

    def __str__(self) -> str:
        return f"{self.kind} by {self.server}, who saw {self.server_saw}" if self.server else self.kind


class Server:
    """All listeners of a lab, in one thread. A socket belongs to the namespace in which it was made."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._wake, self._stopped = os.pipe()
        self._selector.register(self._wake, selectors.EVENT_READ, "")

    def listen(self, who: str, address: str, port: int, protocol: str) -> None:
        """Open a socket in the namespace that this thread is in."""
        listener = socket.socket(socket.AF_INET, SOCKETS[protocol])
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        if protocol == "TCP":
            listener.listen(64)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, who)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Close all sockets."""
        os.write(self._stopped, b"x")
        if self._thread.is_alive():
            self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        os.close(self._wake)
        os.close(self._stopped)

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data == "":
                    return
                try:
                    self._answer(key.fileobj, key.data)
                except OSError:
                    continue

    @staticmethod
    def _answer(listener: socket.socket, who: str) -> None:
        if listener.type == socket.SOCK_STREAM:
            connection, peer = listener.accept()
            with connection:
                connection.sendall(f"{who} {peer[0]}".encode())
        else:
            _, peer = listener.recvfrom(64)
            listener.sendto(f"{who} {peer[0]}".encode(), peer)


def talk(questions: list[tuple[str, str, int, str]], seconds: float) -> list[Seen]:
    """Ask from namespaces (name, address, port, protocol), all at once; who has no answer after *seconds* gives up."""
    seen: list[Seen | None] = [None] * len(questions)
    with selectors.DefaultSelector() as selector:
        for i, (space, ip, port, protocol) in enumerate(questions):
            with netns.inside(space):
                client = socket.socket(socket.AF_INET, SOCKETS[protocol])
            client.setblocking(False)
            code = client.connect_ex((ip, port))
            if code in (0, errno.EINPROGRESS):
                if protocol == "UDP":
                    _send(client)
                selector.register(client, selectors.EVENT_READ, i)
            else:
                seen[i] = Seen(ERRORS.get(code, errno.errorcode[code]))
                client.close()
        deadline = time.monotonic() + seconds
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                found = _receive(key.fileobj)
                if found is None:
                    time.sleep(0.01)
                    continue
                seen[key.data] = found
                selector.unregister(key.fileobj)
                key.fileobj.close()
        for key in list(selector.get_map().values()):
            key.fileobj.close()
    return [s or Seen("timed out") for s in seen]


def _send(client: socket.socket) -> None:
    """One datagram. A program is told at once (EPERM) that its own node dropped it; the answer stays out all the same."""
    with contextlib.suppress(PermissionError):
        client.send(b"?")


def _receive(client: socket.socket) -> Seen | None:
    """What a socket that is said to be ready has; None if it has to wait on.

    A refusal by the client's own node comes while connect() still holds the socket. Linux notes it, wakes the program,
    and gives up only when the same happens to the second packet, a second later.
    """
    try:
        who, _, saw = client.recv(256).decode().partition(" ")
    except BlockingIOError:
        return None
    except OSError as error:
        return Seen(ERRORS.get(error.errno, errno.errorcode[error.errno]))
    return Seen("delivered", who, saw) if who else Seen("reset")
