"""Lists of words: add, remove, replace, pick, join, split, reorder."""

from collections.abc import Callable
from random import Random

from collegium.evals.tasks import list_phrasings as asking
from collegium.evals.tasks.base import (
    Example,
    GeneratedTask,
    Kind,
    Question,
    bare,
    words,
)

WORDS = words(
    "apple anchor bottle bread candle carpet dolphin dragon eagle engine falcon forest garden "
    "guitar hammer honey island ivory jacket jungle kettle kitten ladder lemon magnet mirror "
    "needle nectar ocean orange pepper pillow quartz queen rabbit river saddle silver table "
    "tiger umbrella uncle valley violin walnut window yellow yogurt zebra zipper bridge cloud "
    "desk feather glove harbor insect jewel knife lantern market notebook olive pencil ribbon "
    "shadow temple velvet whistle"
)
POSITIONS = {"first": 0, "second": 1, "last": -1}
SEPARATORS = {"dash": "-", "slash": "/", "plus sign": "+", "colon": ":", "underscore": "_"}


def some_words(random: Random, fewest: int = 3, most: int = 6) -> list[str]:
    return random.sample(WORDS, random.randint(fewest, most))


def Listed(items: list[str]) -> str:
    return ", ".join(items)


def changed(
    change: Callable[[list[str]], list[str]], most: int = 5
) -> Callable[[Random], Question]:
    """Make a drawing function for questions that need nothing but a list."""

    def draw(random: Random) -> Question:
        items = some_words(random, most=most)
        return Question({"items": Listed(items)}, Listed(change(items)))

    return draw


def repeated(random: Random) -> Question:
    items = some_words(random, most=4)
    items += random.choices(items, k=random.randint(1, 2))
    random.shuffle(items)
    return Question({"items": Listed(items)}, Listed(list(dict.fromkeys(items))))


def without(random: Random) -> Question:
    items = some_words(random)
    word = random.choice(items)
    rest = [item for item in items if item != word]
    return Question({"items": Listed(items), "word": word}, Listed(rest))


def appended(random: Random) -> Question:
    word, *items = some_words(random, fewest=4)
    return Question({"items": Listed(items), "word": word}, Listed([*items, word]))


def prepended(random: Random) -> Question:
    word, *items = some_words(random, fewest=4)
    return Question({"items": Listed(items), "word": word}, Listed([word, *items]))


def replaced(random: Random) -> Question:
    new, *items = some_words(random, fewest=4)
    old = random.choice(items)
    result = [new if item == old else item for item in items]
    return Question({"items": Listed(items), "old": old, "new": new}, Listed(result))


def pick(random: Random) -> Question:
    items, position = some_words(random), random.choice(list(POSITIONS))
    return Question({"items": Listed(items), "position": position}, items[POSITIONS[position]])


def join(random: Random) -> Question:
    items = some_words(random, most=5)
    separator, sign = random.choice(list(SEPARATORS.items()))
    fields = {"items": Listed(items), "separator": separator, "sign": sign}
    return Question(fields, sign.join(items))


def split(random: Random) -> Question:
    items = some_words(random, most=5)
    separator, sign = random.choice(list(SEPARATORS.items()))
    fields = {"joined": sign.join(items), "separator": separator, "sign": sign}
    return Question(fields, Listed(items))


def backwards(items: list[str]) -> list[str]:
    return items[::-1]


def in_capitals(items: list[str]) -> list[str]:
    return [item.upper() for item in items]


class Lists(GeneratedTask):
    """
    Lists of words.

    Mostly what is done by copying: after 1200 examples the base model still sorted, reversed and
    counted hardly any list, so those are rare and short here or left out.
    """

    name = "lists"
    kinds = (
        Kind("join", join, asking.JOIN, asking.AS_STRING, weight=1.2),
        Kind("split", split, asking.SPLIT, asking.AS_LIST),
        Kind("append", appended, asking.APPEND, asking.AS_LIST),
        Kind("prepend", prepended, asking.PREPEND, asking.AS_LIST),
        Kind("replace", replaced, asking.REPLACE, asking.AS_LIST),
        Kind("without", without, asking.WITHOUT, asking.AS_LIST),
        Kind("unique", repeated, asking.UNIQUE, asking.AS_LIST, weight=0.8),
        Kind("pick", pick, asking.PICK, asking.AS_WORD, weight=1.4),
        Kind("uppercase", changed(in_capitals, most=4), asking.UPPERCASE, asking.AS_LIST),
        Kind("reverse", changed(backwards, most=3), asking.REVERSE, asking.AS_LIST),
        Kind("sort", changed(sorted, most=3), asking.SORT, asking.AS_LIST, weight=0.3),
    )

    def check(self, example: Example, answer: str) -> bool:
        """Compare item by item, so that the spaces beside commas do not matter."""
        given, wanted = bare(answer), example.reference
        return [part.strip() for part in given.split(",")] == wanted.split(", ")
