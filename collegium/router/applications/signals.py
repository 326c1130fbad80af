"""The signals of a request from which its application is recognised."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Signals:
    """The parts of a request that its application writes and its user does not.

    `tag` is an explicit name, which wins over the rest; `system` is the text of the system and
    developer messages, `tools` the names of the tools, `schema` the response schema as JSON;
    `background` is the kind of a chat front end's background job, such as `title`; applications
    are kept apart by `tenant`.
    """

    tag: str | None = None
    system: str = ""
    tools: tuple[str, ...] = ()
    schema: str = ""
    tenant: str = ""
    background: str | None = None

    @property
    def silent(self) -> bool:
        """Whether there are no signals."""
        return not (self.tag or self.background or self.system or self.tools or self.schema)
