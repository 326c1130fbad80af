"""How people ask for something to be done with a list of words."""

from collegium.experts.specialists.tasks.base import Phrasings

JOIN = Phrasings(
    train=(
        "Join these words with a {separator} ({sign}) and no spaces: {items}.",
        "Replace the commas of {items} by a {separator} ({sign}), without spaces.",
        "Concatenate {items} using {sign} ({separator}) between the words, without spaces.",
        "Here is a list: {items}. Make one string of it with {sign} ({separator}) as separator.",
        "{items}. Now the same words in one piece with a {separator} ({sign}) between them.",
    ),
    test=(
        "Glue the entries together, a {separator} ({sign}) in each gap, no spaces: {items}.",
        "I need a file name from {items}: join the parts by {sign} ({separator}).",
    ),
)
SPLIT = Phrasings(
    train=(
        "Split {joined} at every {separator} ({sign}).",
        "Which words does {joined} contain, when {sign} ({separator}) separates them?",
        "Here is a string: {joined}. Make a list of its parts, cut at {sign}.",
        "Replace each {separator} ({sign}) of {joined} by a comma and a space.",
        "{joined}. Now the same words as a list, without the {separator} ({sign}).",
    ),
    test=(
        "The {separator} ({sign}) should go: turn {joined} into single words.",
        "I got {joined} from a program; split it into its words, please.",
    ),
)
APPEND = Phrasings(
    train=(
        "Append {word} to this list: {items}.",
        "Add {word} at the end of {items}.",
        "Here is a list: {items}. Put {word} behind its last item.",
        "{items}. Now the same list with {word} as its new last item.",
        "Extend the list {items} by {word} at the end.",
    ),
    test=(
        "My shopping list says {items}. Write {word} at the end of it, too.",
        "After all items of {items} there should be one more: append {word}.",
    ),
)
PREPEND = Phrasings(
    train=(
        "Prepend {word} to this list: {items}.",
        "Add {word} at the beginning of {items}.",
        "Here is a list: {items}. Put {word} before its first item.",
        "{items}. Now the same list with {word} as its new first item.",
        "Let the list {items} start with {word}, then go on as it is.",
    ),
    test=(
        "{word} is urgent, so place it at the beginning of my tasks: {items}.",
        "Before all items of {items} there should be one more: prepend {word}.",
    ),
)
REPLACE = Phrasings(
    train=(
        "Replace {old} by {new} in this list: {items}.",
        "In {items}, change {old} to {new}.",
        "Here is a list: {items}. Put {new} where {old} is.",
        "{items}. Now the same list with {new} instead of {old}.",
        "Swap the item {old} for {new}: {items}.",
    ),
    test=(
        "We ran out of {old}, so use {new} instead in our list: {items}.",
        "The list {items} has one mistake: {old} should be replaced with {new}.",
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
        "I no longer need {word}, so remove it. My shopping list: {items}.",
        "What is left of {items} without the entry {word}?",
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
        "Some entries are duplicates; keep each of them once: {items}.",
        "My list {items} has repetitions. What is it without them?",
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
        "I read {items}. Tell me the {position} one.",
    ),
    test=(
        "Of the words {items}, I want to know the {position} one.",
        "The teams are ranked {items}. Name the {position} team.",
    ),
)
UPPERCASE = Phrasings(
    train=(
        "Write every word of this list in capital letters: {items}.",
        "Convert to uppercase: {items}.",
        "Make all letters of these words uppercase: {items}.",
        "Here is a list: {items}. Capitalize every letter.",
        "{items}. Now the same words in capitals.",
        "The list {items} should be in upper case.",
    ),
    test=(
        "For a poster I need these words in uppercase letters: {items}.",
        "Could you put {items} in capital letters for me?",
    ),
)
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
        "I need these words in reverse, so that the last one leads: {items}.",
        "Say the list {items} backwards, please.",
    ),
)
SORT = Phrasings(
    train=(
        "Sort these words alphabetically: {items}.",
        "Put this list in alphabetical order: {items}.",
        "Arrange from A to Z: {items}.",
        "Here is a list: {items}. Order it by the first letters.",
    ),
    test=("A dictionary has {items} in alphabetical order; which order is that?",),
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
AS_STRING = Phrasings(
    train=(
        "Answer with the joined string only.",
        "Reply with just the resulting string.",
        "Give only the string, nothing else.",
        "Output the string alone.",
    ),
    test=(
        "Your whole reply must be that one string.",
        "Nothing but the new string, please.",
    ),
)
AS_WORD = Phrasings(
    train=(
        "Answer with that word only.",
        "Reply with just the word.",
        "Give only the word, nothing else.",
        "Output the word alone.",
    ),
    test=(
        "Your whole reply must be that one word.",
        "No sentence around it, please.",
    ),
)
