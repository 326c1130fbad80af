"""Extract facts from a sentence as JSON with given keys."""

import json
from collections.abc import Callable, Mapping
from random import Random

from collegium.evals.tasks.base import (
    Example,
    GeneratedTask,
    Kind,
    Phrasings,
    Question,
    bare,
    phrases,
    words,
)

Facts = Mapping[str, str | int | float]

NAMES = words("Anna Boris Chloe David Elena Felix Greta Hugo Ines Jonas Karin Luca Mona Nils")
SURNAMES = words("Abbott Berger Costa Dubois Eriksen Fischer Garcia Horvat Ito Jansen Kowalski")
CITIES = words("Berlin Madrid Vienna Lisbon Dublin Prague Athens Helsinki Warsaw Boston Toronto")
JOBS = words("nurse plumber lawyer teacher pilot baker painter surgeon farmer editor")
GOODS = words("laptop kettle bicycle lamp sofa camera tent drill blanket mixer printer")
COLORS = words("red blue green black white silver orange purple")
EVENTS = phrases("choir rehearsal|budget review|chess club|yoga class|book fair|team lunch")
ROOMS = phrases("the library|Room 12|the town hall|Hall B|the cafeteria|Room 305")
DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
DISHES = phrases("lasagna|beef stew|fish tacos|onion soup|apple pie|fried rice")

PEOPLE = Phrasings(
    train=(
        "{name} is {age} years old, lives in {city} and works as a {job}.",
        "Meet {name}, a {age}-year-old {job} from {city}.",
        "In {city} there is a {job} called {name}, who turned {age} last week.",
        "I spoke to {name} ({age}), {job}, born and raised in {city}.",
        "After moving to {city} at the age of {age}, {name} found work as a {job}.",
        "Our {job} is {name}; a flat in {city}, {age} candles on the last cake.",
        "{name}, aged {age}, is a {job} in {city}.",
        "Her neighbour {name} is a {job} of {age} years who comes from {city}.",
    ),
    test=(
        "At {age}, {name} still works as a {job} and has never left {city}.",
        "Say hello to our new {job} from {city}: {name}, {age} years of age.",
    ),
)
ORDERS = Phrasings(
    train=(
        "{name} ordered {quantity} {color} {item}s for {price} dollars each.",
        "Please send {quantity} of the {color} {item}s at ${price} apiece to {name}.",
        "The bill for {name}: {quantity} x {item}, {color}, {price} USD per unit.",
        "We shipped {quantity} {item}s ({color}, ${price} each) to {name} this morning.",
        "At ${price} each, {name} could not resist and bought {quantity} {item}s in {color}.",
        "Only one {item} is left in {color}: {name} took the other {quantity}, ${price} a piece.",
        "{quantity} {color} {item}s went to {name}, {price} dollars a piece.",
        "{name} paid ${price} for each of the {quantity} {color} {item}s.",
    ),
    test=(
        "Order received from {name}: {item}, {color}, {quantity} pieces, unit price ${price}.",
        "{name} wants {quantity} {item}s, all {color}; one costs {price} dollars.",
    ),
)
MEETINGS = Phrasings(
    train=(
        "The {event} takes place on {day} at {time} in {place}.",
        "Don't forget: {day}, {time}, {event} in {place}!",
        "We moved the {event} to {place}; it starts {day} at {time}.",
        "On {day} we meet in {place} at {time} for the {event}.",
        "See you in {place} when the {event} begins, {time} this {day}.",
        "{place} is booked from {time} for our {event}, and it has to be {day}.",
        "{event}: {day}, {time}, {place}.",
        "The {event} is set for {time} on {day} and {place} is where it happens.",
    ),
    test=(
        "Please be in {place} on {day} for the {event}, doors open at {time}.",
        "From {time} on {day}, {place} belongs to the {event}.",
    ),
)
RECIPES = Phrasings(
    train=(
        "This {dish} serves {servings}, takes {minutes} minutes and has {calories} calories.",
        "In {minutes} minutes you get a {dish} of {calories} calories, enough for {servings}.",
        "{calories} calories, {minutes} minutes, {servings} servings: grandma's {dish}.",
        "For {servings} people, cook the {dish} for {minutes} minutes ({calories} calories).",
        "Cook {dish} for {servings} people in {minutes} minutes; count {calories} calories each.",
        "The {dish} is light ({calories} calories), feeds {servings} and is done in {minutes} min.",
        "{dish}: {minutes} minutes, {servings} servings, {calories} calories.",
        "A {dish} for {servings} needs {minutes} minutes and brings {calories} calories.",
    ),
    test=(
        "Give the {dish} {minutes} minutes; {servings} people will eat, {calories} calories.",
        "{servings} guests get {dish}, {calories} calories a plate, {minutes} minutes of work.",
    ),
)
# The sentences above are put into these.
ASKS = Phrasings(
    train=(
        "Extract {keys} from this text as JSON: {text}",
        "{text}\nReturn a JSON object with the keys {keys}. Output JSON only.",
        "Text: {text}\nKeys: {keys}\nAnswer with a JSON object and nothing else.",
        "Read the sentence and fill in {keys} as a JSON object, numbers without quotes: {text}",
        "Turn this into JSON with exactly these keys: {keys}. {text} Reply with the JSON only.",
        "Give me {keys} from the following as a JSON object only. {text}",
        'From "{text}" pull out {keys}. Output one JSON object, no other text.',
        "I need a machine-readable record. Fields: {keys}. Source: {text} Just the JSON, please.",
        "What are {keys} here? Respond in JSON using those names for the properties. {text}",
        "{text} << Parse this and emit only {{...}} in JSON with {keys} inside.",
        "{text} As JSON, with {keys} as its keys. No other text.",
        "Build a JSON object with {keys} out of this note: {text}",
    ),
    test=(
        "Our database needs {keys} for this entry: {text} Print one JSON object.",
        "{text}\n\nWrite down {keys} of the above, as JSON and without comment.",
        "Convert to JSON ({keys}), with no words around it: {text}",
    ),
)


