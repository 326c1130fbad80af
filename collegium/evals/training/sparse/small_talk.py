"""Everyday prompts, which teach the gates when to use the base's own feed-forward layer."""

from __future__ import annotations

from itertools import product
from random import Random

from collegium.evals.tasks.base import Phrasings, phrases

FRAMES = Phrasings(
    train=(
        "What is {topic}?",
        "Explain {topic} to a beginner.",
        "Write a short story about {topic}.",
        "Tell me something interesting about {topic}.",
        "Why do people care about {topic}?",
        "Give me three tips on {topic}.",
        "I want to learn about {topic}. Where do I start?",
        "Compare {topic} with something similar.",
        "Hello! Can we talk about {topic}?",
        "Write an e-mail to a friend about {topic}.",
    ),
    test=("How would you describe {topic}?", "Write a poem on {topic}."),
)
TOPICS = phrases(
    "gardening | the moon | music | football | the history of Rome | volcanoes | baking bread |"
    " philosophy | running a marathon | penguins | the stock market | learning French |"
    " black holes | good manners | chess | the ocean | old films | bicycles | climate change |"
    " friendship | renewable energy | job interviews | the human heart | medieval castles |"
    " photography | Python programming | sleep | tea | electricity | public speaking"
)


def prompts(count: int, *, test: bool = False, seed: int = 0) -> list[str]:
    """`count` prompts drawn without repetition."""
    frames = FRAMES.test if test else FRAMES.train
    every = [frame.format(topic=topic) for frame, topic in product(frames, TOPICS)]
    return Random(seed).sample(every, count)
