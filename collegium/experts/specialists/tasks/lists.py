"""Lists and strings: put in order, pick, count, join, change case."""

from collections.abc import Callable
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

WORDS = words(
    "apple anchor bottle bread candle carpet dolphin dragon eagle engine falcon forest garden "
    "guitar hammer honey island ivory jacket jungle kettle kitten ladder lemon magnet mirror "
    "needle nectar ocean orange pepper pillow quartz queen rabbit river saddle silver table "
    "tiger umbrella uncle valley violin walnut window yellow yogurt zebra zipper bridge cloud "
    "desk feather glove harbor insect jewel knife lantern market notebook olive pencil ribbon "
    "shadow temple velvet whistle"
)
POSITIONS = ("first", "second", "third", "fourth", "fifth")
SEPARATORS = {"dash": "-", "slash": "/", "plus sign": "+", "colon": ":", "underscore": "_"}

REVERSE = Phrasings(
    train=(
        "Reverse this list: {items}.",
        "Write these words in the opposite order: {items}.",
        "Give the list {items} backwards, last item first.",
    ),
    test=(
        "Flip the order of these entries so that the final one leads: {items}.",
        "{items} - list them from the end to the beginning.",
    ),
)
SORT = Phrasings(
    train=(
        "Sort these words alphabetically: {items}.",
        "Put this list in alphabetical order: {items}.",
        "Arrange from A to Z: {items}.",
    ),
    test=(
        "How would a dictionary order these entries? {items}.",
        "{items} - please sort them by the alphabet.",
    ),
)
ASCENDING = Phrasings(
    train=(
        "Sort these numbers from smallest to largest: {items}.",
        "Put {items} in ascending order.",
        "Order the numbers {items}, lowest first.",
    ),
    test=(
        "Arrange these values so that they grow: {items}.",
        "My scores were {items}. List them from the worst (lowest) to the best.",
    ),
)
UPPERCASE = Phrasings(
    train=(
        "Write every word of this list in capital letters: {items}.",
        "Convert to uppercase: {items}.",
        "Make all letters of these words uppercase: {items}.",
    ),
    test=(
        "Shout this list (capitals all the way): {items}.",
        "{items} - the same list in block capitals, please.",
    ),
)
UNIQUE = Phrasings(
    train=(
        "Remove the duplicates from this list, keeping the first of each: {items}.",
        "Deduplicate, keeping the order: {items}.",
        "List each word once, in order of first appearance: {items}.",
    ),
    test=(
        "Some entries are repeated here; drop the repeats without reordering: {items}.",
        "{items} - which distinct entries occur, in their original order?",
    ),
)
WITHOUT = Phrasings(
    train=(
        "Remove {word} from this list: {items}.",
        "Give the list {items} without {word}.",
        "Delete the item {word} and keep the others in order: {items}.",
    ),
    test=(
        "I no longer need {word}. What is left of my shopping list? {items}.",
        "Cross out {word}: {items}.",
    ),
)
PICK = Phrasings(
    train=(
        "What is the {position} word in this list? {items}.",
        "Give the {position} item of: {items}.",
        "From the list {items} pick the {position} element.",
    ),
    test=(
        "Runners finished in this order: {items}. Who came {position}?",
        "{items} - which entry stands at the {position} place?",
    ),
)
LAST = Phrasings(
    train=(
        "What is the last word in this list? {items}.",
        "Give the final item of: {items}.",
    ),
    test=(
        "Which entry closes this list? {items}.",
        "{items} - name the one at the very end.",
    ),
)
COUNT = Phrasings(
    train=(
        "How many items are in this list? {items}.",
        "Count the words: {items}.",
        "Give the length of the list {items} as a number.",
    ),
    test=(
        "I packed {items}. What is the number of things I packed?",
        "Tell me the size of this list in digits: {items}.",
    ),
)
JOIN = Phrasings(
    train=(
        "Join these words with a {separator} ({sign}) and no spaces: {items}.",
        "Replace the commas of {items} by a {separator} ({sign}), without spaces.",
        "Concatenate {items} using {sign} ({separator}) between the words, without spaces.",
    ),
    test=(
        "Glue the entries together, a {separator} ({sign}) in each gap, no blanks: {items}.",
        "{items} - as one string, where {sign} ({separator}) separates the words, no blanks.",
    ),
)
INITIALS = Phrasings(
    train=(
        "Write the first letter of each word as one string: {items}.",
        "Combine the initials of these words, without spaces: {items}.",
        "Which string do the first letters of {items} make?",
    ),
    test=(
        "Make an acronym, in small letters, of: {items}.",
        "{items} - put just the leading letters together into a single word.",
    ),
)
AS_LIST = Phrasings(
    train=(
        "Answer with the comma-separated list only.",
        "Reply with only the resulting list, separated by commas.",
        "Give just the items with commas between them, nothing else.",
    ),
    test=(
        "Your whole reply must be the new list with commas in between.",
        "Nothing but the resulting entries and commas, please.",
    ),
)
AS_ITEM = Phrasings(
    train=(
        "Answer with that only.",
        "Reply with just the result.",
        "Give only the result, nothing else.",
    ),
    test=(
        "Your whole reply must be the result itself.",
        "No sentence around it, please.",
    ),
)


