"""Checks whether an answer is JSON that a schema allows, and has the right values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collegium.experts.marking.base import fenced, text_of
from collegium.experts.marking.patterns import TooSlow, searched

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MOST_REFERENCES = 2_000
"""Times that `$ref` is followed: a small schema can refer to itself exponentially often."""
UNBOUNDED = ("patternProperties",)
"""Keywords whose regular expressions jsonschema runs without a time limit."""
NOTHING = object()


class Unusable(Exception):
    """The schema is none, or costs too much to apply."""


@dataclass(frozen=True)
class JsonSchema:
    """Validates an answer, whole or in a code block, against a JSON schema.

    The reference is a schema, or {"schema": …, "value": …} with either; a schema that it lacks is
    the request's `response_format`. With a value the answer has to equal it: numbers by value,
    texts but for blanks at their ends. `strict` refuses a code block or words around the JSON.
    """

    strict: bool = False

    def mark(
        self, request: Mapping[str, Any], answer: Mapping[str, Any], reference: Any
    ) -> float | None:
        """Return 1 or 0; None without schema and value, or if the schema can't be used."""
        schema, value = _wanted(request, reference)
        if schema is None and value is NOTHING:
            return None
        try:
            check = None if schema is None else validator(schema)
            said = json_of(text_of(answer), strict=self.strict)
            if said is NOTHING or (check is not None and not check.is_valid(said)):
                return 0.0
        except (Unusable, TooSlow, RecursionError, ArithmeticError):
            return None
        return float(value is NOTHING or same(said, value))


def _wanted(request: Mapping[str, Any], reference: Any) -> tuple[Any, Any]:
    """Return the schema, or None, and the value, or `NOTHING` if any will do."""
    value: Any = NOTHING
    schema = reference
    if isinstance(reference, Mapping) and reference.keys() & {"schema", "value"}:
        schema, value = reference.get("schema"), reference.get("value", NOTHING)
    return (schema if schema is not None else _asked_for(request)), value


def _asked_for(request: Mapping[str, Any]) -> Any:
    form = request.get("response_format")
    described = form.get("json_schema") if isinstance(form, Mapping) else None
    return described.get("schema") if isinstance(described, Mapping) else None


def validator(schema: Any) -> Validator:
    """A validator that fetches nothing and runs no regular expression without a time limit."""
    from jsonschema import Draft202012Validator, validators
    from jsonschema.exceptions import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    if not isinstance(schema, Mapping | bool) or _has(schema, UNBOUNDED):
        raise Unusable
    left = MOST_REFERENCES

    def referred(check: Validator, ref: str, instance: Any, inside: Any) -> Iterator[Any]:
        nonlocal left
        left -= 1
        if left < 0:
            raise Unusable
        try:
            yield from Draft202012Validator.VALIDATORS["$ref"](check, ref, instance, inside)
        except Unresolvable as exc:
            raise Unusable from exc

    bounded = {"pattern": _pattern, "$ref": referred, "$dynamicRef": _refused}
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as exc:
        raise Unusable from exc
    kind = validators.extend(Draft202012Validator, bounded)
    return kind(schema, registry=Registry())


def json_of(text: str, *, strict: bool = False) -> Any:
    """Return the JSON value of a text: all of it, its last code block, or its outermost braces."""
    if strict:
        return _parsed(text)
    for piece in (text, *reversed(fenced(text)), *_braced(text)):
        if (value := _parsed(piece)) is not NOTHING:
            return value
    return NOTHING


def same(said: Any, wanted: Any) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, but true is not 1."""
    if isinstance(wanted, Mapping):
        alike = isinstance(said, Mapping) and said.keys() == wanted.keys()
        return alike and all(same(said[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        alike = isinstance(said, list) and len(said) == len(wanted)
        return alike and all(same(a, b) for a, b in zip(said, wanted, strict=True))
    if isinstance(said, bool) or isinstance(wanted, bool):
        return said is wanted
    if isinstance(said, str) and isinstance(wanted, str):
        return said.strip() == wanted.strip()
    return bool(said == wanted)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return NOTHING


def _braced(text: str) -> list[str]:
    pairs = ((text.find("{"), text.rfind("}")), (text.find("["), text.rfind("]")))
    return [text[start : end + 1] for start, end in pairs if 0 <= start < end]


def _has(schema: Any, keywords: tuple[str, ...]) -> bool:
    if isinstance(schema, Mapping):
        return any(k in schema for k in keywords) or any(
            _has(part, keywords) for part in schema.values()
        )
    return isinstance(schema, list) and any(_has(part, keywords) for part in schema)


def _pattern(check: Validator, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, str) and not searched(pattern, instance):
        yield ValidationError("the text does not match the pattern")


def _refused(check: Validator, ref: str, instance: Any, schema: Any) -> Iterator[Any]:
    raise Unusable
    yield
