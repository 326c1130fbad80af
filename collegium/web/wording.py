"""Describe pydantic's validation errors in plain words and with the caller's field names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from math import isinf
from typing import Annotated, Any, get_args

from pydantic import BaseModel

TAG = re.compile(r"(?:str|int|float|bool|list|dict|tuple|literal|constrained-\w+|\w+-\w+)(?:\[.*)?")
"""Pydantic's markers for the branches of a union, which are not field names."""
KINDS: Mapping[str, str] = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "finite_number": "a finite number",
    "string_unicode": "text in Unicode",
    "int_parsing": "an integer",
    "int_parsing_size": "an integer of at most 64 bits",
    "float_parsing": "a number",
    "bool_parsing": "true or false",
}
"""What a value has to be, by pydantic's error type."""
BOUNDS: Mapping[str, str] = {
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "one of {expected}",
    "enum": "one of {expected}",
}
LENGTHS: Mapping[str, str] = {
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
}
GIVEN: Sequence[tuple[type | tuple[type, ...], str]] = (
    (bool, "true or false"),
    (str, "a string"),
    (int, "an integer"),
    (float, "a number"),
    ((list, tuple), "a list"),
    (Mapping, "an object"),
    (type(None), "null"),
)
LONGEST_GIVEN = 40
LONGEST_INTEGER = 18
EDGES: Mapping[str, str] = {
    "ge": "at least",
    "gt": "greater than",
    "le": "at most",
    "lt": "less than",
}
WHOLE_KINDS = {"an integer", "an integer of at most 64 bits"}
WRITTEN = "written without a point or an exponent"
MOST_FIELDS = 20


def problems_in_words(
    problems: Sequence[Mapping[str, Any]], model: type[BaseModel] | None = None
) -> dict[str, str]:
    """Describe the error of each field, by its path in the request."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for problem in problems:
        found.setdefault(_path(_without_tags(problem)), []).append(problem)
    # Of a value that may be of several kinds, what is wrong inside it says more than its kind.
    inner = {at for at in found if not any(o.startswith((f"{at}[", f"{at}.")) for o in found)}
    return {at: _words(together, model) for at, together in found.items() if at in inner}


def model_of(route: Any) -> type[BaseModel] | None:
    """Return the model of a route's body; None if it has no single one."""
    field = getattr(route, "body_field", None)
    found = None if field is None else field.field_info.annotation
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def json_kind(value: object) -> str:
    """Return the JSON type of a value."""
    return next((words for kind, words in GIVEN if isinstance(value, kind)), "something else")


def _without_tags(problem: Mapping[str, Any]) -> tuple[str | int, ...]:
    loc: tuple[str | int, ...] = tuple(problem["loc"])
    named = problem["type"] in ("extra_forbidden", "missing")  # the last is the caller's, or ours
    return tuple(
        step
        for place, step in enumerate(loc)
        if not (isinstance(step, str) and place and TAG.fullmatch(step))
        or (named and place == len(loc) - 1)
    )


def _path(loc: Sequence[str | int]) -> str:
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc]
    return "".join(steps).removeprefix(".") or "body"


def _words(problems: Sequence[Mapping[str, Any]], model: type[BaseModel] | None) -> str:
    """Describe what is wrong with one field; there may be one problem per allowed type."""
    kinds = [KINDS.get(problem["type"]) for problem in problems]
    value = problems[0].get("input")
    if WHOLE_KINDS.intersection(kinds) and isinstance(value, float) and not _is_broken(value):
        bounds = _range(_annotation(_without_tags(problems[0]), model))
        return f"must be an integer{bounds}, {WRITTEN}, not {value}"
    if all(kinds):
        return f"must be {' or '.join(dict.fromkeys(map(str, kinds)))}, not {_given(problems[0])}"
    return _of_one(problems[kinds.index(None)], model)


def _of_one(problem: Mapping[str, Any], model: type[BaseModel] | None) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return f"is not a known field{_suggestion(_without_tags(problem), model)}"
    if kind in BOUNDS:
        return f"must be {BOUNDS[kind].format(**context)}, not {_given(problem)}"
    if kind in LENGTHS:
        if context.get("min_length") == 1:
            return "must not be empty"
        return f"must have {LENGTHS[kind].format(**context)}"
    if kind == "value_error":
        return f"is wrong: {context.get('error', problem['msg'])}"
    return f"is wrong: {str(problem['msg']).replace('Input should', 'it should')}"


def _given(problem: Mapping[str, Any]) -> str:
    """Return the value if it is short, otherwise its type."""
    value = problem.get("input")
    if problem["type"] == "finite_number":
        return "NaN or infinity"
    if problem["type"] in KINDS:
        return json_kind(value)
    if isinstance(value, str):
        return ascii(value[:LONGEST_GIVEN])
    if isinstance(value, int) and abs(value) >= 10**LONGEST_INTEGER:
        return f"an integer of more than {LONGEST_INTEGER} digits"
    return str(value) if isinstance(value, int | float) else json_kind(value)


def _is_broken(number: float) -> bool:
    """Whether a number has a fraction; 1e400, which is parsed as infinite, has none."""
    return not (number.is_integer() or isinf(number))


def _range(annotation: Any) -> str:
    """Return the bounds of a number in words; "" if it has none."""
    found = [
        f"{words} {getattr(bound, name)}"
        for bound in _metadata(annotation)
        for name, words in EDGES.items()
        if hasattr(bound, name)
    ]
    return f" of {' and '.join(found)}" if found else ""


def _metadata(annotation: Any) -> list[Any]:
    """What a type, or one that it may be, is annotated with."""
    own = list(getattr(annotation, "__metadata__", ()))
    flat = [each for one in own for each in getattr(one, "metadata", (one,))]
    return flat + [each for arg in get_args(annotation) for each in _metadata(arg)]


def _annotation(loc: Sequence[str | int], model: type[BaseModel] | None) -> Any:
    """The type of the field at a place of a model; None if it is no field of one."""
    *outer, name = loc
    for step in outer:
        field = None if model is None else model.model_fields.get(str(step))
        model = None if field is None else _model_in(field.annotation)
    field = None if model is None else model.model_fields.get(str(name))
    return None if field is None else Annotated[field.annotation, *(field.metadata or (None,))]


def _suggestion(loc: Sequence[str | int], model: type[BaseModel] | None) -> str:
    """Return the most similar field, or all fields."""
    fields = _fields(loc[:-1], model)
    if not fields:
        return ""
    name = str(loc[-1])[:LONGEST_GIVEN]
    close = get_close_matches(name, fields, n=1) or [f for f in fields if name and name in f][:1]
    if close:
        return f"; did you mean {_path([*loc[:-1], close[0]])}?"
    return f"; available: {', '.join(fields[:MOST_FIELDS])}"


def _fields(loc: Sequence[str | int], model: type[BaseModel] | None) -> list[str]:
    """Return the names of the fields at one place of a model."""
    for step in loc:
        if model is None or (isinstance(step, str) and step not in model.model_fields):
            return []
        if isinstance(step, str):
            model = _model_in(model.model_fields[step].annotation)
    return [] if model is None else [f.alias or name for name, f in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)
