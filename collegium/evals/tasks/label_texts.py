"""Reviews and news sentences assembled from clauses, for the label task."""

from dataclasses import dataclass
from random import Random

from collegium.evals.tasks.base import phrases, words

ASPECTS = {
    "restaurant": phrases("soup|service|wine list|dessert|waiter|terrace"),
    "hotel": phrases("room|breakfast|front desk|pool|bed|view"),
    "phone": phrases("battery|screen|camera|speaker|design|keyboard"),
    "film": phrases("plot|acting|soundtrack|ending|dialogue|camera work"),
    "course": phrases("teacher|textbook|pace|homework|examples|videos"),
    "car": phrases("engine|steering|interior|brakes|seats|boot"),
}
PRAISE = phrases(
    "excellent|a delight|far better than expected|worth every cent|simply superb|outstanding|"
    "a pleasure|really impressive|lovely|close to perfect|hard to beat|first class"
)
BLAME = phrases(
    "dreadful|a letdown|much worse than advertised|a waste of money|simply awful|disappointing|"
    "a nightmare|really poor|unbearable|close to useless|hard to forgive|third rate"
)
FACTS = (
    "The {thing} was opened in {year}.",
    "I used this {thing} for {days} days in {month}.",
    "The {aspect} is described on page {days} of the brochure.",
    "There is a {thing} like this in the next town, too.",
    "The {aspect} was the same as in {year}.",
    "My brother picked the {thing} and we went there in {month}.",
)
MONTHS = words("January March April June July September October December")
# What counts is the writer's own view in the end, so the words of the other mood appear as well.
VIEWS = (
    "The {aspect} was {good}, and the {other} was {great}.",
    "Friends told me the {aspect} would be {bad}, but it turned out {good}.",
    "I feared that the {other} might be {bad}; in fact it was {good}.",
    "Nobody could call this {thing} {bad}: the {aspect} is {good}.",
    "Forget the critics who find the {aspect} {bad}. For me it is {good}.",
    "Was the {aspect} {bad}? Not at all. It was {good}.",
    "I have to say it: {good}, from the {aspect} to the {other}.",
    "Last year this {thing} was {bad}, yet now everything is {good}.",
)
BALANCED = (
    "The {aspect} was {good}, but the {other} was {bad}.",
    "While the {other} is {bad}, I found the {aspect} {good}.",
    "{aspect}: {good}. {other}: {bad}.",
    "I loved the {aspect}, it is {good}; sadly the {other} is {bad}.",
    "Half of this {thing} is {good}, the other half {bad}.",
)


@dataclass(frozen=True)
class Topic:
    """The actors and events of a field."""

    actors: tuple[str, ...]
    events: tuple[str, ...]


TOPICS = {
    "sports": Topic(
        phrases("the goalkeeper|a young swimmer|the rugby captain|two cyclists|the tennis coach"),
        phrases(
            "won the final after extra time|broke the national record over 400 metres|"
            "missed the penalty|qualified for the Olympic Games|lost in straight sets|"
            "climbed to second place in the league|will miss the season with a torn muscle"
        ),
    ),
    "politics": Topic(
        phrases("the minister|a senator|the mayor|the opposition leader|two members of parliament"),
        phrases(
            "called for early elections|voted against the bill|signed the peace treaty|"
            "formed a coalition with the liberals|presented a new immigration law|"
            "lost the confidence vote|resigned from the cabinet over the vote"
        ),
    ),
    "business": Topic(
        phrases("the bank|a carmaker|the chief executive|two investors|the supermarket chain"),
        phrases(
            "reported record profits for the quarter|bought a rival for two billion|"
            "filed for bankruptcy|raised prices as demand fell|Listed shares on the stock exchange|"
            "cut the dividend|signed a large export contract"
        ),
    ),
    "science": Topic(
        phrases("a physicist|the research team|an astronomer|two biologists|the laboratory"),
        phrases(
            "discovered a new moon of Saturn|decoded the genome of a fern|"
            "measured gravitational waves|found a fossil of an unknown species|"
            "built a more precise atomic clock|published evidence for water on Mars|"
            "proved a theory about black holes"
        ),
    ),
    "health": Topic(
        phrases("the surgeon|a nurse|the hospital|two patients|the family doctor"),
        phrases(
            "warned of a flu outbreak|tested a vaccine against malaria|"
            "recovered from a kidney transplant|recommended less salt against high blood pressure|"
            "treated the infection with antibiotics|opened a ward for heart disease|"
            "advised more sleep to lower the risk of diabetes"
        ),
    ),
    "weather": Topic(
        phrases("the coast|the forecaster|the whole valley|two northern counties|the capital"),
        phrases(
            "prepared for heavy snow|suffered a hailstorm|faced a week of drought|"
            "saw the hottest day since 1976|woke up to thick fog|waited for a hurricane|"
            "got a month of rain in one afternoon"
        ),
    ),
    "culture": Topic(
        phrases("the violinist|a novelist|the museum|two painters|the opera house"),
        phrases(
            "received a prize for a first novel|showed unknown watercolours in a new exhibition|"
            "gave a concert with works by Bach|staged a modern version of Hamlet|"
            "finished a sculpture in marble|released an album of folk songs|"
            "restored a fresco from the Renaissance"
        ),
    ),
}
SURROUNDINGS = phrases(
    "On Tuesday {text}.|{text}, sources say.|{text}, to everybody's surprise.|"
    "After months of waiting, {text}.|It is official: {text}.|{text} last weekend.|"
    "Local papers write that {text}.|{text}, for the first time in ten years."
)


def review(random: Random, mood: str) -> str:
    """Write a review of a mood."""
    thing = random.choice(list(ASPECTS))
    aspect, other = random.sample(ASPECTS[thing], 2)
    praise, blame = random.sample(PRAISE, 2), random.sample(BLAME, 2)
    good, bad = (blame, praise) if mood == "negative" else (praise, blame)
    shape = random.choice({"mixed": BALANCED, "neutral": FACTS}.get(mood, VIEWS))
    text = shape.format(
        thing=thing,
        aspect=aspect,
        other=other,
        good=good[0],
        great=good[1],
        bad=bad[0],
        year=random.randint(1950, 2020),
        days=random.randint(2, 30),
        month=random.choice(MONTHS),
    )
    return text[0].upper() + text[1:]


def news(random: Random, topic: str, stranger: str) -> str:
    """Write what happened in a field; half of the time the actor comes from another one."""
    actors = TOPICS[random.choice((topic, stranger))].actors
    clause = f"{random.choice(actors)} {random.choice(TOPICS[topic].events)}"
    text = random.choice(SURROUNDINGS).format(text=clause)
    return text[0].upper() + text[1:]
