"""Vendors' own words for what they refuse: each is read as the kind that it is."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

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
from collegium.experts.clients.adaptations import lacking
from collegium.experts.clients.chunks import Chunks, in_band
from collegium.experts.clients.refusals import refused, rule_of
from collegium.experts.clients.upstream_errors import ErrorDetails, parse_error, unquoted

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
BODY = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, IMAGE]},
    ],
    "max_tokens": 8,
    "temperature": 0.5,
    "presence_penalty": 0.1,
    "store": True,
    "stop": ["."],
    "logprobs": True,
    "tools": [{"type": "function"}],
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema"},
}


def openai(message: str, code: Any = None, param: Any = None) -> Any:
    """The shape of OpenAI, and of most."""
    return {
        "error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    }


def anthropic(message: str, kind: str = "invalid_request_error") -> Any:
    """The shape of Anthropic."""
    return {"type": "error", "error": {"type": kind, "message": message}}


def google(message: str, status: str = "INVALID_ARGUMENT", code: int = 400, **detail: Any) -> Any:
    """The shape of Google, which sends a list."""
    details = [{"@type": "type.googleapis.com/google.rpc.Info", **detail}]
    error = {"code": code, "message": message, "status": status, "details": details}
    return [{"error": error}]


def plain(message: str, **fields: Any) -> Any:
    """The shape of vLLM before 0.10, and of Mistral."""
    return {"object": "error", "message": message, "type": "BadRequestError", **fields}


def error_of(status: int, body: Any) -> CollegiumError:
    """The error that a response becomes."""
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    said = parse_error(status, data, "reason")
    rule = rule_of(said)
    found = lacking(said, BODY, rule.capability) if rule.kind == "capability" else {}
    return refused("tiny", said, {}, **found)


TOO_LONG = [
    (400, openai("This model's maximum context length is 8192 tokens.", "context_length_exceeded")),
    (400, openai("Your input exceeds the context window of this model.")),
    (400, openai("Invalid 'messages[1].content': string too long.", "string_above_max_length")),
    (400, openai("max_tokens is too large: 99999. This model supports at most 16384 tokens")),
    (400, anthropic("prompt is too long: 215000 tokens > 200000 maximum")),
    (400, anthropic("input length and `max_tokens` exceed context limit: 198000 + 8192 > 200000")),
    (413, anthropic("Request exceeds the maximum size", "request_too_large")),
    (400, google("The input token count (1196265) exceeds the maximum number of tokens allowed.")),
    (400, plain("Prompt contains 40000 tokens, too large for model with 32768 maximum context")),
    (400, {"message": "too many tokens: total number of tokens cannot exceed 4081 - got 9000."}),
    (400, openai("The decoder prompt (length 9000) is longer than the maximum model length")),
    (
        400,
        plain("'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum"),
    ),
    (400, plain("max_tokens must be at least 1, got -70.")),
    (400, {"error": {"code": 400, "message": "try increasing it", "type": "exceed_context_size"}}),
    (500, openai("the request exceeds the available context size. try increasing it")),
    (400, {"error": "input length exceeds maximum context length"}),
    (400, {"error": "trying to keep the first 5000 tokens when context the overflows"}),
    (
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096.",
            "error_type": "validation",
        },
    ),
    (422, {"error": "`inputs` must have less than 1024 tokens. Given: 2000"}),
    (400, {"message": "Input is too long for requested model."}),
    (400, openai("Please reduce the length of the messages or completion.")),
    (413, openai("Request too large for model on tokens per minute (TPM): Limit 6000, Requested")),
    (429, openai("Request too large for gpt-4 on tokens per min (TPM): Limit 30000", "tokens")),
    (400, openai("This model's maximum prompt length is 131072 but the request contains 537812.")),
    (400, openai("Range of input length should be [1, 30720]")),
    (400, openai("Invalid request: Your request exceeded model token limit: 8192")),
    (400, openai("Prompt exceeds max length", "1261")),
    (400, openai("The input (5000 tokens) is longer than the model's context length (4096).")),
    (413, "<html>413 Request Entity Too Large</html>"),
]
RATE = [
    (429, openai("Rate limit reached for gpt-4o on requests per min", "rate_limit_exceeded")),
    (429, anthropic("This request would exceed your rate limit", "rate_limit_error")),
    (429, google("You exceeded your current quota", "RESOURCE_EXHAUSTED", 429)),
    (429, {"message": "Requests rate limit exceeded"}),
    (429, ""),
]
ACCOUNT = [
    (429, openai("You exceeded your current quota, please check your plan", "insufficient_quota")),
    (400, anthropic("Your credit balance is too low to access the Anthropic API.")),
    (402, openai("Insufficient Balance", "invalid_request_error")),
    (402, {"error": {"message": "This request requires more credits", "code": 402}}),
    (403, {"error": "Your team has run out of credits"}),
    (401, openai("Incorrect API key provided: sk-abcdefghijklmnop.", "invalid_api_key")),
    (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided"}),
    (400, google("API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID")),
    (401, anthropic("invalid x-api-key", "authentication_error")),
    (403, anthropic("Your API key does not have permission to use", "permission_error")),
    (401, {"statusCode": 401, "message": "Access denied due to invalid subscription key"}),
    (403, {"message": "The security token included in the request is invalid."}),
    (403, "<html>Forbidden</html>"),
    (407, ""),
]
CONTENT = [
    (
        400,
        {
            "error": {
                "message": "The response was filtered due to the prompt triggering Azure OpenAI's "
                "content management policy.",
                "code": "content_filter",
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
    ),
    (400, openai("Your request was rejected by our safety system", "moderation_blocked")),
    (400, openai("Invalid prompt: it was flagged as violating our usage policy", "invalid_prompt")),
    (400, anthropic("Output blocked by content filtering policy")),
    (400, openai("Content Exists Risk")),
    (400, {"code": "data_inspection_failed", "message": "may contain inappropriate content."}),
    (400, openai("The request was rejected because it was considered high risk")),
    (403, openai("Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO")),
    (403, openai("Your chosen model requires moderation and your input was flagged", 403)),
]
GONE = [
    (404, openai("The model `gpt-0` does not exist or you do not have access.", "model_not_found")),
    (404, openai("The API deployment for this resource does not exist.", "DeploymentNotFound")),
    (404, {"error": "model 'llama9' not found, try pulling it first"}),
    (404, anthropic("model: claude-2", "not_found_error")),
    (404, google("models/gemini-0 is not found for API version v1beta", "NOT_FOUND", 404)),
    (400, plain("Invalid model: mistral-0", type="invalid_model", code="1500")),
    (400, openai("Model Not Exist")),
    (400, openai("The model `mixtral` has been decommissioned", "model_decommissioned")),
    (400, {"error": {"message": "foo/bar is not a valid model ID", "code": 400}}),
    (404, {"error": {"message": "No endpoints found for foo/bar.", "code": 404}}),
    (404, "404 page not found"),
    (410, ""),
]
MALFORMED = [
    (400, openai("Invalid 'temperature': decimal above maximum value. Expected <= 2.", "x")),
    (400, openai("An assistant message with 'tool_calls' must be followed by tool messages")),
    (400, openai("Invalid schema for function 'f': 'x' is not of type 'object'.")),
    (400, openai("Invalid image data.")),
    (422, {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}]}),
    (400, ""),
]
CAPABILITIES = [
    ("images", 400, openai("Invalid content type. image_url is only supported by certain models.")),
    ("images", 400, plain("tiny is not a multimodal model")),
    ("images", 400, openai("At most 0 image(s) may be provided in one prompt.")),
    ("images", 500, openai("image input is not supported - hint: you may need the mmproj")),
    ("images", 404, {"error": {"message": "No endpoints found that support image input"}}),
    ("images", 400, openai("unknown variant `image_url`, expected `text`")),
    ("images", 400, openai("messages[2].content must be a string")),
    ("images", 400, plain("Image input is not enabled for this model")),
    ("images", 400, {"error": "this model is missing data required for image input"}),
    ("tools", 400, {"error": "library/tiny does not support tools"}),
    ("tools", 404, {"error": {"message": "No endpoints found that support tool use"}}),
    ("tools", 400, openai('"auto" tool choice requires --enable-auto-tool-choice')),
    ("tools", 500, openai("tools param requires --jinja flag")),
    ("tools", 400, openai("`tool calling` is not supported with this model")),
    ("tools", 400, plain("Function calling is not enabled for this model")),
    ("parallel_tools", 400, openai("Unsupported parameter: 'parallel_tool_calls'", None, None)),
    ("json_schema", 400, openai("This model does not support response format `json_schema`.")),
    ("json_schema", 400, openai("This response_format type is unavailable now")),
    ("logprobs", 400, openai("This model does not support logprobs.")),
    ("stop", 400, openai("Unsupported parameter: 'stop' is not supported with this model.")),
    (
        "developer_role",
        400,
        openai("unknown variant `developer`, expected one of `system`, `user`"),
    ),
    (
        "developer_role",
        400,
        openai("'developer' is not one of ['system', 'user'] - 'messages.1.role'"),
    ),
    ("developer_role", 400, openai("Unexpected message role.")),
    (
        "developer_role",
        422,
        {"detail": [{"msg": "Input tag 'developer' found using 'role' does not match"}]},
    ),
    ("system_role", 400, openai("Unsupported value: 'messages[0].role' does not support 'system'")),
    (
        "max_tokens",
        400,
        openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "unsupported_parameter",
            "max_tokens",
        ),
    ),
    (
        "parameter",
        400,
        openai(
            "Unsupported value: 'temperature' does not support 0.5 with this model.",
            "unsupported_value",
            "temperature",
        ),
    ),
    ("parameter", 400, openai("Unrecognized request argument supplied: store")),
    ("parameter", 400, openai("property 'store' is unsupported")),
    (
        "parameter",
        422,
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "store"], "msg": "x"}]},
    ),
    ("parameter", 400, anthropic("store: Extra inputs are not permitted")),
    (
        "parameter",
        400,
        google('Invalid JSON payload received. Unknown name "store": Cannot find field.'),
    ),
    ("parameter", 400, openai("Argument not supported on this model: presence_penalty")),
    ("parameter", 400, openai("Model grok-4 does not support parameter presencePenalty.")),
    (
        "parameter",
        400,
        openai("tiny does not support parameters: ['presence_penalty'], for model=x"),
    ),
]
DOWN = [
    (529, anthropic("Overloaded", "overloaded_error")),
    (503, {"error": {"code": 503, "message": "The model is overloaded", "status": "UNAVAILABLE"}}),
    (503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}),
    (502, "<html>Bad Gateway</html>"),
    (504, ""),
    (524, "<html>A timeout occurred</html>"),
]


def rows(*tables: tuple[type[CollegiumError], list[Any]]) -> list[Any]:
    """Every example with the kind that it is."""
    return [pytest.param(k, *row, id=f"{k.__name__} {row}"[:90]) for k, t in tables for row in t]


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    rows(
        (PromptTooLong, TOO_LONG),
        (RateLimited, RATE),
        (ExpertMisconfigured, ACCOUNT),
        (ContentRefused, CONTENT),
        (ModelGone, GONE),
        (ExpertRejected, MALFORMED),
        (ExpertUnavailable, DOWN),
        (ExpertTimeout, [(408, "")]),
        (ExpertError, [(500, openai("out of memory")), (418, "teapot"), (301, "")]),
    ),
)
def test_a_vendors_words_have_their_kind(
    kind: type[CollegiumError], status: int, body: Any
) -> None:
    """Whichever shape and status they come in."""
    assert type(error_of(status, body)) is kind


@pytest.mark.parametrize(
    ("capability", "status", "body"),
    [pytest.param(*row, id=f"{row[0]} {row[2]}"[:90]) for row in CAPABILITIES],
)
def test_a_missing_capability_is_named(capability: str, status: int, body: Any) -> None:
    """So that another expert is asked, and it is known for the next time."""
    error = error_of(status, body)
    assert type(error) is CapabilityMissing
    assert error.capability == capability
    assert 400 <= error.http_status < 500
    assert error.param


@pytest.mark.parametrize(("status", "body"), ACCOUNT)
def test_words_about_keys_and_bills_are_the_operators(status: int, body: Any) -> None:
    """Callers get neither the words nor a 401 that would blame their own key."""
    error = error_of(status, body)
    assert error.http_status == 502
    for word in ("key", "credit", "balance", "quota", "billing", "sk-"):
        assert word not in error.public.lower()
    assert str(status) in error.whole


def test_a_malformed_request_that_names_a_key_keeps_it() -> None:
    """Whatever it is about."""
    error = error_of(400, openai("Bad request; header x-api-key: abc"))
    assert "abc" not in error.public
    assert "abc" in error.whole


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "Rate limit exceeded", "code": 429}}, RateLimited),
        ({"error": {"message": "x", "code": "context_length_exceeded"}}, PromptTooLong),
        ({"error": {"message": "x", "code": "content_filter"}}, ContentRefused),
        ({"error": "Too many requests"}, RateLimited),
        (anthropic("Overloaded", "overloaded_error"), ExpertUnavailable),
        ({"error": {"message": "out of memory"}}, ExpertError),
        ({"error": {"message": "no", "code": 502}}, ExpertUnavailable),
        (plain("broken", code=500), ExpertError),
        ({"error": {"message": "Incorrect API key provided", "code": 401}}, ExpertMisconfigured),
    ],
)
def test_an_error_in_a_stream_has_its_kind(error: Any, kind: type[CollegiumError]) -> None:
    """By the status that it names, else by its words."""
    assert type(in_band("tiny", error, b"")) is kind


@pytest.mark.parametrize("words", ["not ", "model ", "tokens ", "no a ", "api key ", "role ", "x"])
def test_long_words_are_read_quickly(words: str) -> None:
    """An upstream chooses them: no rule takes longer than a glance, whatever they are."""
    started = time.process_time()
    error_of(400, openai(words * 4000))
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "name",
    [
        "This model does not support tools",
        "You exceeded your current quota",
        "Incorrect API key provided",
        "The model `m` does not exist",
        "insufficient_quota",
    ],
)
def test_what_a_refusal_quotes_of_the_request_says_nothing_of_the_upstream(name: str) -> None:
    """Nor do a schema's names and a message's text."""
    bodies: list[dict[str, Any]] = [
        {"tools": [{"type": "function", "function": {"name": name}}]},
        {"messages": [{"role": "user", "content": name}]},
        {"response_format": {"json_schema": {"schema": {"properties": {name: {}}}}}},
    ]
    for body in bodies:
        said = unquoted(
            ErrorDetails(400, f"Invalid value '{name}': it does not match the pattern"), body
        )
        assert rule_of(said).kind == "malformed"
        assert name in said.message


def test_an_error_in_a_stream_is_read_without_what_it_quotes() -> None:
    """As one that comes as a whole: a tool's name says nothing of the upstream."""
    name = "You exceeded your current quota"
    body = {"tools": [{"type": "function", "function": {"name": name}}]}
    error = openai(f"Invalid value '{name}': it does not match the pattern")
    assert type(in_band("tiny", error, b"")) is ExpertMisconfigured
    for raised in (in_band("tiny", error, b"", body), error_in_stream(error, body)):
        assert not isinstance(raised, ExpertMisconfigured)


def error_in_stream(error: Any, asked: dict[str, Any]) -> CollegiumError:
    """What a stream of chunks makes of it."""
    with pytest.raises(CollegiumError) as raised:
        Chunks("tiny", asked=asked).line(b"data: " + json.dumps(error).encode())
    return raised.value


def test_what_protocols_fix_is_no_quotation() -> None:
    """An upstream that names the type of a part speaks of what it lacks."""
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    body = {"messages": [{"role": "user", "content": [image]}]}
    said = unquoted(
        ErrorDetails(400, "Invalid content type. image_url is not supported here"), body
    )
    assert rule_of(said).capability == "images"


def test_a_code_of_thousands_of_digits_is_no_status() -> None:
    """Python refuses to read it as a number, and it names none."""
    error = in_band("tiny", {"error": {"code": "4" * 5000, "message": "no"}}, b"")
    assert type(error) is ExpertError
    assert in_band("tiny", {"error": {"code": "429"}}, b"").http_status == 429