def person(random: Random) -> Facts:
    return {
        "name": f"{random.choice(NAMES)} {random.choice(SURNAMES)}",
        "age": random.randint(18, 90),
        "city": random.choice(CITIES),
        "job": random.choice(JOBS),
    }


def order(random: Random) -> Facts:
    return {
        "name": random.choice(NAMES),
        "quantity": random.randint(2, 60),
        "color": random.choice(COLORS),
        "item": random.choice(GOODS),
        "price": random.randint(2, 300) + random.choice((0.25, 0.49, 0.75, 0.99)),
    }


def meeting(random: Random) -> Facts:
    return {
        "event": random.choice(EVENTS),
        "day": random.choice(DAYS),
        "time": f"{random.randint(8, 21):02}:{random.choice((0, 15, 30, 45)):02}",
        "place": random.choice(ROOMS),
    }


def recipe(random: Random) -> Facts:
    return {
        "dish": random.choice(DISHES),
        "servings": random.randint(2, 12),
        "minutes": random.randint(10, 180),
        "calories": 10 * random.randint(12, 99),
    }


def extraction(facts: Callable[[Random], Facts]) -> Callable[[Random], Question]:
    """Make a drawing function: facts of which two or more are wanted."""

    def draw(random: Random) -> Question:
        known = facts(random)
        keys = random.sample(list(known), random.randint(2, len(known)))
        told = {key: str(value) for key, value in known.items()}
        answer = json.dumps({key: known[key] for key in keys})
        return Question({**told, "keys": ", ".join(keys)}, answer)

    return draw


class JsonExtraction(GeneratedTask):
    """Facts as JSON."""

    name = "json"
    kinds = (
        Kind("person", extraction(person), PEOPLE.inside(ASKS, "{text}")),
        Kind("order", extraction(order), ORDERS.inside(ASKS, "{text}")),
        Kind("meeting", extraction(meeting), MEETINGS.inside(ASKS, "{text}")),
        Kind("recipe", extraction(recipe), RECIPES.inside(ASKS, "{text}")),
    )

    def check(self, example: Example, answer: str) -> bool:
        """Compare the parsed objects: spacing and the order of keys are free, types are not."""
        try:
            return canonical(bare(answer)) == canonical(example.reference)
        except (ValueError, RecursionError):
            return False


def canonical(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)
