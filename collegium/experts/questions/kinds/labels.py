"""Classification of messages: by sentiment, by topic, by given rules."""

from __future__ import annotations

from random import Random

from collegium.experts.questions.base import Draft, choice, short
from collegium.experts.questions.kinds.names import GOODS, PEOPLE

MOODS = {
    "positive": (
        "I love these {goods}, they are even prettier than in the picture.",
        "Best {goods} I ever had! Thank you, {name}.",
        "The {goods} came early and work perfectly. Very happy.",
        "My family is delighted with the {goods}.",
    ),
    "negative": (
        "The {goods} broke on the first day. What a waste of money.",
        "I am very disappointed with these {goods}.",
        "Awful quality; {name} will never buy {goods} here again.",
        "These {goods} smell terrible and look cheap.",
    ),
}
INTENTS = {
    "delivery": (
        "My {goods} were due on Monday and the tracking page has not moved since.",
        "Could the parcel be left with my neighbour {name}?",
        "Nothing has arrived yet, and the carrier says they never got it.",
    ),
    "refund": (
        "I sent the {goods} back two weeks ago; when do I see the money on my account?",
        "You charged me twice for one order, please put that right.",
        "{name} cancelled in time, so the amount has to be paid back.",
    ),
    "account": (
        "The page keeps saying my password is wrong, and no mail comes to reset it.",
        "Please change the address in my profile: I have married and am now called {name}.",
        "I can't sign in since I have a new phone.",
    ),
    "product question": (
        "Are the {goods} safe for small children?",
        "What are the {goods} made of, and can they be washed?",
        "Do the {goods} come in green as well?",
    ),
    "complaint about staff": (
        "Your man on the phone hung up on me in the middle of a sentence.",
        "{name} at the counter was rude and rolled her eyes at my questions.",
        "I have never been spoken to in such a way as by your driver.",
    ),
}
PLANS = ("free", "basic", "premium")


def draw(random: Random, level: int) -> Draft:
    """Level 1 is a clear mood, level 2 one of five subjects, level 3 rules with exceptions."""
    return (_mood, _intent, _rules)[level - 1](random)


def _filled(random: Random, text: str) -> str:
    return text.format(goods=random.choice(GOODS), name=random.choice(PEOPLE))


def _mood(random: Random) -> Draft:
    label = random.choice(list(MOODS))
    text = _filled(random, random.choice(MOODS[label]))
    asked = f'Is this review positive or negative?\n\n"{text}"\n\nReply with one word.'
    return short(asked, label, rivals=list(MOODS))


def _intent(random: Random) -> Draft:
    label = random.choice(list(INTENTS))
    text = _filled(random, random.choice(INTENTS[label]))
    return choice(
        random, f'What is this message to a shop about?\n\n"{text}"', label, list(INTENTS)
    )


def _rules(random: Random) -> Draft:
    plan, name = random.choice(PLANS), random.choice(PEOPLE)
    days, down, users = random.randint(0, 9), random.random() < 0.5, random.randint(1, 60)
    state = "nothing works at all" if down else "it works, only the export button is grey"
    rules = (
        "Rules for tickets, of which the first that fits counts:\n"
        "1. From the free plan: low, unless it has waited for more than 7 days: then normal.\n"
        "2. Nothing works and more than 20 users are affected, or the plan is premium and nothing "
        "works: urgent.\n"
        "3. Nothing works, or it has waited for more than 4 days: high.\n"
        "4. All others: normal."
    )
    ticket = (
        f'{name} writes: "We are {users} colleagues on the {plan} plan, and {state}. I wrote about '
        f'it {days} days ago already and nobody has replied."'
    )
    label = priority(plan, days, users, down=down)
    asked = f"{rules}\n\n{ticket}\n\nWhich priority has this ticket?"
    return choice(random, asked, label, ["low", "normal", "high", "urgent"])


def priority(plan: str, days: int, users: int, *, down: bool) -> str:
    """Return the priority that the rules assign."""
    if plan == "free":
        return "normal" if days > 7 else "low"
    if down and (users > 20 or plan == "premium"):
        return "urgent"
    return "high" if down or days > 4 else "normal"
