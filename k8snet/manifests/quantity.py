"""Amounts such as ``500m`` and ``1Gi``, in the one form in which the API server keeps them.

Facts: apimachinery's resource.Quantity, and that core/v1 rounds the amounts of a resource list up to a thousandth.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil

_FORM = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"  # what the server says; what it reads is below
_PARTS = re.compile(r"([+-]?)0*([0-9]*)\.?([0-9]*)([eEinumkKMGTP]*[+-]?[0-9]*)", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_LETTERS = {exponent: letter for letter, exponent in _DECIMAL.items()}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_LONGEST = 60  # nobody means more digits than that; they are kept as they are


def canonical(text: str) -> str:
    """``0.5`` is kept as ``500m``, ``1024Mi`` as ``1Gi``. A ValueError has the server's sentence."""
    parts = _PARTS.fullmatch(text)
    if not text or parts is None:
        raise ValueError(f"quantities must match the regular expression '{_FORM}'")
    sign, whole, fraction, suffix = parts.groups()
    power = re.fullmatch(r"[eE]([+-]?[0-9]+)", suffix)
    if not (power or suffix in _DECIMAL or suffix in _BINARY):
        raise ValueError("unable to parse quantity's suffix")
    if len(text) > _LONGEST or (power and abs(int(power[1])) > _LONGEST):
        return text
    digits, sign = (whole or "0") + fraction, sign.strip("+")
    if suffix in _BINARY[1:]:
        amount = min(int(digits) * Fraction(1024 ** _BINARY.index(suffix), 10 ** len(fraction)), Fraction(2**63 - 1))
        if amount >= 1024 and amount.denominator == 1:
            return sign + _shortest(int(amount))
    else:
        exponent = (int(power[1]) if power else _DECIMAL[suffix]) - len(fraction)
        if exponent >= -3 and exponent % 3 == 0 and digits[0] != "0" and not digits.endswith("000"):
            return text
        amount = int(digits) * Fraction(10) ** exponent
    number, exponent = ceil(amount * 1000), -3
    if number == 0:
        return "0"
    while number % 1000 == 0:
        number, exponent = number // 1000, exponent + 3
    return f"{sign}{number}" + ((f"e{exponent}" if exponent else "") if power else _LETTERS.get(exponent, ""))


def _shortest(number: int) -> str:
    steps = 0
    while number % 1024 == 0:
        number, steps = number // 1024, steps + 1
    return f"{number}{_BINARY[steps]}"
