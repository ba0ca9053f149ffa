"""The kernel as judge: random clusters built on this machine's own Linux kernel, and what it does with real packets.

``python -m tests.kernel --pairs 300 --seed 1`` needs root, iproute2 and iptables. Nothing leaves the network namespaces
that it makes, and it removes them, also when it fails.
"""
