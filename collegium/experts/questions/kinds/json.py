"""A text's facts as JSON with given keys."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from collegium.experts.questions.base import Draft, words
from collegium.experts.questions.kinds.names import GOODS, PEOPLE, TOWNS, WORDS

MONTHS = words(
    "January February March April May June July August September October November December"
)


def draw(random: Random, level: int) -> Draft:
    """Level 1 is flat, level 2 converts, level 3 is nested and leaves some of the text out."""
    text, form, value = (_person, _event, _invoice)[level - 1](random)
    shown = json.dumps(form, indent=1)
    asked = (
        f"{text}\n\nReply with one JSON object of this form, and nothing else; numbers are "
        f"numbers, and what the text does not say is null:\n{shown}"
    )
    return Draft(asked, {"value": value}, "json_schema")


def _person(random: Random) -> tuple[str, Any, Any]:
    name, town, age = random.choice(PEOPLE), random.choice(TOWNS), random.randint(19, 80)
    text = f"Our new member {name} lives in {town} and is {age} years old."
    form = {"name": "string", "age": "number", "town": "string"}
    return text, form, {"name": name, "age": age, "town": town}


def _event(random: Random) -> tuple[str, Any, Any]:
    month, day, year = random.randint(1, 12), random.randint(1, 28), random.randint(2021, 2029)
    hour, price = random.randint(5, 11), random.choice((None, random.randint(3, 40)))
    title, town = f"{random.choice(WORDS)} fair".capitalize(), random.choice(TOWNS)
    cost = "" if price is None else f" Tickets are {price} euros."
    text = (
        f"The {title} in {town} opens on {MONTHS[month - 1]} {day}, {year}, at {hour} in the "
        f"evening.{cost}"
    )
    form = {
        "title": "string",
        "town": "string",
        "date": "YYYY-MM-DD",
        "time": "HH:MM, 24 hours",
        "price_eur": "number or null",
    }
    date = f"{year}-{month:02}-{day:02}"
    value = {"title": title, "town": town, "date": date, "time": f"{hour + 12}:00"}
    return text, form, {**value, "price_eur": price}


def _invoice(random: Random) -> tuple[str, Any, Any]:
    """Three items, one of them corrected on the way; a fourth is only mentioned."""
    buyer, seller = random.sample(PEOPLE, 2)
    *goods, dropped = random.sample(GOODS, 4)
    counts = [random.randint(2, 12) for _ in goods]
    prices = [random.randint(2, 30) for _ in goods]
    said = [f"{n} {g} at {p} each" for n, g, p in zip(counts, goods, prices, strict=True)]
    counts[2] += 1
    text = (
        f"Hi {seller}, this is {buyer}. I'd like {said[0]} and, as we said, {said[1]}. The "
        f"{dropped} I asked about last week I don't need any more. Oh, and {said[2]}, please; "
        f"no, make that {counts[2]} {goods[2]}, at the same price. Send them "
        f"to {random.choice(TOWNS)} as always, express please.\n(Items in alphabetical order.)"
    )
    item = {"name": "string", "quantity": "number", "unit_price": "number"}
    form = {
        "buyer": "string",
        "express": "boolean",
        "items": [item],
        "total_of_items": "number",
        "discount": "number or null",
    }
    rows = sorted(zip(goods, counts, prices, strict=True))
    value = {
        "buyer": buyer,
        "express": True,
        "items": [{"name": g, "quantity": n, "unit_price": p} for g, n, p in rows],
        "total_of_items": sum(n * p for _, n, p in rows),
        "discount": None,
    }
    return text, form, value
