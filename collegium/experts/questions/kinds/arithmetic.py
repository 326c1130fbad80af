"""Sums, products, percentages and word problems."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from collegium.experts.questions.base import NUMBER_ONLY, Draft
from collegium.experts.questions.kinds.names import GOODS, PEOPLE


def draw(random: Random, level: int) -> Draft:
    """Level 1 has one step, level 2 a few, level 3 large numbers or many steps."""
    return random.choice(_BY_LEVEL[level])(random)


def _sum(random: Random) -> Draft:
    a, b = random.randint(12, 99), random.randint(12, 99)
    if random.random() < 0.5:
        return Draft(f"What is {a} + {b}? {NUMBER_ONLY}", a + b)
    return Draft(f"What is {a + b} - {a}? {NUMBER_ONLY}", b)


def _times(random: Random) -> Draft:
    a, b = random.randint(3, 12), random.randint(3, 12)
    if random.random() < 0.5:
        return Draft(f"What is {a} times {b}? {NUMBER_ONLY}", a * b)
    return Draft(f"What is {a * b} divided by {b}? {NUMBER_ONLY}", a)


def _shop(random: Random) -> Draft:
    name, goods = random.choice(PEOPLE), random.choice(GOODS)
    have, more = random.randint(4, 30), random.randint(3, 20)
    text = f"{name} has {have} {goods} and buys {more} more. How many {goods} does {name} have now?"
    return Draft(f"{text} {NUMBER_ONLY}", have + more)


def _brackets(random: Random) -> Draft:
    a, b, c, d = (random.randint(3, 19) for _ in range(4))
    return Draft(f"What is {a} * ({b} + {c}) - {d}? {NUMBER_ONLY}", a * (b + c) - d)


def _product(random: Random) -> Draft:
    a, b = random.randint(112, 989), random.randint(12, 98)
    return Draft(f"What is {a} * {b}? {NUMBER_ONLY}", a * b)


def _percent(random: Random) -> Draft:
    share, of = random.choice((5, 15, 20, 35, 40, 65)), 20 * random.randint(4, 60)
    return Draft(f"What is {share}% of {of}? {NUMBER_ONLY}", share * of // 100)


def _boxes(random: Random) -> Draft:
    name, goods = random.choice(PEOPLE), random.choice(GOODS)
    boxes, each, given = random.randint(4, 15), random.randint(6, 24), random.randint(5, 20)
    text = (
        f"{name} fills {boxes} boxes with {each} {goods} each and gives {given} {goods} of them "
        f"away. How many {goods} are left?"
    )
    return Draft(f"{text} {NUMBER_ONLY}", boxes * each - given)


def _large(random: Random) -> Draft:
    a, b, c = random.randint(2100, 9800), random.randint(210, 980), random.randint(1000, 9999)
    return Draft(f"What is {a} * {b} + {c}? {NUMBER_ONLY}", a * b + c)


def _remainder(random: Random) -> Draft:
    base, power, by = random.randint(3, 19), random.randint(11, 40), random.choice((7, 11, 13, 17))
    text = f"What is the remainder when {base}^{power} is divided by {by}?"
    return Draft(f"{text} {NUMBER_ONLY}", pow(base, power, by))


def _discounts(random: Random) -> Draft:
    goods, price = random.choice(GOODS), 400 * random.randint(2, 12)
    first, second = random.choice((10, 20, 25, 30)), random.choice((10, 20, 50))
    count = random.randint(3, 9)
    cents = count * price * (100 - first) * (100 - second)
    text = (
        f"A box of {goods} costs {price} crowns. The price is lowered by {first}%, and then the "
        f"new price by another {second}%. How many crowns do {count} boxes cost now?"
    )
    return Draft(f"{text} {NUMBER_ONLY}", cents / 10_000, options={"absolute": 0.01})


def _trains(random: Random) -> Draft:
    slow, fast = random.randint(40, 70), random.randint(80, 130)
    head, hours = random.randint(1, 3), random.randint(2, 5)
    town = slow * (head + hours) + fast * hours
    text = (
        f"A train leaves Aldersby for Dunmere at {slow} km/h. {head} h later another one leaves "
        f"Dunmere for Aldersby at {fast} km/h. The towns are {town} km apart. How many hours "
        "after the departure of the second train do they meet?"
    )
    return Draft(f"{text} {NUMBER_ONLY}", hours)


_BY_LEVEL: dict[int, tuple[Callable[[Random], Draft], ...]] = {
    1: (_sum, _times, _shop),
    2: (_brackets, _product, _percent, _boxes),
    3: (_large, _remainder, _discounts, _trains),
}
