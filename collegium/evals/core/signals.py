"""The signals of a routing set's prompts from which applications are recognised.

`application`, `system`, `tools` (or BFCL's `functions`) and `response_format` (or `schema`), all
of them optional. Objects and lists may stand in the file as JSON, or as text that holds JSON.
"""

import json
from collections.abc import Mapping, Sequence

from collegium.errors import SetupError
from collegium.router.applications.signals import Signals

FIELDS = ("application", "system", "tools", "functions", "response_format", "schema")
SILENT = Signals()
NAMED_FORMATS = ("text", "json_object")


def signals_of(labels: Mapping[str, Sequence[object]], prompt_ids: Sequence[str]) -> list[Signals]:
    """Return the signals of each prompt, from its labels."""
    known = {name: labels[name] for name in FIELDS if name in labels}
    if not known:
        return [SILENT] * len(prompt_ids)
    return [
        read_signals({name: column[row] for name, column in known.items()}, f"prompt '{prompt_id}'")
        for row, prompt_id in enumerate(prompt_ids)
    ]


def read_signals(record: Mapping[str, object], where: str) -> Signals:
    """Read one prompt's signals; a SetupError says which field is wrong, and where."""
    tools = record.get("tools") if record.get("tools") is not None else record.get("functions")
    return Signals(
        tag=_text(record, "application", where) or None,
        system=_text(record, "system", where),
        tools=_tool_names(tools, where),
        schema=_schema(record, where),
    )


def _text(record: Mapping[str, object], name: str, where: str) -> str:
    value = record.get(name)
    if value is None or isinstance(value, str):
        return (value or "").strip()
    raise SetupError(f"{where}: '{name}' must be text")


def _tool_names(value: object, where: str) -> tuple[str, ...]:
    """Return the names in a list of names, of OpenAI's tools or of their functions."""
    if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    found = _parsed(value, "tools", where)
    tools = [found] if isinstance(found, dict) else found or []
    if not isinstance(tools, list):
        raise SetupError(f"{where}: 'tools' must be a list of names or of tools")
    return tuple(_tool_name(tool, where) for tool in tools)


def _tool_name(tool: object, where: str) -> str:
    inner = tool.get("function", tool) if isinstance(tool, dict) else tool
    name = inner.get("name") if isinstance(inner, dict) else inner
    if not isinstance(name, str) or not name:
        raise SetupError(f"{where}: each of 'tools' must be a name or have one")
    return name


def _schema(record: Mapping[str, object], where: str) -> str:
    """Return the response schema, or the kind of response where it has none, as JSON."""
    schema = _parsed(record.get("schema"), "schema", where)
    if schema is not None:
        return _canonical(schema, "schema", where)
    value = record.get("response_format")
    if value in (None, "", *NAMED_FORMATS):
        return json.dumps({"type": value}) if value == "json_object" else ""
    form = _parsed(value, "response_format", where)
    if not isinstance(form, dict):
        raise SetupError(f"{where}: 'response_format' must be an object, as OpenAI's API takes it")
    if form.get("type") == "text":
        return ""
    nested = form.get("json_schema")
    inner = nested.get("schema") if isinstance(nested, dict) else form.get("schema")
    return _canonical(inner or form, "response_format", where)


def _canonical(value: object, name: str, where: str) -> str:
    if not isinstance(value, dict):
        raise SetupError(f"{where}: '{name}' must be a JSON object")
    return json.dumps(value, sort_keys=True)


def _parsed(value: object, name: str, where: str) -> object:
    """Return what a text of JSON holds; anything else as it is."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except json.JSONDecodeError as exc:
        raise SetupError(f"{where}: '{name}' holds text that is not valid JSON: {exc}") from exc
