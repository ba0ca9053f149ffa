"""Generated names: the letters that Kubernetes makes them of (apimachinery pkg/util/rand) and the template hash."""

from __future__ import annotations

import json
import random
from typing import Any

SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels, so no words."""


def suffix(rng: random.Random, length: int = 5) -> str:
    """The random end of a generated name."""
    return "".join(rng.choices(SAFE_ALPHABET, k=length))


def template_hash(template: Any) -> str:
    """The hash of a Pod template that names a ReplicaSet: same template, same name (FNV-1a of its text, as the decimal
    digits spelt in the alphabet above; the text that the real controller hashes is Go's, so the value differs)."""
    value = 0x811C9DC5
    for byte in json.dumps(template, sort_keys=True).encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return "".join(SAFE_ALPHABET[ord(digit) % len(SAFE_ALPHABET)] for digit in str(value))
