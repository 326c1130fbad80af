"""Classify upstream errors: one table of all vendors' codes and messages.

The first rule that fits decides. Its words are told to callers only where the caller can mend what
they speak of; words about keys, bills and accounts are for the operator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from collegium.errors import (
    CapabilityMissing,
    CollegiumError,
    ContentRefused,
    ExpertError,
    ExpertMisconfigured,
    ExpertRejected,
    ExpertTimeout,
    ExpertUnavailable,
    ModelGone,
    PromptTooLong,
    RateLimited,
)
from collegium.experts.clients.retry_after import retry_after_s
from collegium.experts.clients.upstream_errors import ErrorDetails
from collegium.redaction import redacted

Kind = Literal[
    "content", "too_long", "rate", "account", "gone", "capability", "malformed", "down", "late", ""
]
REST_S = 1.0
"""Seconds to pause after a rate limit that doesn't say how long."""
DOWN = (409, 425, 502, 503, 504, *range(520, 531))
"""The last ones are of proxies in front of providers; 529 is Anthropic's word for too much load."""
MALFORMED = (400, 422)

_NOT = (
    r"not (?:\w+ ){0,2}(?:support|enabl|allow|availabl|accept|permit|multi|configur)|unsupported"
    r"|(?:does|do|is|are)n.t (?:support|accept|allow|availabl)|does not take|only supported"
    r"|no endpoints found|at most 0|invalid content type|unknown (?:variant|parameter|field|name)"
    r"|unavailable|requires? (?:the )?(?:--|\w+ flag)|missing data required|unrecognized|unexpected"
    r"|not permitted|extra_forbidden|extra (?:inputs|fields)|cannot find field|not a valid"
    r"|unsupported_|unknown_parameter|only the default|additional propert|mmproj"
)


def _absent(topic: str) -> str:
    """A topic and, before or after it, words that say that it is not supported."""
    return rf"(?s)\A(?=.*(?:{topic}))(?=.*(?:{_NOT}))"


class Rule(NamedTuple):
    """The meaning of codes and messages under these statuses (empty: any status)."""

    kind: Kind
    words: str
    statuses: tuple[int, ...] = ()
    capability: str = ""


RULES = (
    Rule(
        "content",
        r"content[_ -]?filter|content[_ ]policy|content management policy|responsibleaipolicy"
        r"|safety system|safety_check|safety settings|usage (?:guidelines|polic)"
        r"|content exists risk|data_?inspection_?failed|inappropriate content"
        r"|moderation|prohibited[_ ]content"
        r"|considered high risk|input was flagged|been flagged|was flagged|guardrail|敏感|不安全",
        (0, 400, 403, 422, 451),
    ),
    Rule("too_long", r"request too large|tokens per min.*requested", (413, 429)),
    Rule("rate", "resource_exhausted", (429,)),
    Rule(
        "account",
        r"insufficient[_ ](?:quota|balance|credits?|funds)|exceeded your current quota"
        r"|credit balance|check your plan|payment required|more credits|out of credits"
        r"|no credits|spending limit|billing|account (?:is |has been )?(?:suspended|deactivated"
        r"|disabled|not active)|arrearage|overdue",
    ),
    Rule("rate", "", (429,)),
    Rule(
        "account",
        r"(?:incorrect|invalid|wrong|missing|expired|revoked|disabled|no|provide an?) "
        r"(?:\S+ )?(?:api[ _-]?keys?|x-api-key|credentials?|auth\w*|access token|bearer)"
        r"|api[ _-]?key[\w .'`\"-]{0,60}(?:valid|incorrect|expired|missing|required|not found"
        r"|disabled|revoked|denied|blocked)|api_key_invalid|invalid_api_key|authentication_error"
        r"|permission_?(?:denied|error)|invalid subscription key|security token",
    ),
    Rule(
        "too_long",
        r"context[ _-]?(?:length|window|size|limit)|exceed_context|context the overflows"
        r"|maximum (?:prompt|model|input|sequence|allowed input) length"
        r"|(?:prompt|input|request|messages?|payload|entity|string)(?: \w+)? too (?:long|large)"
        r"|request_too_large|above_max_length"
        r"|too many (?:\w+ )?tokens|token count|(?:tokens?|length) limit"
        r"|exceeds? (?:the )?(?:max\w*|limit)\b.{0,40}(?:tokens|\d)"
        r"|(?:tokens|length)\b.{0,60}(?:must be|should be|must have) (?:<|less|at most|\[)"
        r"|must have less than \d+ tokens|reduce (?:the|your) (?:length|prompt|number)"
        r"|exceeded model token|tokens?\b.{0,30}too (?:large|high|many)|at least 1, got -"
        r"|maximum (?:allowed )?(?:number of )?(?:\w+ )?tokens|longer than the (?:model|max)"
        r"|range of input length|exceeds? max|supports at most \d+",
        (0, 400, 404, 413, 422, 500),
    ),
    Rule("too_long", "", (413,)),
    Rule(
        "malformed",
        r"\b(?:invalid|corrupt|broken|unsupported) (?:\w+ )?image(?! input)"
        r"|(?:process|download|decode|identify|fetch)[\w -]{0,12} image|image (?:data|url|format)",
        (400, 422),
    ),
    Rule("capability", _absent("image|vision|multi-?modal|mmproj"), capability="images"),
    Rule("capability", _absent("audio"), capability="audio"),
    Rule("capability", _absent(r"\bfiles?\b|\bpdfs?\b|document"), capability="files"),
    Rule(
        "gone",
        r"model_?(?:not_?(?:found|exist|available)|decommissioned|not_supported)|deploymentnotfound"
        r"|invalid_model|model\b.{0,160}(?:(?:not|n.t) (?:found|exist|available)|no longer"
        r"|decommissioned|(?:has been|was|is) (?:deprecated|removed|retired|shut))"
        r"|(?:no such|invalid|unknown) model|not a valid model|pulling it first"
        r"|deployment\b.{0,80}not exist|no endpoints found for|no models? (?:is |are )?loaded",
        (0, 400, 404, 410, 422),
    ),
    Rule("capability", _absent(r"parallel.{0,6}tool"), capability="parallel_tools"),
    Rule(
        "capability",
        _absent(r"\btools?\b|tool[_ ](?:use|choice|call)|\bfunctions?\b|function[_ ]call"),
        (0, 400, 404, 422, 500, 501),
        "tools",
    ),
    Rule(
        "capability",
        _absent(
            r"json[_ ]?schema|response[_ ]?format|structured[_ ]output|guided|grammar|json mode"
        ),
        (0, 400, 404, 422, 500, 501),
        "json_schema",
    ),
    Rule("capability", _absent("logprob"), (0, 400, 404, 422, 500, 501), "logprobs"),
    Rule(
        "capability",
        r"\brole\b.{0,80}(?:unsupported|not supported|unexpected|invalid|must|alternate|allowed)"
        r"|(?:unsupported|unexpected|invalid|unknown)\b.{0,60}\brole\b|roles must alternate"
        r"|\bdeveloper\b.{0,200}(?:not one of|expected|not supported|does not match|not allowed)"
        r"|unknown variant .developer|does not support .(?:system|developer). with this model",
        (0, 400, 422, 500),
        "roles",
    ),
    Rule("capability", r"must be (?:of type )?a? ?string|valid string", (400, 422), "parts"),
    Rule("capability", _absent(""), (0, 400, 404, 422, 501), "parameter"),
    Rule("gone", "", (404, 410)),
    Rule("account", "", (401, 402, 403, 405, 407)),
    Rule("late", "", (408,)),
    Rule("down", "", DOWN),
    Rule("malformed", "", MALFORMED),
    Rule("rate", r"rate.?limit|too many requests", (0,)),
    Rule("down", r"overloaded|over capacity|temporarily|try again later", (0,)),
)
_COMPILED = tuple((rule, re.compile(rule.words)) for rule in RULES)
_OF_KEYS = re.compile(
    r"api[ _-]?key|credential|bearer|secret|access token|authori[sz]ation|billing", re.IGNORECASE
)


