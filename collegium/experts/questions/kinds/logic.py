"""Orderings, conditions and truth-tellers; each question has exactly one answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise, product
from random import Random

from collegium.experts.questions.base import Draft, choice
from collegium.experts.questions.kinds.names import MADE_UP, PEOPLE

Statement = tuple[str, Callable[[Sequence[bool]], bool]]
COMPARISONS = (("taller", "tallest"), ("older", "oldest"), ("faster", "fastest"))


def draw(random: Random, level: int) -> Draft:
    """Level 1 is one inference, level 2 a chain, level 3 a search."""
    if level == 1:
        return random.choice((_syllogism, _three))(random)
    return _five(random) if level == 2 else _liars(random)


def _syllogism(random: Random) -> Draft:
    a, b, c = random.sample(MADE_UP, 3)
    name = random.choice(PEOPLE)
    kinds = {
        f"All {a}s are {b}s. All {b}s are {c}s. Is every {a} a {c}?": "Yes",
        f"All {a}s are {b}s. No {b} is a {c}. Can a {a} be a {c}?": "No",
        f"All {a}s are {b}s. {name} owns a {b}. Is it certainly a {a}?": "No",
        f"If it rains, {name} wears a {a}. {name} wears no {a}. Can it be raining?": "No",
        f"Some {a}s are {b}s. All {b}s are {c}s. Are some {a}s {c}s?": "Yes",
    }
    text, right = random.choice(list(kinds.items()))
    return Draft(f"{text} Reply with yes or no only.", right, "reference")


def _three(random: Random) -> Draft:
    names = random.sample(PEOPLE, 3)
    than, most = random.choice(COMPARISONS)
    facts = [f"{names[0]} is {than} than {names[1]}.", f"{names[1]} is {than} than {names[2]}."]
    random.shuffle(facts)
    return choice(random, f"{' '.join(facts)} Who is the {most}?", names[0], names[1:])


def _five(random: Random) -> Draft:
    """A chain of five in a row, told out of order, some of it the other way round."""
    names = random.sample(PEOPLE, 5)
    facts = [
        f"{a} stands somewhere left of {b}."
        if random.random() < 0.5
        else f"{b} stands somewhere right of {a}."
        for a, b in pairwise(names)
    ]
    random.shuffle(facts)
    place = random.randrange(5)
    which = ("first", "second", "third", "fourth", "fifth")[place]
    text = f"Five people stand in a row. {' '.join(facts)} Who is {which} from the left?"
    return choice(random, text, names[place], names)


def _liars(random: Random) -> Draft:
    """Knights and knaves: statements are drawn until just one assignment fits."""
    names = random.sample(PEOPLE, 3)
    while True:
        said = [_statement(random, names, speaker) for speaker in range(3)]
        fitting = [
            truth
            for truth in product((True, False), repeat=3)
            if all(claim(truth) == truth[i] for i, (_, claim) in enumerate(said))
        ]
        if len(fitting) == 1:
            break
    told = " ".join(f'{name} says: "{text}"' for name, (text, _) in zip(names, said, strict=True))
    text = (
        f"On an island everybody either always tells the truth or always lies. {told} "
        "Who tells the truth?"
    )
    groups = [_listed(names, truth) for truth in product((True, False), repeat=3)]
    return choice(random, text, _listed(names, fitting[0]), groups)


def _statement(random: Random, names: Sequence[str], speaker: int) -> Statement:
    one, other = (i for i in range(3) if i != speaker)
    first, second = names[one], names[other]
    statements: list[Statement] = [
        (f"{first} lies.", lambda t: not t[one]),
        (f"{second} tells the truth.", lambda t: t[other]),
        (f"{first} and {second} are of the same kind.", lambda t: t[one] == t[other]),
        ("Exactly one of us three lies.", lambda t: sum(t) == 2),
        ("Exactly two of us three lie.", lambda t: sum(t) == 1),
        (f"If {first} tells the truth, then so does {second}.", lambda t: not t[one] or t[other]),
        (f"{first} or {second} lies, or both do.", lambda t: not (t[one] and t[other])),
    ]
    return random.choice(statements)


def _listed(names: Sequence[str], truth: Sequence[bool]) -> str:
    honest = [name for name, true in zip(names, truth, strict=True) if true]
    return " and ".join(honest) if honest else "nobody"
