"""
Small sums, differences and products, in digits and in words.

Small, because the base model cannot add: with examples before the question it gets 82 % of sums
of two digits right, 15 % of sums of two-digit numbers and no differences of those.
"""

from collections.abc import Callable
from random import Random

from collegium.experts.specialists.tasks.base import (
    Example,
    GeneratedTask,
    Kind,
    Phrasings,
    Question,
    bare,
)
from collegium.experts.specialists.tasks.numerals import in_words

Pair = tuple[int, int]

ADDITION = Phrasings(
    train=(
        "What is {a} plus {b}?",
        "Add {a} and {b}.",
        "Work out the sum of {a} and {b}.",
        "Mia has {a} stickers and gets {b} more. How many stickers does she have now?",
        "A bus carries {a} people and {b} people get on. How many people are on the bus?",
        "Calculate {a} + {b}.",
        "One box weighs {a} kg, the other {b} kg. What do they weigh together, in kg?",
        "Increase {a} by {b}.",
        "We sold {a} tickets on Monday and {b} on Tuesday. How many in total?",
        "What is {b} more than {a}?",
        "{a} birds sit in a tree and {b} others join them. How many birds is that?",
        "The numbers are {a} and {b}. What is their sum?",
    ),
    test=(
        "If I put {b} with {a}, how much is that altogether?",
        "A farmer picks {a} pears before lunch and {b} after it. Give the day's harvest.",
        "Total these two numbers for me: {a}, {b}.",
        "Which number is {b} greater than {a}?",
    ),
)
SUBTRACTION = Phrasings(
    train=(
        "What is {a} minus {b}?",
        "Subtract {b} from {a}.",
        "Calculate {a} - {b}.",
        "Tom had {a} marbles and lost {b}. How many marbles are left?",
        "Find the difference between {a} and {b}.",
        "A shop had {a} loaves and sold {b} of them. How many loaves remain?",
        "Decrease {a} by {b}.",
        "There are {a} seats and {b} are taken. How many are free?",
        "What do you get when you take {b} away from {a}?",
        "What is {b} less than {a}?",
        "Of {a} eggs {b} are broken. How many are whole?",
        "The road is {a} km long; after {b} km, how many km are still to go?",
    ),
    test=(
        "Out of {a} emails I have answered {b}. How many still wait for a reply?",
        "Which number is {b} smaller than {a}?",
        "My book has {a} pages; I am on page {b}. How far is it to the end, in pages?",
        "Start at {a} and count {b} backwards. Where do you end?",
    ),
)
MULTIPLICATION = Phrasings(
    train=(
        "What is {a} times {b}?",
        "Multiply {a} by {b}.",
        "Calculate {a} * {b}.",
        "There are {a} shelves with {b} books each. How many books are there?",
        "Find the product of {a} and {b}.",
        "A pack holds {b} pencils. How many pencils are in {a} packs?",
        "Work out {a} x {b}.",
        "Each of {a} children gets {b} cookies. How many cookies is that?",
        "The numbers are {a} and {b}. What is their product?",
        "A week of work brings {b} coins. How many coins do {a} weeks bring?",
    ),
    test=(
        "A garden has {a} rows of {b} tulips. Give the number of tulips.",
        "I run {b} laps a day. How many laps do I run in {a} days?",
        "How much is {a} multiplied with {b}?",
        "{a} tables, {b} chairs at every table: how many chairs?",
    ),
)
SPELLING = Phrasings(
    train=(
        "How do you say {digits} in English?",
        "Write {digits} in words.",
        "Spell out the number {digits}.",
        "A cheque is made out for {digits} dollars. Give the amount in words.",
        "{digits}. Now the same number in letters.",
        "My ticket has the number {digits}. How is that pronounced?",
    ),
    test=(
        "Which words stand for {digits}?",
        "Read this house number aloud to me: {digits}.",
    ),
)
READING = Phrasings(
    train=(
        "Write {words} in digits.",
        "Which number is {words}?",
        "Convert {words} to figures.",
        "She counted {words} birds. Write that number in digits.",
        "{words}. Now the same number in figures.",
        "My ticket has the number {words}. How do I write that down?",
    ),
    test=(
        "Someone dictates {words}. What do I type on the number keys?",
        "Put the amount {words} into figures for a table.",
    ),
)
AS_DIGITS = Phrasings(
    train=(
        "Answer with the number only, in digits.",
        "Reply with just the digits.",
        "Give only the number in digits, nothing else.",
        "Output digits only.",
    ),
    test=(
        "Write the result as a bare number, no words.",
        "Nothing but the digits of the result, please.",
        "Your whole reply must be one number in digits.",
    ),
)
AS_WORDS = Phrasings(
    train=(
        "Answer in lowercase English words only, like forty-two.",
        "Spell the number out in lowercase words and write nothing else.",
        "Reply with the number in words only (lowercase, such as ninety-one).",
        "Give just the number, written as lowercase words with hyphens.",
    ),
    test=(
        "Your whole reply must be the result spelt with lowercase letters, e.g. sixty-three.",
        "No digits: write the result out in lowercase letters, nothing around it.",
        "Use lowercase words such as thirty-five for the result, and nothing more.",
    ),
)


def sum_of(random: Random) -> Pair:
    return random.randint(2, 12), random.randint(2, 9)


def difference_of(random: Random) -> Pair:
    first = random.randint(6, 14)
    return first, random.randint(2, 5)


def product_of(random: Random) -> Pair:
    return random.randint(2, 10), random.randint(2, 10)


def spelling(random: Random) -> Question:
    number = random.randint(13, 999)
    return Question({"digits": str(number)}, in_words(number))


def reading(random: Random) -> Question:
    number = random.randint(13, 999)
    return Question({"words": in_words(number)}, str(number))


def question(
    pair: Callable[[Random], Pair],
    result: Callable[[int, int], int],
    *,
    asked: Callable[[int], str] = str,
    answered: Callable[[int], str] = str,
) -> Callable[[Random], Question]:
    """Make a drawing function: how numbers are drawn, joined, asked for and answered."""

    def draw(random: Random) -> Question:
        a, b = pair(random)
        return Question({"a": asked(a), "b": asked(b)}, answered(result(a, b)))

    return draw


def plus(a: int, b: int) -> int:
    return a + b


def minus(a: int, b: int) -> int:
    return a - b


def times(a: int, b: int) -> int:
    return a * b


class Arithmetic(GeneratedTask):
    """Sums, differences and small products, in digits and in words."""

    name = "arithmetic"
    description = "Adds, subtracts and multiplies small numbers, in digits or in words"
    kinds = (
        Kind("sum", question(sum_of, plus), ADDITION, AS_DIGITS, weight=2),
        Kind("difference", question(difference_of, minus), SUBTRACTION, AS_DIGITS, weight=0.7),
        Kind("product", question(product_of, times), MULTIPLICATION, AS_DIGITS, weight=2.5),
        Kind("sum of words", question(sum_of, plus, asked=in_words), ADDITION, AS_DIGITS),
        Kind("sum in words", question(sum_of, plus, answered=in_words), ADDITION, AS_WORDS),
        Kind(
            "product of words",
            question(product_of, times, asked=in_words),
            MULTIPLICATION,
            AS_DIGITS,
        ),
        Kind("spelling", spelling, SPELLING, AS_WORDS, weight=1.5),
        Kind("reading", reading, READING, AS_DIGITS, weight=1.5),
    )

    def check(self, example: Example, answer: str) -> bool:
        return bare(answer) == example.reference
