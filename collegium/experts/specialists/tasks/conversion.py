"""Dates, day arithmetic, clock times and units, where a tiny model can do the numbers."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from collegium.experts.specialists.tasks.base import (
    Example,
    GeneratedTask,
    Kind,
    Phrasings,
    Question,
    bare,
    words,
)

MONTHS = words(
    "January February March April May June July August September October November December"
)
# From a larger unit to a smaller one, by a power of ten.
DECIMAL_UNITS = (
    ("kilometres", "metres", 1000),
    ("kilograms", "grams", 1000),
    ("litres", "millilitres", 1000),
    ("tonnes", "kilograms", 1000),
    ("metres", "centimetres", 100),
    ("centimetres", "millimetres", 10),
)

TO_ISO = Phrasings(
    train=(
        "Write the date {date} as YYYY-MM-DD.",
        "Convert {date} to ISO format (YYYY-MM-DD).",
        "What is {date} in the form YYYY-MM-DD?",
        "Our meeting is on {date}. Give that date in ISO 8601.",
        "Reformat this date to year-month-day with dashes: {date}.",
        "I was born on {date}. How do I write that as YYYY-MM-DD?",
    ),
    test=(
        "The form only accepts dates like 2001-12-31. What do I type for {date}?",
        "Normalise for a database column of type DATE: {date}.",
        "A letter is dated {date}; put its date into ISO 8601 notation.",
    ),
)
FROM_ISO = Phrasings(
    train=(
        "Write {iso} as day, month name and year, like 4 July 1998.",
        "Spell out the month in the date {iso} (format: 4 July 1998).",
        "How is {iso} written in a letter, in the style 4 July 1998?",
        "Convert the ISO date {iso} to the style 4 July 1998.",
    ),
    test=(
        "A log says {iso}. Say that date the way people write it: 21 May 1987.",
        "Rewrite {iso} for an invitation (same style as 21 May 1987).",
    ),
)
LATER = Phrasings(
    train=(
        "Which date is {days} days after {iso}?",
        "Add {days} days to {iso}.",
        "A parcel sent on {iso} takes {days} days. When does it arrive?",
        "Today is {iso}. What is the date in {days} days?",
        "A course starts on {iso} and the exam is {days} days later. When is the exam?",
    ),
    test=(
        "The invoice of {iso} is due within {days} days. What is the last day to pay?",
        "Postpone the appointment of {iso} by {days} days; which date is that?",
        "Count {days} days forward from {iso}.",
    ),
)
SMALLER_UNIT = Phrasings(
    train=(
        "Convert {value} {unit} to {other}.",
        "How many {other} are {value} {unit}?",
        "Express {value} {unit} in {other}.",
        "What is {value} {unit} in {other}?",
        "A sign says {value} {unit}. What is that in {other}?",
    ),
    test=(
        "My tool measures in {other} only. What will it show for {value} {unit}?",
        "{value} {unit} = how many {other}?",
        "Change the unit from {unit} to {other}: {value}.",
    ),
)
TO_MINUTES = Phrasings(
    train=(
        "How many minutes are {hours} hours and {minutes} minutes?",
        "A film lasts {hours} h {minutes} min. Give its length in minutes.",
        "Convert {hours} hours {minutes} minutes to minutes.",
        "The flight takes {hours} hours and {minutes} minutes. How many minutes is that?",
    ),
    test=(
        "My timer only knows minutes. What do I enter for {hours} hours and {minutes} minutes?",
        "Her marathon took {hours}h{minutes}m; state it in minutes.",
    ),
)
TO_24_HOURS = Phrasings(
    train=(
        "Write {clock} in 24-hour time (HH:MM).",
        "Convert {clock} to the 24-hour clock, as HH:MM.",
        "The shop closes at {clock}. What is that on a 24-hour clock (HH:MM)?",
        "What is {clock} in the format HH:MM, 24 hours?",
    ),
    test=(
        "A European timetable would print {clock} how? Use HH:MM.",
        "My digital watch has no am or pm. What does it show at {clock}, as HH:MM?",
    ),
)
ONLY = Phrasings(
    train=(
        "Answer with the {form} only.",
        "Reply with just the {form}.",
        "Give only the {form}, nothing else.",
        "Output the {form} and no other text.",
    ),
    test=(
        "Your whole reply must be the {form}.",
        "No sentence, please: simply the {form}.",
        "Nothing but the {form} should appear in your reply.",
    ),
)


def closing(form: str) -> Phrasings:
    """Ask for one form of answer."""
    return Phrasings(
        [closer.replace("{form}", form) for closer in ONLY.train],
        [closer.replace("{form}", form) for closer in ONLY.test],
    )


def any_day(random: Random) -> date:
    return date(1950, 1, 1) + timedelta(days=random.randrange(36_500))


def written(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def spoken(day: date, style: int) -> str:
    """Write a day in one of the ways in which people write days."""
    month = MONTHS[day.month - 1]
    ordinal = f"{day.day}{'th' if 10 < day.day < 14 else ENDINGS.get(day.day % 10, 'th')}"
    return (
        written(day),
        f"{month} {day.day}, {day.year}",
        f"{ordinal} of {month} {day.year}",
        f"{month[:3]} {day.day} {day.year}",
        f"{day.day:02}.{day.month:02}.{day.year} (day.month.year)",
        f"{month} {ordinal}, {day.year}",
    )[style]


ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def to_iso(random: Random) -> Question:
    day = any_day(random)
    return Question({"date": spoken(day, random.randrange(6))}, day.isoformat())


def from_iso(random: Random) -> Question:
    day = any_day(random)
    return Question({"iso": day.isoformat()}, written(day))


def later(random: Random) -> Question:
    """Draw a day and some days; most stay within the month, as 135M parameters count badly."""
    day, days = any_day(random), random.randint(2, 7)
    if random.random() < 0.8:
        day = day.replace(day=random.randint(1, 28 - days))
    return Question(
        {"iso": day.isoformat(), "days": str(days)}, (day + timedelta(days=days)).isoformat()
    )


def smaller_unit(random: Random) -> Question:
    unit, other, factor = random.choice(DECIMAL_UNITS)
    value = Decimal(random.randint(2, 999)) / random.choice((1, 10))
    fields = {"value": f"{value.normalize():f}", "unit": unit, "other": other}
    return Question(fields, str(int(value * factor)))


def to_minutes(random: Random) -> Question:
    hours, minutes = random.randint(1, 5), 5 * random.randint(1, 11)
    return Question({"hours": str(hours), "minutes": str(minutes)}, str(60 * hours + minutes))


def to_24_hours(random: Random) -> Question:
    hour, minute = random.randrange(24), random.randrange(60)
    half = random.choice(("am", "a.m.")) if hour < 12 else random.choice(("pm", "p.m."))
    return Question({"clock": f"{hour % 12 or 12}:{minute:02} {half}"}, f"{hour:02}:{minute:02}")


def kind(
    name: str, draw: Callable[[Random], Question], bodies: Phrasings, form: str, weight: float = 1
) -> Kind:
    return Kind(name, draw, bodies, closing(form), weight)


class Conversion(GeneratedTask):
    """Dates, day arithmetic, clock times and units."""

    name = "conversion"
    description = "Converts dates, clock times and units to the form that was asked for"
    kinds = (
        kind("to iso", to_iso, TO_ISO, "date as YYYY-MM-DD", weight=2),
        kind("from iso", from_iso, FROM_ISO, "date"),
        kind("later", later, LATER, "date as YYYY-MM-DD", weight=2),
        kind("unit", smaller_unit, SMALLER_UNIT, "number (no unit)", weight=2),
        kind("minutes", to_minutes, TO_MINUTES, "number (no unit)"),
        kind("clock", to_24_hours, TO_24_HOURS, "time"),
    )

    def check(self, example: Example, answer: str) -> bool:
        return bare(answer) == example.reference
