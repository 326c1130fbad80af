"""Dates, times and units."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from random import Random

from collegium.experts.questions.base import NUMBER_ONLY, Draft, choice, words

DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
METRIC = (("km", "m", 1000), ("kg", "g", 1000), ("m", "cm", 100), ("l", "ml", 1000))
NAMES = {"km": "kilometres", "m": "metres", "kg": "kilograms", "g": "grams", "cm": "centimetres"}
NAMES |= {"l": "litres", "ml": "millilitres"}
ZONES = {"London": 0, "Berlin": 1, "Cairo": 2, "Delhi": 5.5, "Tokyo": 9, "New York": -5, "Lima": -5}
"""In January, hours from UTC."""


def draw(random: Random, level: int) -> Draft:
    """Level 1 has one factor, level 2 the calendar, level 3 several steps."""
    return random.choice(_BY_LEVEL[level])(random)


def _day(random: Random) -> date:
    return date(random.randint(1970, 2030), 1, 1) + timedelta(random.randint(0, 364))


def _written(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"


def _metric(random: Random) -> Draft:
    large, small, factor = random.choice(METRIC)
    count = random.randint(2, 60)
    text = f"How many {NAMES[small]} are {count} {NAMES[large]}? {NUMBER_ONLY}"
    return Draft(text, {"value": count * factor, "unit": small})


def _iso(random: Random) -> Draft:
    day = _day(random)
    text = f"Write the date {_written(day)} as YYYY-MM-DD. Reply with the date only."
    return Draft(text, rf"[\s`*\"']*{day.isoformat()}[\s`*\"'.]*", "regex", {"whole": True})


def _minutes(random: Random) -> Draft:
    hours, rest = random.randint(2, 9), random.randint(1, 59)
    text = f"How many minutes are {hours} hours and {rest} minutes? {NUMBER_ONLY}"
    return Draft(text, {"value": 60 * hours + rest, "unit": "min"})


def _weekday(random: Random) -> Draft:
    day, later = _day(random), random.randint(10, 90)
    today = f"{_written(day)} is a {DAYS[day.weekday()]}."
    text = f"{today} What day of the week is it {later} days later?"
    right = DAYS[(day + timedelta(later)).weekday()]
    return Draft(f"{text} Reply with one word.", right, "reference")


def _between(random: Random) -> Draft:
    first = _day(random)
    last = first + timedelta(random.randint(20, 120))
    text = f"How many days after {_written(first)} is {_written(last)}? {NUMBER_ONLY}"
    return Draft(text, {"value": (last - first).days, "unit": "d"})


def _clock(random: Random) -> Draft:
    start = datetime(2026, 1, 1, random.randint(0, 23), random.randrange(0, 60, 5))
    length = random.randint(95, 700)
    end = start + timedelta(minutes=length)
    text = (
        f"A ferry leaves at {start:%H:%M} and takes {length // 60} hours and {length % 60} "
        "minutes. When does it arrive? Reply with the time only, as HH:MM on a 24-hour clock."
    )
    return Draft(text, rf"[\s`*]*{end:%H:%M}[\s`*.]*", "regex", {"whole": True})


def _speed(random: Random) -> Draft:
    speed = 9 * random.randint(2, 30)
    seconds = random.randint(11, 95)
    text = (
        f"A car drives at a steady {speed} km/h. How many metres does it cover in {seconds} "
        f"seconds? {NUMBER_ONLY}"
    )
    return Draft(text, {"value": speed / 3.6 * seconds, "unit": "m", "absolute": 0.5})


def _zones(random: Random) -> Draft:
    one, other = random.sample(list(ZONES), 2)
    if ZONES[one] == ZONES[other]:
        other = "Tokyo"
    start = datetime(2026, 1, 12, random.randint(0, 23), random.choice((0, 15, 30, 45)))
    minutes = random.randint(100, 900)
    shift = 60 * (ZONES[other] - ZONES[one]) + minutes
    end = start + timedelta(minutes=shift)
    offsets = ", ".join(f"{c} is at UTC{ZONES[c]:+g} h" for c in (one, other))
    text = (
        f"{offsets}. A flight leaves {one} on Monday at {start:%H:%M} local time and takes "
        f"{minutes // 60} h {minutes % 60} min to {other}. What are day and local time on arrival?"
    )
    right = f"{DAYS[end.weekday()]} {end:%H:%M}"
    moved = [end + timedelta(minutes=m) for m in (60, -60, 1440, -2 * (shift - minutes))]
    return choice(random, text, right, [f"{DAYS[m.weekday()]} {m:%H:%M}" for m in moved])


def _workdays(random: Random) -> Draft:
    day, count = _day(random), random.randint(7, 18)
    end = day
    for _ in range(count):
        end += timedelta(1)
        while end.weekday() > 4:
            end += timedelta(1)
    text = (
        f"{_written(day)} is a {DAYS[day.weekday()]}. A letter takes {count} working days (Monday "
        "to Friday, there are no holidays), counted from the next working day on. On which date "
        "does it arrive? Reply with the date only, as YYYY-MM-DD."
    )
    return Draft(text, rf"[\s`*]*{end.isoformat()}[\s`*.]*", "regex", {"whole": True})


_BY_LEVEL: dict[int, tuple[Callable[[Random], Draft], ...]] = {
    1: (_metric, _iso, _minutes),
    2: (_weekday, _between, _clock),
    3: (_speed, _zones, _workdays),
}