def some_words(random: Random, fewest: int = 3, most: int = 6) -> list[str]:
    return random.sample(WORDS, random.randint(fewest, most))


def listed(items: list[str]) -> str:
    return ", ".join(items)


def changed(
    change: Callable[[list[str]], list[str]], most: int = 6
) -> Callable[[Random], Question]:
    """Make a drawing function for questions whose answer is a list."""

    def draw(random: Random) -> Question:
        items = some_words(random, most=most)
        return Question({"items": listed(items)}, listed(change(items)))

    return draw


def numbers(random: Random) -> Question:
    items = random.sample(range(2, 100), random.randint(3, 5))
    return Question(
        {"items": listed([str(n) for n in items])}, listed([str(n) for n in sorted(items)])
    )


def repeated(random: Random) -> Question:
    items = some_words(random, most=4)
    items += random.choices(items, k=random.randint(1, 2))
    random.shuffle(items)
    return Question({"items": listed(items)}, listed(list(dict.fromkeys(items))))


def without(random: Random) -> Question:
    items = some_words(random)
    word = random.choice(items)
    rest = [item for item in items if item != word]
    return Question({"items": listed(items), "word": word}, listed(rest))


def pick(random: Random) -> Question:
    items = some_words(random)
    index = random.randrange(min(len(items), len(POSITIONS)))
    return Question({"items": listed(items), "position": POSITIONS[index]}, items[index])


def last(random: Random) -> Question:
    items = some_words(random)
    return Question({"items": listed(items)}, items[-1])


def count(random: Random) -> Question:
    items = some_words(random, fewest=2, most=8)
    return Question({"items": listed(items)}, str(len(items)))


def join(random: Random) -> Question:
    items = some_words(random, most=5)
    separator, sign = random.choice(list(SEPARATORS.items()))
    return Question(
        {"items": listed(items), "separator": separator, "sign": sign}, sign.join(items)
    )


def initials(random: Random) -> Question:
    items = some_words(random, most=5)
    return Question({"items": listed(items)}, "".join(item[0] for item in items))


class Lists(GeneratedTask):
    """Lists and strings."""

    name = "lists"
    description = "Sorts, reverses, picks, counts, joins and changes the case of list items"
    kinds = (
        Kind("reverse", changed(lambda items: items[::-1]), REVERSE, AS_LIST, weight=2),
        Kind("sort", changed(sorted, most=5), SORT, AS_LIST, weight=2),
        Kind("ascending", numbers, ASCENDING, AS_LIST),
        Kind("uppercase", changed(lambda i: [w.upper() for w in i], most=5), UPPERCASE, AS_LIST),
        Kind("unique", repeated, UNIQUE, AS_LIST),
        Kind("without", without, WITHOUT, AS_LIST),
        Kind("pick", pick, PICK, AS_ITEM),
        Kind("last", last, LAST, AS_ITEM, weight=0.5),
        Kind("count", count, COUNT, AS_ITEM, weight=0.7),
        Kind("join", join, JOIN, AS_ITEM),
        Kind("initials", initials, INITIALS, AS_ITEM),
    )

    def check(self, example: Example, answer: str) -> bool:
        """Compare item by item, so that the spaces beside commas do not matter."""
        given, wanted = bare(answer), example.reference
        return [part.strip() for part in given.split(",")] == wanted.split(", ")
