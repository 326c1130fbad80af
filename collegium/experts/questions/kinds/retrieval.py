"""A detail in a long text, among many that look like it."""

from __future__ import annotations

from random import Random

from collegium.experts.questions.base import NUMBER_ONLY, Draft
from collegium.experts.questions.kinds.names import PEOPLE, TOWNS, WORDS

LINES = {1: 20, 2: 110, 3: 420}
"""About 400, 2,500 and 10,000 tokens."""
FILLER = (
    "The {a} in the {b} was painted again, and nobody in {town} minded.",
    "{name} read aloud about the {a} and the {b} until it was dark.",
    "It was said in {town} that every {a} has its {b}.",
    "Two lorries brought the {a} to {town}, but not the {b}.",
)


def draw(random: Random, level: int) -> Draft:
    """Levels differ in length; on level 3 the answer takes two steps."""
    lines = [_filler(random) for _ in range(LINES[level])]
    owners = random.sample(PEOPLE, 12 if level > 1 else 5)
    rooms = [f"{random.choice(WORDS)} {i}" for i in range(1, len(owners) + 1)]
    numbers = random.sample(range(1000, 9999), len(owners))
    facts = [f"The code of the {r} locker is {n}." for r, n in zip(rooms, numbers, strict=True)]
    if level == 3:
        facts += [f"{o} uses the {r} locker." for o, r in zip(owners, rooms, strict=True)]
    for fact in facts:
        lines.insert(random.randint(0, len(lines)), fact)
    at = random.randrange(len(owners))
    whose = f"the locker that {owners[at]} uses" if level == 3 else f"the {rooms[at]} locker"
    asked = f"What is the code of {whose}? {NUMBER_ONLY}"
    return Draft(f"{asked}\n\n{' '.join(lines)}\n\n{asked}", numbers[at])


def _filler(random: Random) -> str:
    a, b = random.sample(WORDS, 2)
    name, town = random.choice(PEOPLE), random.choice(TOWNS)
    return random.choice(FILLER).format(a=a, b=b, name=name, town=town)
