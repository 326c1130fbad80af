"""Background jobs of chat front ends are told from what people ask."""

from __future__ import annotations

import pytest

from collegium.router.applications.background_jobs import KINDS, background_job

JOBS = {
    "title": (
        "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.",
        "Provide a concise, 5-word-or-less title for the conversation, using title case.",
        "Please generate a short title for this conversation, in its own language.",
        "Analyze this conversation and provide:\n1. The detected language of the conversation\n"
        "2. A concise title in the detected language (5 words or less, no punctuation)",
        "Based on the chat history, give this conversation a name. Keep it short.",
    ),
    "tags": (
        "### Task:\nGenerate 1-3 broad tags categorizing the main themes of the chat history, "
        "along with 1-3 more specific subtopic tags.",
    ),
    "follow-ups": (
        "### Task:\nSuggest 3-5 relevant follow-up questions or prompts that the user might "
        "naturally ask next in this conversation as a **user**, based on the chat history.",
    ),
    "queries": (
        "### Task:\nAnalyze the chat history to determine the necessity of generating search "
        "queries, in the given language.",
    ),
    "image-prompt": (
        "### Task:\nGenerate a detailed prompt for am image generation task based on the given "
        "language and context.",
    ),
    "autocomplete": ("### Task:\nYou are an autocompletion system. Continue the text in <text>.",),
    "emoji": (
        "Your task is to reflect the speaker's likely facial expression through a fitting emoji.",
    ),
    "merge-answers": (
        "You have been provided with a set of responses from various models to the latest user "
        'query: "hello"',
    ),
    "summary": ("Summarize the conversation by integrating new lines into the current summary.",),
}
ASKED = (
    "Suggest a title for my essay on owls.",
    "Write a short title and three tags for a blog post about bread.",
    "What is a good follow-up question in a job interview?",
    "How do I write a search query in Elasticsearch?",
    "Generate a detailed prompt for a sculpture.",
    "Summarise this article: conversation is an art.",
    "",
)


def test_every_kind_is_shown() -> None:
    """In the order in which they are tried."""
    assert tuple(JOBS) == KINDS


@pytest.mark.parametrize(("kind", "text"), [(k, t) for k in JOBS for t in JOBS[k]])
def test_a_front_ends_job_is_recognised(kind: str, text: str) -> None:
    """By its default prompt, whatever conversation follows."""
    assert background_job(f"{text}\n<chat_history>\nUSER: hi\n</chat_history>") == kind


@pytest.mark.parametrize("text", ASKED)
def test_what_a_person_asks_is_none(text: str) -> None:
    """Titles, tags and summaries of other things."""
    assert background_job(text) is None
