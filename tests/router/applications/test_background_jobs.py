"""Background jobs of chat front ends are told from what people ask."""

from __future__ import annotations

import pytest

from collegium.router.applications.background_jobs import background_job, kinds

JOBS = {
    "title": (
        "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.",
        "Provide a concise, 5-word-or-less title for the conversation, using title case.",
        "Please generate a short title for this conversation, in its own language.",
        "Analyze this conversation and provide:\n1. The detected language of the conversation\n"
        "2. A concise title in the detected language (5 words or less, no punctuation)",
        "Based on the chat history, give this conversation a name. Keep it short.",
        "You are a title generator. You output ONLY a thread title.",
        "Summarize this coding conversation in under 50 characters.",
        "Please write a 5-10 word title for the following conversation:",
        "Erstelle einen kurzen Titel für diese Unterhaltung.",
        "Génère un titre court pour cette conversation.",
        "Genera un título breve para esta conversación.",
        "Придумай короткий заголовок для этого диалога.",
        "你是一名擅长会话的助理, 你需要将用户的会话总结为 10 个字以内的标题",
        "この会話の短いタイトルを考えてください。",
        "이 대화의 짧은 제목을 만들어 줘.",
    ),
    "tags": (
        "### Task:\nGenerate 1-3 broad tags categorizing the main themes of the chat history, "
        "along with 1-3 more specific subtopic tags.",
    ),
    "follow-ups": (
        "### Task:\nSuggest 3-5 relevant follow-up questions or prompts that the user might "
        "naturally ask next in this conversation as a **user**, based on the chat history.",
        "[SUGGESTION MODE: Suggest what the user might naturally type next into Claude Code.]",
        "Schlage drei Folgefragen zu diesem Chat vor.",
    ),
    "queries": (
        "### Task:\nAnalyze the chat history to determine the necessity of generating search "
        "queries, in the given language.",
        "Given the following conversation and a follow up question, rephrase the follow up "
        "question to be a standalone question.",
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
    "summary": (
        "Summarize the conversation by integrating new lines into the current summary.",
        "Your task is to create a detailed summary of the conversation so far, paying close "
        "attention to the user's explicit requests and your previous actions.",
        "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary for another "
        "LLM that will resume the task.",
        "简要总结一下对话内容, 用作后续的上下文提示 prompt, 控制在 200 字以内",
    ),
    "topic": (
        "Analyze if this message indicates a new conversation topic. If it does, extract a 2-3 "
        "word title that captures the new topic.",
    ),
    "next-speaker": (
        "Analyze *only* the content and structure of your immediately preceding response. Based "
        "*strictly* on that response, determine who should logically speak next.",
    ),
    "command": (
        "Your task is to process Bash commands that an AI coding agent wants to run.",
        "Extract any file paths that this command reads or modifies.",
    ),
}
ASKED = (
    "Suggest a title for my essay on owls.",
    "Write a short title and three tags for a blog post about bread.",
    "What is a good follow-up question in a job interview?",
    "How do I write a search query in Elasticsearch?",
    "Generate a detailed prompt for a sculpture.",
    "Summarise this article: conversation is an art.",
    "Write a function that sets the title of the chat window.",
    "Wie lautet der Titel von Goethes bekanntestem Drama?",
    "Explain what a search query is.",
    "",
)


def test_every_kind_is_shown() -> None:
    """In the order in which they are tried."""
    assert tuple(JOBS) == kinds()


@pytest.mark.parametrize(("kind", "text"), [(k, t) for k in JOBS for t in JOBS[k]])
def test_a_front_ends_job_is_recognised(kind: str, text: str) -> None:
    """By its default prompt, whatever conversation follows."""
    assert background_job(f"{text}\n<chat_history>\nUSER: hi\n</chat_history>") == kind


@pytest.mark.parametrize("text", ASKED)
def test_what_a_person_asks_is_none(text: str) -> None:
    """Titles, tags and summaries of other things."""
    assert background_job(text) is None
