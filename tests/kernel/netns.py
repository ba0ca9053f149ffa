"""Network namespaces of this machine's kernel: made, entered, configured, removed."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

PREFIX = "k8snet-test-"
_FOLDER = "/run/netns"
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def named(suffix: str) -> str:
    """A name for a namespace of this process."""
    return f"{PREFIX}{os.getpid()}-{suffix}"


def missing() -> str:
    """What this machine lacks for the harness; empty if nothing."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in ("ip", "iptables-restore", "iptables-save"):
        if not shutil.which(tool):
            return f"needs {tool}"
    name = named("probe")
    probe = [
        "link add br0 type bridge",
        "link add eth0 type veth peer name eth1",
        "link add vx0 type vxlan id 1 dstport 8472 local 192.0.2.1 dev eth0",
    ]
    rules = (
        "*nat\n-A OUTPUT -m statistic --mode random --probability 0.5 -m recent --name x --set -j RETURN\n"
        "-A POSTROUTING -m addrtype --src-type LOCAL -j MASQUERADE\nCOMMIT\n"
        "*filter\n-A OUTPUT -m conntrack --ctstate NEW -m comment --comment x -j REJECT\nCOMMIT\n"
    )
    try:
        create([name])
        configure(name, probe)
        with inside(name):
            run(["iptables-restore"], rules)
            if not os.path.exists("/proc/sys/net/bridge/bridge-nf-call-iptables"):
                return "needs a kernel with br_netfilter"
    except (OSError, subprocess.CalledProcessError) as error:
        return f"needs kernel features that are missing: {getattr(error, 'stderr', '') or error}"
    finally:
        remove([name])
    return ""


def run(command: list[str], text: str = "") -> str:
    """Run a command with *text* as standard input; its output. Raises CalledProcessError with the message in it."""
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, f"{done.stderr}\n{text}")
    return done.stdout


@contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread is in a namespace for a while: sockets, sysctls and child processes that it makes are of it."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(f"{_FOLDER}/{name}", os.O_RDONLY)
    try:
        _enter(other)
        yield
    finally:
        _enter(own)
        os.close(own)
        os.close(other)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def create(names: Iterable[str]) -> None:
    """Make namespaces, empty but for loopback."""
    run(["ip", "-batch", "-"], "".join(f"netns add {name}\n" for name in names))


def remove(names: Iterable[str]) -> None:
    """Remove namespaces that exist, with all that is in them."""
    commands = "".join(f"netns del {name}\n" for name in set(names) & set(existing()))
    subprocess.run(["ip", "-force", "-batch", "-"], input=commands, text=True, check=False)


def existing() -> list[str]:
    """The namespaces that this harness made, in this process or another."""
    return [name for name in (os.listdir(_FOLDER) if os.path.isdir(_FOLDER) else []) if name.startswith(PREFIX)]


def leftovers() -> list[str]:
    """Namespaces of earlier runs whose process is gone."""
    return [n for n in existing() if not os.path.exists(f"/proc/{n.removeprefix(PREFIX).partition('-')[0]}")]


def configure(name: str, commands: Iterable[str], sysctls: Iterable[tuple[str, str]] = ()) -> None:
    """Set sysctls (``net.`` left out), then run ``ip`` commands, in a namespace."""
    with inside(name):
        for key, value in sysctls:
            with open(f"/proc/sys/net/{key.replace('.', '/')}", "w") as file:
                file.write(value)
        run(["ip", "-batch", "-"], "\n".join(commands) + "\n")
