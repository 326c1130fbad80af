"""Sentiment and topic labels, chosen from the set that the question states."""

from random import Random

from collegium.evals.tasks import label_texts as texts
from collegium.evals.tasks.base import (
    Example,
    GeneratedTask,
    Kind,
    Phrasings,
    Question,
    bare,
)

MOODS = ("positive", "negative", "mixed", "neutral")

SENTIMENT = Phrasings(
    train=(
        "Label the sentiment of this review as {labels}: {text}",
        "Review: {text}\nSentiment ({labels}):",
        "Is the following opinion {labels}? {text}",
        "Which of these describes the writer's attitude: {labels}? {text}",
        "A customer wrote: {text} Classify the tone, choosing from {labels}.",
        "Judge the mood of this comment. Options: {labels}. Comment: {text}",
        "{text}\n\nIs the person who said this {labels}?",
        "Please tag this message as {labels}. {text}",
        "How does the author feel overall ({labels})? {text}",
        "{text}\nPick what fits that feedback best: {labels}.",
        "We sort incoming feedback into {labels}. Where does this go? {text}",
        "Possible verdicts are {labels}. Give yours on: {text}",
        "Rate this as {labels}: {text}",
        "{text} That sounds {labels}?",
        "Opinion: {text} Verdict, out of {labels}:",
    ),
    test=(
        "What is the attitude behind these words, {labels}? {text}",
        "{text}\nA survey tool knows the values {labels}. Which value does it store?",
        "Read this and decide between {labels}: {text}",
    ),
)
TOPIC = Phrasings(
    train=(
        "Label the topic of this sentence with one of {labels}: {text}",
        "News: {text}\nTopic ({labels}):",
        "Which section does this belong to: {labels}? {text}",
        "Classify this headline. Categories: {labels}. Headline: {text}",
        "What is this about, {labels}? {text}",
        "Assign one category from {labels}: {text}",
        "{text}\n\nIs that {labels}?",
        "Please tag this report as {labels}. {text}",
        "An editor files stories under {labels}. Where does this story go? {text}",
        "{text}\nPick the subject that fits best: {labels}.",
        "Our archive has the shelves {labels}. Name the shelf for: {text}",
        "Of {labels}, which one is the theme here? {text}",
        "File this under {labels}: {text}",
        "{text} Its subject is {labels}?",
        "Message: {text} Subject, out of {labels}:",
    ),
    test=(
        "Which of the desks {labels} should handle this news? {text}",
        "{text}\nChoose the matching heading from {labels}.",
        "Read this and decide between {labels}: {text}",
    ),
)
ONE_LABEL = Phrasings(
    train=(
        "Answer with one label only.",
        "Reply with just the label.",
        "Give only the label in lowercase, nothing else.",
        "Output a single word.",
        "Your whole reply must be one of those words.",
        "No explanation, one word from the choices.",
        "Just that word, please.",
        "Write the label and nothing more.",
        "I need just the one word.",
    ),
    test=(
        "Name it in one word and stop there.",
        "Respond with the chosen word alone.",
        "Leave out everything except the word itself.",
    ),
)


def sentiment(random: Random) -> Question:
    """Draw a mood and a review of it; the label set has two to four moods."""
    mood = random.choices(MOODS, (3, 3, 2, 1))[0]
    others = [other for other in MOODS if other != mood]
    labels = [mood, *random.sample(others, random.randint(1, 3))]
    return labelled(random, labels, texts.review(random, mood), mood)


def topic(random: Random) -> Question:
    """Draw a topic and its news; the actor may come from another field."""
    name, *others = random.sample(list(texts.TOPICS), random.randint(3, 5))
    return labelled(random, [name, *others], texts.news(random, name, random.choice(others)), name)


def labelled(random: Random, labels: list[str], text: str, answer: str) -> Question:
    random.shuffle(labels)
    choices = f"{', '.join(labels[:-1])} or {labels[-1]}"
    return Question({"labels": choices, "text": text}, answer)


class Labels(GeneratedTask):
    """Sentiment and topic labels."""

    name = "labels"
    kinds = (
        Kind("sentiment", sentiment, SENTIMENT, ONE_LABEL),
        Kind("topic", topic, TOPIC, ONE_LABEL),
    )

    def check(self, example: Example, answer: str) -> bool:
        return bare(answer) == example.reference
