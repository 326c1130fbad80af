"""Which tools to call with which arguments, if any."""

from __future__ import annotations

from random import Random
from typing import Any

from collegium.experts.questions.base import Draft
from collegium.experts.questions.kinds.names import PEOPLE, TOWNS


def draw(random: Random, level: int) -> Draft:
    """Level 1 has one tool, level 2 several, level 3 several calls, or none that helps."""
    if level == 1:
        return random.choice((_weather, _timer))(random)
    if level == 2:
        return random.choice((_transfer, _remind, _celsius))(random)
    # Who never calls a tool is right where none helps: such questions are few.
    return random.choices((_two_towns, _split, _none), (2, 2, 1))[0](random)


def _tool(name: str, description: str, required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
    }
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def _text(description: str = "", *, enum: list[str] | None = None) -> dict[str, Any]:
    return {"type": "string", "description": description} | ({"enum": enum} if enum else {})


def _number(description: str) -> dict[str, Any]:
    return {"type": "number", "description": description}


FORECAST = _tool(
    "get_weather",
    "The weather forecast of a town.",
    {"town": _text("the town's name"), "days": _number("days ahead; 0 is today")},
)
TIMER = _tool("set_timer", "Start a timer.", {"seconds": _number("its length in seconds")})
TRANSFER = _tool(
    "transfer_money",
    "Transfer money to somebody.",
    {
        "to": _text("the receiver's name"),
        "amount": _number("the amount"),
        "currency": _text("the currency", enum=["EUR", "USD", "GBP"]),
    },
)
REMINDER = _tool(
    "create_reminder",
    "Create a reminder.",
    {"person": _text("who is reminded"), "date": _text("YYYY-MM-DD"), "time": _text("HH:MM, 24 h")},
)
CONVERT = _tool(
    "convert_temperature",
    "Convert a temperature.",
    {
        "value": _number("the temperature"),
        "from": _text(enum=["celsius", "fahrenheit"]),
        "to": _text(enum=["celsius", "fahrenheit"]),
    },
)
ALL = [FORECAST, TIMER, TRANSFER, REMINDER, CONVERT]


def _draft(text: str, reference: Any, tools: list[dict[str, Any]]) -> Draft:
    return Draft(text, reference, "tool_call", more={"tools": tools, "tool_choice": "auto"})


def _call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def _weather(random: Random) -> Draft:
    town, days = random.choice(TOWNS), random.randint(2, 6)
    text = f"What will the weather in {town} be like in {days} days?"
    return _draft(text, _call("get_weather", town=town, days=days), [FORECAST])


def _timer(random: Random) -> Draft:
    seconds = random.randint(20, 90)
    text = f"Set a timer for {seconds} seconds."
    return _draft(text, _call("set_timer", seconds=seconds), [TIMER])


def _transfer(random: Random) -> Draft:
    name, amount = random.choice(PEOPLE), random.randint(11, 480)
    words, code = random.choice((("euros", "EUR"), ("US dollars", "USD"), ("pounds", "GBP")))
    text = f"I owe {name} {amount} {words}. Please pay that back for me."
    return _draft(text, _call("transfer_money", to=name, amount=amount, currency=code), ALL)


def _remind(random: Random) -> Draft:
    name, day, hour = random.choice(PEOPLE), random.randint(1, 28), random.randint(1, 10)
    text = f"Remind {name} on the {day}. of May 2027 at half past {hour} in the evening."
    date, time = f"2027-05-{day:02}", f"{hour + 12}:30"
    return _draft(text, _call("create_reminder", person=name, date=date, time=time), ALL)


def _celsius(random: Random) -> Draft:
    value = random.randint(40, 110)
    text = f"My American recipe says {value} °F. How much is that on my European thermometer?"
    arguments = {"value": value, "from": "fahrenheit", "to": "celsius"}
    return _draft(text, _call("convert_temperature", **arguments), ALL)


def _two_towns(random: Random) -> Draft:
    one, other = random.sample(TOWNS, 2)
    minutes = random.randint(3, 25)
    text = (
        f"Compare tomorrow's weather in {one} and {other} for me, and set a timer for "
        f"{minutes} and a half minutes. Do all of it at once."
    )
    calls = [_call("get_weather", town=town, days=1) for town in (one, other)]
    return _draft(text, [*calls, _call("set_timer", seconds=60 * minutes + 30)], ALL)


def _none(random: Random) -> Draft:
    name, town = random.choice(PEOPLE), random.choice(TOWNS)
    texts = (
        f"Which is the better name for a boat: {name} or {town}? Just your opinion.",
        f"Book me a hotel room in {town} for tonight.",
        f"What does the word timer mean? {name} asked me.",
    )
    return _draft(random.choice(texts), [], ALL)


def _split(random: Random) -> Draft:
    names = random.sample(PEOPLE, 3)
    third = random.randint(4, 30)
    text = (
        f"Dinner was {12 * third} euros. {names[0]}, {names[1]}, {names[2]} and I share it "
        "equally. The three of them have paid all of it, each the same. Pay each of them back "
        "what I owe."
    )
    calls = [_call("transfer_money", to=n, amount=third, currency="EUR") for n in names]
    return _draft(text, calls, ALL)
