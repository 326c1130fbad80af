"""Questions on a short text: a detail, two details together, or what has changed."""

from __future__ import annotations

from random import Random

from collegium.experts.questions.base import NUMBER_ONLY, Draft, short, words
from collegium.experts.questions.kinds.names import PEOPLE, TOWNS

JOBS = words("baker tailor pilot gardener nurse mason printer sailor")
PETS = words("parrot tortoise goat ferret donkey spaniel hamster goose")
ROOMS = words("kitchen attic cellar garage study pantry hallway workshop")


def draw(random: Random, level: int) -> Draft:
    """Level 1 asks for a detail, level 2 joins two, level 3 follows changes."""
    return (_detail, _joined, _moves)[level - 1](random)


def _detail(random: Random) -> Draft:
    who, town = random.sample(PEOPLE, 3), random.sample(TOWNS, 3)
    job = random.sample(JOBS, 3)
    lines = [f"{n} is a {j} in {t}." for n, j, t in zip(who, job, town, strict=True)]
    text = f"{' '.join(lines)} They met at a fair and have written to each other ever since."
    if random.random() < 0.5:
        question = f"In which town does {who[1]} live? Reply with its name."
        return short(f"{text}\n\n{question}", town[1], rivals=town)
    return short(f"{text}\n\nWhat is {who[2]}'s trade? Reply with one word.", job[2], rivals=job)


def _joined(random: Random) -> Draft:
    who, pets = random.sample(PEOPLE, 4), random.sample(PETS, 4)
    town, ages = random.sample(TOWNS, 4), random.sample(range(21, 79), 4)
    people = list(zip(who, pets, town, ages, strict=True))
    lines = [f"{n}, who is {a}, moved to {t} last spring." for n, _, t, a in people]
    lines += [f"The {p} belongs to {n}." for n, p, _, _ in people]
    random.shuffle(lines)
    text, (_, pet, place, age) = " ".join(lines), random.choice(people)
    asked = random.randrange(3)
    if asked == 0:
        question = f"In which town does the {pet} live? Reply with its name."
        return short(f"{text}\n\n{question}", place, rivals=town)
    if asked == 1:
        return Draft(f"{text}\n\nHow old is the owner of the {pet}? {NUMBER_ONLY}", age)
    question = f"Which animal moved to {place}? Reply with one word."
    return short(f"{text}\n\n{question}", pet, rivals=pets)


def _moves(random: Random) -> Draft:
    """An object is carried about; what others believe of it is told too, and does not count."""
    names, rooms = random.sample(PEOPLE, 3), random.sample(ROOMS, 5)
    thing = random.choice(("brass key", "red ledger", "old map", "silver spoon", "blue vase"))
    place, lines = rooms[0], [f"In the morning the {thing} is in the {rooms[0]}."]
    visited = [place]
    for _ in range(random.randint(5, 8)):
        name, other = random.sample(names, 2)
        target = random.choice([room for room in rooms if room != place])
        if random.random() < 0.6:
            lines.append(f"{name} carries the {thing} from the {place} to the {target}.")
            place = target
            visited.append(place)
        elif random.random() < 0.5:
            lines.append(f"{name} tells {other} that the {thing} is in the {target}, wrongly.")
        else:
            lines.append(f"{name} wants to take the {thing} to the {target}, but forgets it.")
    text = " ".join(lines)
    if random.random() < 0.5:
        question = f"In which room is the {thing} now? Reply with one word."
        return short(f"{text}\n\n{question}", place, rivals=ROOMS)
    question = f"How many different rooms has the {thing} been in today?"
    return Draft(f"{text}\n\n{question} {NUMBER_ONLY}", len(set(visited)))
