"""A request field that contains the name of an extension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from collegium.extensions import Kind, extensions


@dataclass(frozen=True)
class NameOf:
    """Annotates a string: the name of an extension of this kind, or one of the words of `also`.

    The names are looked up when a request is checked, so that declaring a field reads nothing.
    """

    kind: Kind
    also: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Check the string that the field's own type has let through."""
        return core_schema.no_info_after_validator_function(self._known, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """List the names, as OpenAPI's document has them."""
        return {"type": "string", "enum": [*extensions().names(self.kind), *self.also]}

    def _known(self, name: str) -> str:
        if name in self.also or name in extensions().names(self.kind):
            return name
        expected = "; ".join([extensions().offered(self.kind), *self.also])
        words = "Input should be one of {expected}"
        raise PydanticCustomError("literal_error", words, {"expected": expected})
