"""Questions that measure aggregation: the right answer among wrong ones, to be found and given.

Symbolic-MoE (arXiv 2503.05641) chooses its aggregator so: an expert that answers well need not be
one that judges well. The wrong answers are the right ones to other questions of the task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from collegium.experts.aggregation.base import Member, MemberAnswer
from collegium.experts.aggregation.quoting import asked_about, quoted
from collegium.experts.aggregation.synthesis import COMBINE
from collegium.experts.specialists.tasks.base import Example, Split, Task
from collegium.registry.expert import AGGREGATION, Expert

WRONG = 2
ROOM = 3000
"""Characters of quoted answers: they are short."""


class Aggregation:
    """A task made of another's questions, with answers to choose from; marked as that one marks."""

    name = AGGREGATION

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self._tasks = tasks
        self._originals: dict[str, Example] = {}

    def examples(self, split: Split, count: int, seed: int = 0) -> list[Example]:
        """`count` questions in all, of every task in turn."""
        each = -(-count // len(self._tasks))
        drawn = [task.examples(split, each + WRONG, seed) for task in self._tasks.values()]
        # More than needed are drawn: the last ones only lend their answers.
        probes = [self._probe(found, i, seed) for i in range(each) for found in drawn]
        return probes[:count]

    def check(self, example: Example, answer: str) -> bool:
        """Whether the answer is right to the question that was asked about."""
        original = self._originals[example.prompt_id]
        return self._tasks[original.task].check(original, answer)

    def _probe(self, found: Sequence[Example], index: int, seed: int) -> Example:
        example = found[index]
        wrong = [e.reference for e in found if e.reference != example.reference][-WRONG:]
        prompt = prompt_of(example.prompt, [example.reference, *wrong], seed + index)
        probe = replace(
            example, prompt_id=f"{AGGREGATION}-{example.prompt_id}", task=self.name, prompt=prompt
        )
        self._originals[probe.prompt_id] = example
        return probe


def prompt_of(question: str, answers: Sequence[str], seed: int) -> str:
    """What an aggregator is asked, as one message: rules, question, answers in a drawn order."""
    nobody = Member(Expert("member", "openai", "member"))
    replies = [MemberAnswer(i, nobody, {"content": text}) for i, text in enumerate(answers)]
    shown = quoted(replies, seed=seed, most_characters=ROOM)
    body = {"messages": [{"role": "user", "content": question}]}
    return "\n\n".join(m["content"] for m in asked_about(body, COMBINE, shown.text)["messages"])
