"""Phrasings of operations on a list of words."""

from collegium.evals.tasks.base import Phrasings

JOIN = Phrasings(
    train=(
        "Join these words with a {separator} ({sign}) and no spaces: {items}.",
        "Replace the commas of {items} by a {separator} ({sign}), without spaces.",
        "Concatenate {items} using {sign} ({separator}) between the words, without spaces.",
        "Here is a list: {items}. Make one string of it with {sign} ({separator}) as separator.",
        "{items}. Now the same words in one piece with a {separator} ({sign}) between them.",
        "Glue the entries together, a {separator} ({sign}) in each gap, no spaces: {items}.",
        "I need a file name from {items}: join the parts by {sign} ({separator}).",
        "Combine {items} into one string, put {sign} ({separator}) between the words, no spaces.",
        "Write {items} as one word chain with the {separator} ({sign}) in between.",
    ),
    test=(
        "Make one chain, each joint being a {sign} ({separator}), no blanks anywhere: {items}.",
        "The parts {items} belong into one identifier, {sign} ({separator}) between them.",
    ),
)
SPLIT = Phrasings(
    train=(
        "Split {joined} at every {separator} ({sign}).",
        "Which words does {joined} contain, when {sign} ({separator}) separates them?",
        "Here is a string: {joined}. Make a list of its parts, cut at {sign}.",
        "Replace each {separator} ({sign}) of {joined} by a comma and a space.",
        "{joined}. Now the same words as a list, without the {separator} ({sign}).",
        "The {separator} ({sign}) should go: turn {joined} into single words.",
        "I got {joined} from a program; split it into its words, please.",
        "Cut {joined} into words at the {separator} ({sign}).",
        "Break {joined} apart at each {sign} ({separator}).",
    ),
    test=(
        "Take {joined} to pieces wherever a {separator} ({sign}) stands.",
        "One tag per item, please: {joined} uses {sign} ({separator}) as its divider.",
    ),
)
APPEND = Phrasings(
    train=(
        "Append {word} to this list: {items}.",
        "Add {word} at the end of {items}.",
        "Here is a list: {items}. Put {word} behind its last item.",
        "{items}. Now the same list with {word} as its new last item.",
        "Extend the list {items} by {word} at the end.",
        "My shopping list says {items}. Write {word} at the end of it, too.",
        "After all items of {items} there should be one more: append {word}.",
        "Let {word} come last in {items}.",
        "To {items}, add one more item at the end: {word}.",
        "{items}: put {word} after all of these.",
        "{word} should be the last of the list {items}.",
        "Place {word} at the far end of {items}.",
        "First {items}, and after them {word}. Give the whole list.",
        "The list {items} gets longer by {word}, which comes after the others.",
        "Make {word} follow the last of {items}.",
        "Here are some items: {items}. A late one, {word}, goes to the bottom.",
        "With {word} added as the final entry, what is {items}?",
        "Close the list {items} with {word}.",
    ),
    test=(
        "{word} joins the back of this queue: {items}. Who is in the queue now?",
        "Take {items} and tack {word} onto the end.",
    ),
)
PREPEND = Phrasings(
    train=(
        "Prepend {word} to this list: {items}.",
        "Add {word} at the beginning of {items}.",
        "Here is a list: {items}. Put {word} before its first item.",
        "{items}. Now the same list with {word} as its new first item.",
        "Let the list {items} start with {word}, then go on as it is.",
        "{word} is urgent, so place it at the beginning of my tasks: {items}.",
        "Before all items of {items} there should be one more: prepend {word}.",
        "Let {word} come first in {items}.",
        "To {items}, add one more item at the start: {word}.",
        "{items}: put {word} ahead of these.",
        "{word} should be the first of the list {items}.",
        "Place {word} at the head of {items}.",
        "First {word}, and after it {items}. Give the whole list.",
        "The list {items} gets longer by {word}, which comes before the others.",
        "Make {word} precede the first of {items}.",
        "Here are some items: {items}. An urgent one, {word}, goes to the top.",
        "With {word} added as the opening entry, what is {items}?",
        "Open the list {items} with {word}.",
    ),
    test=(
        "{word} goes to the very front of this row: {items}. What is the row now?",
        "Take {items} and stick {word} in front of them all.",
    ),
)
REPLACE = Phrasings(
    train=(
        "Replace {old} by {new} in this list: {items}.",
        "In {items}, change {old} to {new}.",
        "Here is a list: {items}. Put {new} where {old} is.",
        "{items}. Now the same list with {new} instead of {old}.",
        "Swap the item {old} for {new}: {items}.",
        "We ran out of {old}, so use {new} instead in our list: {items}.",
        "The list {items} has one mistake: {old} should be replaced with {new}.",
        "Where {items} says {old}, write {new}.",
        "Use {new} in place of {old}: {items}.",
        "Exchange {old} for {new} in the list {items}.",
        "{old} becomes {new} in {items}.",
        "Rename {old} to {new}: {items}.",
        "The item {old} of {items} is now called {new}.",
        "Put {new} where {old} stands now: {items}.",
        "Trade {old} against {new} in {items}.",
        "Update {items}: {new} takes over from {old}.",
        "Every {old} should be a {new} instead: {items}.",
        "Take {old} out of {items} and fill its gap with {new}.",
    ),
    test=(
        "Substitute {new} for {old} here: {items}.",
        "In my playlist {items} I no longer like {old}; let {new} stand in its place.",
    ),
)
WITHOUT = Phrasings(
    train=(
        "Remove {word} from this list: {items}.",
        "Give the list {items} without {word}.",
        "Delete the item {word} and keep the others in order: {items}.",
        "Here is a list: {items}. Take out {word}.",
        "{items}. Now the same list, but {word} is gone.",
        "I no longer need {word}, so remove it. My shopping list: {items}.",
        "What is left of {items} without the entry {word}?",
        "Strike {word} from {items}.",
        "Leave {word} out of {items}.",
        "From {items}, drop {word}.",
    ),
    test=(
        "{word} has been cancelled. What remains of {items}?",
        "Erase the entry {word}: {items}.",
    ),
)
UNIQUE = Phrasings(
    train=(
        "Remove the duplicates from this list, keeping the first of each: {items}.",
        "Deduplicate, keeping the order: {items}.",
        "List each word once, in order of first appearance: {items}.",
        "Here is a list: {items}. Leave out every word that came before.",
        "{items}. Now the same list without repetitions.",
        "Some entries are duplicates; keep each of them once: {items}.",
        "My list {items} has repetitions. What is it without them?",
        "Keep just the first of equal words: {items}.",
        "Strike every word that occurred before: {items}.",
    ),
    test=(
        "Somebody typed some words more than once: {items}. Write each a single time.",
        "Reduce {items} to its distinct words, in the order in which they first come.",
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
        "Of the words {items}, I want to know the {position} one.",
        "The teams are ranked {items}. Name the {position} team.",
        "Look at {items}. Write down the {position} word.",
        "Name the {position} entry of the list {items}.",
        "Which is the {position} of {items}?",
        "Out of {items}, take the {position}.",
        "Who or what comes {position} in {items}?",
        "Point at the {position} in the series {items}.",
        "Copy the {position} word from here: {items}.",
    ),
    test=(
        "Runners arrived in this order: {items}. Who was the {position}?",
        "Read me the {position} item of my list, which is {items}.",
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
        "For a poster I need these words in uppercase letters: {items}.",
        "Could you put {items} in capital letters for me?",
        "Turn {items} into capitals.",
        "Write {items} with big letters only.",
        "Raise each letter of {items} to a capital.",
        "No lower case, please: {items}.",
        "Put {items} in upper case.",
        "Rewrite {items} with every letter in its capital form.",
    ),
    test=(
        "Shout these words, that is, put them in all caps: {items}.",
        "A sign painter wants {items} in block capitals.",
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
        "I need these words in reverse, so that the last one leads: {items}.",
        "Say the list {items} backwards, please.",
        "Start with the last word and end with the first: {items}.",
        "Flip the order of {items}.",
        "List {items} from back to front.",
        "Last to first: {items}.",
        "Read {items} from right to left.",
        "The last of {items} should be first, the first should be last.",
        "Go backwards: {items}.",
        "Turn the order of these words upside down: {items}.",
        "If {items} is the order down the hill, what is the order up the hill?",
        "Begin with the final word of {items} and finish with its opening word.",
        "Invert the sequence {items}.",
        "Count down instead of up through {items}.",
    ),
    test=(
        "Walk through {items} from its end to its beginning and note each word.",
        "The order of {items} is the wrong way round; mend it.",
    ),
)
SORT = Phrasings(
    train=(
        "Sort these words alphabetically: {items}.",
        "Put this list in alphabetical order: {items}.",
        "Arrange from A to Z: {items}.",
        "Here is a list: {items}. Order it by the first letters.",
        "A dictionary has {items} in alphabetical order; which order is that?",
        "Alphabetise {items}.",
        "In which order would {items} stand in an index?",
    ),
    test=("File these from A to Z: {items}.",),
)
AS_LIST = Phrasings(
    train=(
        "Answer with the comma-separated list only.",
        "Reply with only the resulting list, separated by commas.",
        "Give just the items with commas between them, nothing else.",
        "Output the list alone, with commas.",
        "Your whole reply must be the new list with commas in between.",
        "Nothing but the resulting entries and commas, please.",
        "Write the list with commas, nothing else.",
        "I need only the final list, comma-separated.",
        "Print the items with commas, no other words.",
        "Return the list itself, comma by comma.",
        "Your answer is the items and commas alone.",
    ),
    test=(
        "Show the outcome alone, items divided by commas.",
        "Reply with the items and commas and stop there.",
    ),
)
AS_STRING = Phrasings(
    train=(
        "Answer with the joined string only.",
        "Reply with just the resulting string.",
        "Give only the string, nothing else.",
        "Output the string alone.",
        "Your whole reply must be that one string.",
        "Nothing but the new string, please.",
        "Write the string and nothing more.",
        "I need only the string.",
    ),
    test=(
        "Show that string alone.",
        "Reply with the string and stop there.",
    ),
)
AS_WORD = Phrasings(
    train=(
        "Answer with that word only.",
        "Reply with just the word.",
        "Give only the word, nothing else.",
        "Output the word alone.",
        "Your whole reply must be that one word.",
        "No sentence around it, please.",
        "Write the word and nothing more.",
        "I need only the word.",
    ),
    test=(
        "Show that word alone.",
        "Reply with the one word and stop there.",
    ),
)
