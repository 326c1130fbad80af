"""Lists and strings: put in order, pick, filter, join, change case."""

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
POSITIONS = ("first", "second", "third", "fourth", "last")
SEPARATORS = {"dash": "-", "slash": "/", "plus sign": "+", "colon": ":", "underscore": "_"}

REVERSE = Phrasings(
    train=(
        "Reverse this list: {items}.",
        "Write these words in the opposite order: {items}.",
        "Give the list {items} backwards, last item first.",
        "Here is a list: {items}. Turn it around.",
        "{items}. Now the same words in reverse order.",
        "What is {items} when read from the last word to the first?",
    ),
    test=(
        "Flip the order of these entries so that the final one leads: {items}.",
        "My stack holds {items}, bottom to top. Name its entries from top to bottom.",
        "{items} - list them from the end to the beginning.",
    ),
)
SORT = Phrasings(
    train=(
        "Sort these words alphabetically: {items}.",
        "Put this list in alphabetical order: {items}.",
        "Arrange from A to Z: {items}.",
        "Here is a list: {items}. Order it by the first letters.",
        "{items}. Now the same words in the order of the alphabet.",
        "What does {items} look like when sorted by name?",
    ),
    test=(
        "How would a dictionary order these entries? {items}.",
        "File these folders by their labels, a before z: {items}.",
        "{items} - please sort them lexicographically.",
    ),
)
ASCENDING = Phrasings(
    train=(
        "Sort these numbers from smallest to largest: {items}.",
        "Put {items} in ascending order.",
        "Order the numbers {items}, lowest first.",
        "Here are some numbers: {items}. Start with the least and go up.",
        "{items}. Now the same numbers sorted.",
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
        "Here is a list: {items}. Capitalize every letter.",
        "{items}. Now the same words in capitals.",
    ),
    test=(
        "Shout this list (capitals all the way): {items}.",
        "{items} - the same list in block letters, please.",
    ),
)
UNIQUE = Phrasings(
    train=(
        "Remove the duplicates from this list, keeping the first of each: {items}.",
        "Deduplicate, keeping the order: {items}.",
        "List each word once, in order of first appearance: {items}.",
        "Here is a list: {items}. Leave out every word that came before.",
        "{items}. Now the same list without repetitions.",
    ),
    test=(
        "Some entries occur more than once here; drop the extra copies: {items}.",
        "{items} - which distinct entries are there, in their original order?",
    ),
)
WITHOUT = Phrasings(
    train=(
        "Remove {word} from this list: {items}.",
        "Give the list {items} without {word}.",
        "Delete the item {word} and keep the others in order: {items}.",
        "Here is a list: {items}. Take out {word}.",
        "{items}. Now the same list, but {word} is gone.",
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
        "Here is a list: {items}. Which word is {position}?",
        "{items}. Repeat only the {position} of these words.",
        "In a queue stand {items}, in this order. Who is the {position}?",
    ),
    test=(
        "Runners finished in this order: {items}. Who came {position}?",
        "{items} - which entry stands at the {position} place?",
    ),
)
JOIN = Phrasings(
    train=(
        "Join these words with a {separator} ({sign}) and no spaces: {items}.",
        "Replace the commas of {items} by a {separator} ({sign}), without spaces.",
        "Concatenate {items} using {sign} ({separator}) between the words, without spaces.",
        "Here is a list: {items}. Make one string of it with {sign} ({separator}) as separator.",
        "{items}. Now the same words in one piece with a {separator} ({sign}) between them.",
    ),
    test=(
        "Glue the entries together, a {separator} ({sign}) in each gap, no blanks: {items}.",
        "I need a file name from {items}: link the parts by {sign} ({separator}), no blanks.",
    ),
)
INITIALS = Phrasings(
    train=(
        "Write the first letter of each word as one string: {items}.",
        "Combine the initials of these words, without spaces: {items}.",
        "Which string do the first letters of {items} make?",
        "Here is a list: {items}. Put the first letters together.",
        "{items}. Now only the initial letters, in one piece.",
    ),
    test=(
        "Make an acronym, in small letters, of: {items}.",
        "{items} - string just the leading letters together into a single word.",
    ),
)
AS_LIST = Phrasings(
    train=(
        "Answer with the comma-separated list only.",
        "Reply with only the resulting list, separated by commas.",
        "Give just the items with commas between them, nothing else.",
        "Output the list alone, with commas.",
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
        "Output the result alone.",
    ),
    test=(
        "Your whole reply must be what I asked for.",
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
    items = some_words(random, fewest=4)
    position = random.choice(POSITIONS)
    index = -1 if position == "last" else POSITIONS.index(position)
    return Question({"items": listed(items), "position": position}, items[index])


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
    description = "Sorts, reverses, filters, picks, joins and changes the case of list items"
    kinds = (
        Kind("reverse", changed(lambda items: items[::-1], most=5), REVERSE, AS_LIST, weight=2),
        Kind("sort", changed(sorted, most=5), SORT, AS_LIST, weight=2),
        Kind("ascending", numbers, ASCENDING, AS_LIST),
        Kind("uppercase", changed(lambda i: [w.upper() for w in i], most=5), UPPERCASE, AS_LIST),
        Kind("unique", repeated, UNIQUE, AS_LIST),
        Kind("without", without, WITHOUT, AS_LIST),
        Kind("pick", pick, PICK, AS_ITEM),
        Kind("join", join, JOIN, AS_ITEM),
        Kind("initials", initials, INITIALS, AS_ITEM),
    )

    def check(self, example: Example, answer: str) -> bool:
        """Compare item by item, so that the spaces beside commas do not matter."""
        given, wanted = bare(answer), example.reference
        return [part.strip() for part in given.split(",")] == wanted.split(", ")