def rule_of(told: ErrorDetails) -> Rule:
    """Return the first matching rule; one of kind "" if none matches."""
    text = told.text
    for rule, words in _COMPILED:
        if (not rule.statuses or told.status in rule.statuses) and words.search(text):
            return rule
    return Rule("", "")


def refused(
    expert: str, told: ErrorDetails, headers: Mapping[str, str] | None = None, **found: Any
) -> CollegiumError:
    """The error that an upstream's failure is; `found` says more of a missing capability."""
    rule, status, shown = rule_of(told), told.status, _shown(told)
    detail = "" if shown == told.message else told.message
    if rule.kind == "content":
        return ContentRefused(expert, shown, _client(status), detail=detail)
    if rule.kind == "too_long":
        message = f"The prompt is too long for '{expert}': {shown}"
        return PromptTooLong(message, told.param or "messages")
    if rule.kind == "capability":
        known = {"capability": rule.capability, "param": told.param or None, **found}
        return CapabilityMissing(expert, shown, _client(status), detail=detail, **known)
    if rule.kind == "malformed":
        return ExpertRejected(expert, shown, status, detail=detail)
    return _failed(expert, rule.kind, told, headers or {})


def _failed(expert: str, kind: Kind, told: ErrorDetails, headers: Mapping[str, str]) -> ExpertError:
    """Return the rule for failures of the expert itself, or for rate limits."""
    message, answered = told.message, f"answered {told.status}" if told.status else ""
    rest_s = retry_after_s(headers, told.code, message)
    if kind == "rate":
        rest_s = REST_S if rest_s is None else rest_s
        words = "its provider takes no more requests now"
        return rested(RateLimited(expert, words, _seconds(rest_s), detail=message), rest_s)
    if kind == "account":
        words = "its provider refuses this service; the operator has to mend that"
        return ExpertMisconfigured(expert, words, detail=f"{answered} {message}".strip())
    if kind == "gone":
        words = "its provider has no such model any more; the operator has to mend that"
        return ModelGone(expert, words, detail=message)
    if kind == "late":
        return ExpertTimeout(expert, answered, detail=message)
    if kind == "down":
        words = answered or "is overloaded"
        down = ExpertUnavailable(expert, words, detail=message)
        if rest_s is not None:
            down.retry_after_s = _seconds(rest_s)
        return rested(down, rest_s)
    return ExpertError(expert, answered or "answered with an error", detail=message)


def rested(error: ExpertError, rest_s: float | None) -> ExpertError:
    """The error, with how long its expert is to be left alone."""
    error.rest_s = rest_s
    return error


def _seconds(rest_s: float) -> int:
    return max(1, math.ceil(rest_s))


def _client(status: int) -> int:
    """A refusal's status is one of the caller's: some are sent as 500, or in a stream."""
    return status if 400 <= status < 500 and status not in (401, 404, 407) else 400


def _shown(told: ErrorDetails) -> str:
    """The upstream's words as callers may read them."""
    if not told.message or _OF_KEYS.search(told.message):
        return f"refused the request ({told.status})"
    return redacted(told.message)
