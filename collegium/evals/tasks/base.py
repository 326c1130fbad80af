"""The task interface: generated questions with an exact check of answers."""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol

Split = Literal["train", "validation", "test"]

# Tenths of all values: a question's values belong to one split, whatever its phrasing.
SHARES: tuple[Split, ...] = ("train",) * 7 + ("validation", "test", "test")
MOST_REJECTIONS = 5_000
LONGEST_ANSWER = 2_000
FENCE = re.compile(r"\A```[\w+-]*\s*\n?(.*?)\n?\s*```\Z", re.DOTALL)


@dataclass(frozen=True)
class Example:
    """One question with its reference answer."""

    prompt_id: str
    task: str
    template: str
    prompt: str
    reference: str


class Task(Protocol):
    """A skill that can be practised without limit and marked by a program."""

    @property
    def name(self) -> str: ...

    def examples(self, split: Split, count: int, seed: int = 0) -> list[Example]: ...

    def check(self, example: Example, answer: str) -> bool: ...


@dataclass(frozen=True)
class Question:
    """The values of one question, before it is put into words."""

    fields: Mapping[str, str]
    answer: str


@dataclass(frozen=True)
class Phrasings:
    """Ways to say one thing: some for training and validation, others kept for the test."""

    train: Sequence[str]
    test: Sequence[str]

    def of(self, split: Split) -> Sequence[str]:
        return self.test if split == "test" else self.train

    def inside(self, frames: "Phrasings", slot: str) -> "Phrasings":
        """Put every phrasing into every frame of its side, at the place called `slot`."""
        return Phrasings(
            [frame.replace(slot, text) for text in self.train for frame in frames.train],
            [frame.replace(slot, text) for text in self.test for frame in frames.test],
        )


@dataclass(frozen=True)
class Kind:
    """One kind of question in a task: how its values are drawn and how it is asked."""

    name: str
    draw: Callable[[Random], Question]
    bodies: Phrasings
    closers: Phrasings = Phrasings(("",), ("",))
    weight: float = 1.0

    def templates(self, split: Split) -> list[str]:
        """Return every phrasing of a split, with its placeholders."""
        bodies, closers = self.bodies.of(split), self.closers.of(split)
        return [f"{body} {closer}".strip() for body in bodies for closer in closers]


class GeneratedTask(ABC):
    """A task whose questions are drawn from kinds; the same on every machine and run."""

    name: str
    kinds: Sequence[Kind]

    def examples(self, split: Split, count: int, seed: int = 0) -> list[Example]:
        """Draw `count` different questions; no two splits share a phrasing or a set of values."""
        random = Random(f"{self.name}/{split}/{seed}")
        drawn: dict[str, Example] = {}
        rejections = 0
        while len(drawn) < count:
            example = self.draw(random, split)
            if example is None or example.prompt in drawn:
                rejections += 1
                if rejections > MOST_REJECTIONS + count:
                    raise ValueError(f"{self.name} has fewer than {count} {split} questions")
                continue
            drawn[example.prompt] = example
        return list(drawn.values())

    def draw(self, random: Random, split: Split) -> Example | None:
        """Draw one question, or None if its values belong to another split."""
        kind = random.choices(self.kinds, [kind.weight for kind in self.kinds])[0]
        question = kind.draw(random)
        if split_of(kind.name, question.fields) != split:
            return None
        template = random.choice(kind.templates(split))
        prompt = template.format(**question.fields)
        prompt_id = f"{self.name}-{split}-{digest(prompt)[:12]}"
        return Example(prompt_id, self.name, template, prompt, question.answer)

    def templates(self, split: Split) -> list[str]:
        """Return every phrasing that a split may use."""
        return [template for kind in self.kinds for template in kind.templates(split)]

    @abstractmethod
    def check(self, example: Example, answer: str) -> bool:
        """Say whether an answer is right; never raises and never takes long."""


def split_of(kind: str, fields: Mapping[str, str]) -> Split:
    """
    Assign a question's values to a split, by a hash that no Python run changes.

    A `sample` shows a format and is no value: some phrasings leave it out.
    """
    values = {name: text for name, text in fields.items() if not name.startswith("sample")}
    number = int(digest(json.dumps([kind, values], sort_keys=True))[:8], 16)
    return SHARES[number % len(SHARES)]


def words(text: str) -> tuple[str, ...]:
    """List words that are separated by spaces."""
    return tuple(text.split())


def phrases(text: str) -> tuple[str, ...]:
    """List phrases that are separated by bars."""
    return tuple(part.strip() for part in text.split("|"))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def bare(answer: str) -> str:
    """Strip what is only form: spaces, a code fence, quotes and one full stop at the end."""
    text = answer.strip()
    if len(text) > LONGEST_ANSWER:
        return ""
    if fenced := FENCE.match(text):
        text = fenced.group(1).strip()
    for _ in range(2):  # "word". and "word."
        text = text.removesuffix(".").strip()
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
            text = text[1:-1].strip()
    return text
