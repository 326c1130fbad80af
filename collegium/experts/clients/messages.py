"""Send requests of Anthropic's Messages API unchanged to experts that support it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

from collegium.errors import ExpertError
from collegium.experts.clients.connection import Connection
from collegium.experts.clients.events import Json
from collegium.experts.clients.messages_shape import MessageReader
from collegium.experts.clients.native import Native
from collegium.experts.clients.reply import Call
from collegium.experts.clients.upstream_errors import is_error
from collegium.experts.clients.wire import Check, Wire
from collegium.registry.capabilities import takes

VERSION = "2023-06-01"
LENGTHS = ("max_tokens", "max_completion_tokens")


class MessagesWire(Wire):
    """The Messages API of one expert."""

    protocol = "messages"
    shape = "message's"

    def __init__(
        self,
        name: str,
        model: str,
        http: Connection,
        check: Check,
        *,
        timeout_s: float,
        api_key: str | None = None,
    ) -> None:
        super().__init__(name, model, http, check, timeout_s=timeout_s)
        self._headers = {"anthropic-version": VERSION}
        if api_key:
            self._headers["x-api-key"] = api_key

    def native_of(self, call: Call) -> Native | None:
        """Return the original request if it used the Messages API and the expert supports it.

        Only Claude reads all kinds of content block: others are sent documents as a chat.
        """
        native = call.native
        if native is None or not takes(call.expert, self.protocol):
            return None
        if native.special and "claude" not in call.expert.model.lower():
            return None
        length = next((n for name in LENGTHS if (n := call.body.get(name))), None)
        lowered = {} if length is None else {"max_tokens": length}  # so that it fits the window
        return replace(native, body={**native.body, **lowered})

    async def count_tokens(self, native: Native) -> int:
        """Count the prompt's tokens with the expert's own tokenizer; raise ExpertError if that
        fails.
        """
        body = {**native.body, "model": self._model}
        with self._errors:
            response = await self._post("messages/count_tokens", body, native.headers)
            with closing(response):
                await self._check(response, body)
                counted = self._parsed(await response.read(), body).get("input_tokens")
        if type(counted) is not int or counted < 0:
            raise ExpertError(self._name, "did not count the prompt's tokens")
        return counted

    def _reader(self, call: Call) -> MessageReader:
        return MessageReader(self._name)

    def _error_in(self, told: Json) -> Any:
        return told if told.get("type") == "error" or is_error(told) else None
