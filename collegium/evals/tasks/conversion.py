"""Dates, durations, clock times and units, within a tiny model's arithmetic."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from collegium.evals.tasks.base import (
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
        "Year first, then month, then day, like {sample_iso}: how is {date} written?",
        "{date}. Now the same day in the style of {sample_iso}.",
        "The form only accepts dates like {sample_iso}. What do I type for {date}?",
        "Normalise for a database column of type DATE: {date}.",
        "A letter is dated {date}; put its date into ISO 8601 notation.",
        "In ISO notation, {date} is what?",
        "Please store {date} in my calendar file, which wants YYYY-MM-DD.",
        "Sort key for {date}: year, month and day as numbers with dashes.",
        "Dates here look like {sample_iso}. Write {date} the same way.",
    ),
    test=(
        "My spreadsheet sorts days only when they look like {sample_iso}. Turn {date} into that.",
        "Which YYYY-MM-DD string stands for {date}?",
        "Someone noted {date}; our system takes year, month, day with hyphens.",
    ),
)
FROM_ISO = Phrasings(
    train=(
        "Write {iso} as day, month name and year, like {sample}.",
        "Spell out the month in the date {iso} (format: {sample}).",
        "How is {iso} written in a letter, in the style {sample}?",
        "Convert the ISO date {iso} to the style {sample}.",
        "In the style of {sample}, what is {iso}?",
        "{iso}. Now the same day written like {sample}.",
        "A log says {iso}. Say that date the way people write it, such as {sample}.",
        "Rewrite {iso} for an invitation, which has dates such as {sample}.",
        "Write out {iso} for humans, as in {sample}.",
        "{iso} is too technical. Put it like {sample}.",
        "Which day is {iso}? Answer in the manner of {sample}.",
    ),
    test=(
        "Our newsletter prints dates like {sample}. How should {iso} appear there?",
        "Take {iso} and say it with the name of the month, as in {sample}.",
    ),
)
DOTTED = Phrasings(
    train=(
        "Write {date} with dots, as DD.MM.YYYY.",
        "Convert {date} to the format DD.MM.YYYY.",
        "What is {date} in the style of {sample_dots} (day.month.year)?",
        "The German form of {date}, please, as DD.MM.YYYY.",
        "Day, month and year in digits, dots between: how is {date} written?",
        "{date}. Now the same day with two dots, like {sample_dots}.",
        "I have to sign with the date {date}, in the style {sample_dots}.",
        "A Swiss form wants dates like {sample_dots}, day first. What do I fill in for {date}?",
        "Put {date} in numbers, day then month then year, with dots in between and leading zeros.",
        "Turn {date} into digits with dots (DD.MM.YYYY).",
        "Dates here look like {sample_dots}. Write {date} the same way.",
    ),
    test=(
        "Rewrite {date} the way {sample_dots} is written.",
        "An Austrian invoice shows days as DD.MM.YYYY. Which one stands for {date}?",
    ),
)
NEXT_DAY = Phrasings(
    train=(
        "Which date comes after {iso}?",
        "Today is {iso}. What is tomorrow's date?",
        "Add one day to {iso}.",
        "The fair on {iso} goes on for one more day. On which date does it end?",
        "My train leaves on {iso} and arrives the day after. Give the date of arrival.",
        "Postpone the appointment of {iso} by a single day.",
        "The day after {iso} is which date?",
        "It was {iso} yesterday. What date is it today?",
        "One day later than {iso}: which date?",
        "The deadline {iso} moves back by one day. What is the new date?",
    ),
    test=(
        "The parcel was sent on {iso} and came one day later. When did it come?",
        "Tear the page {iso} off a calendar; which date is on the next page?",
    ),
)
SMALLER_UNIT = Phrasings(
    train=(
        "Convert {value} {unit} to {other}.",
        "How many {other} are {value} {unit}?",
        "Express {value} {unit} in {other}.",
        "What is {value} {unit} in {other}?",
        "A sign says {value} {unit}. What is that in {other}?",
        "I have {value} {unit} and need to know the {other}.",
        "{value} {unit}. Now the same amount in {other}.",
        "My tool measures in {other} only. What will it show for {value} {unit}?",
        "{value} {unit} equals how many {other}?",
        "Change the unit from {unit} to {other}: {value}.",
        "Give {value} {unit} as {other}.",
        "The label reads {value} {unit}; the form wants {other}.",
        "{value} {unit}, please, but counted in {other}.",
    ),
    test=(
        "A recipe gives {value} {unit}, but I only think in {other}. How much is it?",
        "Turn {value} {unit} into {other}.",
        "Somebody measured {value} {unit}. Had they used {other}, what would they have read?",
    ),
)
DURATION = Phrasings(
    train=(
        "Write {hours} hours {minutes} minutes as H:MM.",
        "A film lasts {hours} h {minutes} min. Give its length as H:MM.",
        "The flight takes {hours} hours and {minutes} minutes. How is that written as H:MM?",
        "Convert the duration of {hours} hours and {minutes} minutes to H:MM.",
        "{hours} hours {minutes} min. Now the same with a colon, H:MM.",
        "We waited {hours}h {minutes}m. Note that as H:MM.",
        "Her marathon took {hours}h{minutes}m; with a colon (H:MM) that is what?",
        "I type durations as H:MM. What do I enter for {hours} hours and {minutes} minutes?",
        "The call lasted {hours} hours and {minutes} minutes; show it as H:MM.",
        "Show {hours} h and {minutes} min on a stopwatch (H:MM).",
    ),
    test=(
        "The oven ran for {hours} hours and {minutes} minutes. What does its H:MM display read?",
        "Log {hours} h {minutes} min in the style H:MM.",
    ),
)
TO_24_HOURS = Phrasings(
    train=(
        "Write {clock} in 24-hour time (HH:MM).",
        "Convert {clock} to the 24-hour clock, as HH:MM.",
        "The shop closes at {clock}. What is that on a 24-hour clock (HH:MM)?",
        "What is {clock} in the format HH:MM, 24 hours?",
        "It is {clock}. Military time (HH:MM), please.",
        "Without am and pm, as HH:MM, how is {clock} written?",
        "{clock}. Now the same time on a clock that counts to 24 (HH:MM).",
        "The plane takes off at {clock}. Tell me the hour and minute as the airport writes them.",
        "In France nobody says am or pm. How do they note {clock}?",
        "Set the alarm of a 24-hour radio to {clock}: which digits?",
        "A European timetable would print {clock} how? Use HH:MM.",
        "My watch has a 24-hour display. What does it show at {clock}, as HH:MM?",
        "Turn {clock} into HH:MM as the military says it.",
        "Rewrite {clock} so that no am or pm is needed (HH:MM).",
    ),
    test=(
        "The invitation says {clock}; rewrite that for a country with 24-hour clocks, HH:MM.",
        "Enter {clock} into a field that takes only times from 00:00 to 23:59.",
    ),
)
ONLY = Phrasings(
    train=(
        "Answer with the {form} only.",
        "Reply with just the {form}.",
        "Give only the {form}, nothing else.",
        "Output the {form} and no other text.",
        "Your whole reply must be the {form}.",
        "No sentence, please: simply the {form}.",
        "Nothing but the {form} should appear in your reply.",
        "Write the {form} and nothing more.",
        "I need just the {form}.",
    ),
    test=(
        "I will paste your reply into a cell, so write the {form} by itself.",
        "Leave out everything except the {form}.",
        "Respond with the {form} and stop there.",
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
    fields = {"date": spoken(day, random.randrange(6)), "sample_iso": any_day(random).isoformat()}
    return Question(fields, day.isoformat())


def from_iso(random: Random) -> Question:
    day = any_day(random)
    return Question({"iso": day.isoformat(), "sample": written(any_day(random))}, written(day))


def dotted(random: Random) -> Question:
    day, sample = any_day(random), any_day(random)
    date_text = random.choice((day.isoformat(), spoken(day, random.randrange(4))))
    return Question({"date": date_text, "sample_dots": f"{sample:%d.%m.%Y}"}, f"{day:%d.%m.%Y}")


def next_day(random: Random) -> Question:
    """Draw a day; only one is added, as 135M parameters count badly."""
    day = any_day(random)
    return Question({"iso": day.isoformat()}, (day + timedelta(days=1)).isoformat())


def smaller_unit(random: Random) -> Question:
    """Draw an amount; one in four has a decimal."""
    unit, other, factor = random.choice(DECIMAL_UNITS)
    value = Decimal(random.randint(2, 999)) / random.choice((1, 1, 1, 10))
    fields = {"value": f"{value.normalize():f}", "unit": unit, "other": other}
    return Question(fields, str(int(value * factor)))


def duration(random: Random) -> Question:
    hours = random.randint(1, 23)
    # One in four has a single digit of minutes, where the zero is easily forgotten.
    minutes = random.randint(1, 9) if random.random() < 0.25 else random.randint(10, 59)
    return Question({"hours": str(hours), "minutes": str(minutes)}, f"{hours}:{minutes:02}")


def to_24_hours(random: Random) -> Question:
    hour, minute = random.randrange(24), random.randrange(60)
    half = random.choice(("am", "AM")) if hour < 12 else random.choice(("pm", "PM"))
    return Question({"clock": f"{hour % 12 or 12}:{minute:02} {half}"}, f"{hour:02}:{minute:02}")


def kind(
    name: str, draw: Callable[[Random], Question], bodies: Phrasings, form: str, weight: float = 1
) -> Kind:
    return Kind(name, draw, bodies, closing(form), weight)


class Conversion(GeneratedTask):
    """Dates, day arithmetic, clock times and units."""

    name = "conversion"
    kinds = (
        kind("to iso", to_iso, TO_ISO, "date as YYYY-MM-DD", weight=2.5),
        kind("from iso", from_iso, FROM_ISO, "date", weight=1.5),
        kind("dotted", dotted, DOTTED, "date as DD.MM.YYYY", weight=1.5),
        kind("next day", next_day, NEXT_DAY, "date as YYYY-MM-DD"),
        kind("unit", smaller_unit, SMALLER_UNIT, "number of {other} (no unit)", weight=2),
        kind("duration", duration, DURATION, "duration as H:MM"),
        kind("clock", to_24_hours, TO_24_HOURS, "24-hour time as HH:MM", weight=2.5),
    )

    def check(self, example: Example, answer: str) -> bool:
        return bare(answer) == example.reference
