"""Rules for the value of one field: what the words of ``rules.yaml`` mean."""

from __future__ import annotations

from k8snet.manifests import names
from k8snet.manifests.field_errors import Errors, duplicate, invalid, required, too_many, unsupported
from k8snet.manifests.rules import Context, each, rule


@rule
def required_(value: object, path: str, context: Context) -> Errors:
    """Neither absent nor empty."""
    if not value:
        yield from required(path)


@rule
def present(value: object, path: str, context: Context) -> Errors:
    """Not absent."""
    if value is None:
        yield from required(path)


@rule
def required_if_several(value: object, path: str, context: Context) -> Errors:
    """Required where its list has more than one item."""
    if not value and _list_of(path) in context.several:
        yield from required(path)


@rule
def unique(value: object, path: str, context: Context) -> Errors:
    """No other item of the list has it."""
    key = _list_of(path), path.rpartition(".")[2], value
    if key in context.seen:
        yield from duplicate(path, value)
    context.seen.add(key)


def _list_of(path: str) -> str:
    return path.rpartition("[")[0]


@rule
def one_of(value: object, path: str, context: Context, *words: str) -> Errors:
    """Required, and one of these words."""
    yield from among(value, path, context, *words) if value else required(path)


@rule
def among(value: object, path: str, context: Context, *words: str) -> Errors:
    """One of these words."""
    if value not in words:
        yield from unsupported(path, value, words)


@rule
def at_most(value: list[object], path: str, context: Context, limit: int) -> Errors:
    """So many items."""
    if len(value) > limit:
        yield from too_many(path, len(value), limit)


@rule
def range_(value: int, path: str, context: Context, low: int, high: int) -> Errors:
    """A number within limits."""
    if not low <= value <= high:
        yield from invalid(path, value, f"must be between {low} and {high}, inclusive")


@rule
def between(value: int, path: str, context: Context, low: int, high: int) -> Errors:
    """The same in a custom resource's schema."""
    if value < low:
        yield from invalid(path, value, f"{path} in body should be greater than or equal to {low}")
    if value > high:
        yield from invalid(path, value, f"{path} in body should be less than or equal to {high}")


@rule
def not_negative(value: int, path: str, context: Context) -> Errors:
    """A number from 0 on."""
    if value < 0:
        yield from invalid(path, value, "must be greater than or equal to 0")


@rule
def amount(value: int | str, path: str, context: Context) -> Errors:
    """A number of Pods, or a share of them."""
    if isinstance(value, int):
        yield from not_negative(value, path, context)
    else:
        yield from invalid(path, value, *names.percent(value))


@rule
def strict_ip(value: str, path: str, context: Context) -> Errors:
    """An address."""
    yield from invalid(path, value, *context.ip(value))


@rule
def strict_cidr(value: str, path: str, context: Context) -> Errors:
    """A block of addresses."""
    yield from invalid(path, value, *context.cidr(value))


@rule
def host_ip(value: str | list[str], path: str, context: Context) -> Errors:
    """An address that somebody can have, or a list of such."""
    yield from each(value, path, context, lambda ip: context.ip(ip) or names.ordinary_ip(ip))
