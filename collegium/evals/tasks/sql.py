"""Questions about one or two tables, answered by an SQLite query that is executed for marking."""

from collections import Counter
from collections.abc import Callable
from random import Random

from collegium.evals.tasks.base import (
    Example,
    GeneratedTask,
    Kind,
    Phrasings,
    Question,
    bare,
)
from collegium.evals.tasks.schemas import (
    CHILDREN,
    PARENTS,
    TABLES,
    Table,
    grid,
    image,
)
from collegium.experts.marking.sandbox import BadQuery, Rows, run_query

DATABASES = (1, 2)  # a wrong query may be right by accident on one, hardly on both
COMPARISONS = {"above": ">", "below": "<", "at least": ">=", "at most": "<="}
EXTREMES = {"highest": "DESC", "lowest": "ASC"}
FUNCTIONS = {"average": "AVG", "total": "SUM", "largest": "MAX", "smallest": "MIN"}

ONE_TABLE = Phrasings(
    train=(
        "Table: {schema}\n{ask} Write one SQLite query, nothing else.",
        "Given the table {schema}, write a SQL query. {ask} Reply with the query only.",
        "{ask} The table is {schema}. Answer with just the SQL query.",
        "Schema: {schema}\nQuestion: {ask}\nOutput only SQL.",
        "I work with the table {schema}. {ask} Give me the query alone.",
        "{ask}\n\n{schema}\n\nReply in SQL, without any other text.",
        "My SQLite file holds {schema}. {ask} Your whole reply must be the SQL statement.",
        "{ask}\nUse SQL on {schema}; no explanation, simply the statement.",
        "Translate into a SELECT statement for {schema}, without any comment: {ask}",
        "Database table {schema}. {ask} SQL only, please.",
        "{ask} Write it as SQL for {schema} and write nothing else.",
    ),
    test=(
        "How do I ask SQLite this? {ask} My table is {schema}. Reply with the SQL and stop there.",
        "{schema} is what I have. {ask} Respond with one SELECT and no words around it.",
        "{ask}\nColumns: {schema}.\nJust the query that I can paste.",
    ),
)
TWO_TABLES = Phrasings(
    train=(
        "Tables: {schema}\n{ask} Write one SQLite query, nothing else.",
        "Given the tables {schema}, write a SQL query. {ask} Reply with the query only.",
        "{ask} The tables are {schema}. Answer with just the SQL query.",
        "Schema: {schema}\nQuestion: {ask}\nOutput only SQL.",
        "I work with the tables {schema}. {ask} Give me the query alone.",
        "{ask}\n\n{schema}\n\nReply in SQL, without any other text.",
        "Database tables {schema}. {ask} SQL only, please.",
        "{ask} Write it as SQL for {schema} and write nothing else.",
    ),
    test=ONE_TABLE.test,
)
# What is asked, by kind; the frames above are put around it.
LABELLED = Phrasings(
    train=(
        "Which {titles} have the {label} {value}?",
        "List the {title} of all {table} whose {label} is {value}.",
        "Find each {title} in {table} where {label} equals {value}.",
        "Get the {title} for every row of {table} with {value} in {label}.",
        "Show me how those {table} are called ({title}) that have {value} as their {label}.",
        "Show the {title} of {table} with {value} as {label}.",
        "{titles} where the {label} is {value}: which are they?",
    ),
    test=(
        "Name by {title} all {table} that carry the {label} {value}.",
        "Among the {titles}, pick out those with {value} under {label}.",
    ),
)
COMPARED = Phrasings(
    train=(
        "Which {titles} have {number} {how} {limit}?",
        "List the {title} of {table} with {number} {how} {limit}.",
        "Find each {title} in {table} where {number} is {how} {limit}.",
        "I look for {table} of {number} {how} {limit}: give me the {title} of each.",
        "I need only those {table} that have {number} {how} {limit}; show their {title}.",
        "Show the {title} of {table} whose {number} is {how} {limit}.",
        "{titles} where {number} is {how} {limit}: which are they?",
    ),
    test=(
        "Name by {title} all {table} with a {number} {how} {limit}.",
        "Among the {titles}, pick out those whose {number} is {how} {limit}.",
    ),
)
BOTH = Phrasings(
    train=(
        "Which {titles} have the {label} {value} and {number} {how} {limit}?",
        "List the {title} of {table} whose {label} is {value} with {number} {how} {limit}.",
        "Find each {title} in {table} where {label} equals {value} and {number} is {how} {limit}.",
        "I look for {table} of {label} {value} and {number} {how} {limit}: give me each {title}.",
        "I want each {title} in {table} with {value} as {label} and also {number} {how} {limit}.",
        "Show the {title} of {table} with {value} as {label} and a {number} {how} {limit}.",
        "{titles} where the {label} is {value} and the {number} {how} {limit}: which are they?",
    ),
    test=(
        "Name by {title} all {table} that carry the {label} {value} and a {number} {how} {limit}.",
        "Among the {titles}, pick those with {label} {value} whose {number} is {how} {limit}.",
    ),
)
COUNTED = Phrasings(
    train=(
        "How many {table} have the {label} {value}?",
        "Count the {table} whose {label} is {value}.",
        "How often is {value} the {label} in {table}?",
        "How large is the group of {table} with {value} in {label}?",
        "Tell me the number of rows in {table} that have {value} as {label}.",
        "What is the number of {table} with {value} as {label}?",
        "Give the count of {table} that have the {label} {value}.",
    ),
    test=(
        "I wonder how many of the {table} carry the {label} {value}.",
        "With {value} under {label} there are how many {table}?",
    ),
)
COMPUTED = Phrasings(
    train=(
        "What is the {function} {number} of {table} whose {label} is {value}?",
        "Compute the {function} {number} of the {table} with {label} {value}.",
        "For the {label} {value}, find the {function} {number} in {table}.",
        "I look for the {function} {number} over all {table} with {value} in {label}.",
        "Looking just at {table} that have {value} as {label}, I want the {function} {number}.",
        "Give the {function} {number} among {table} that have the {label} {value}.",
        "Of all {table} with {value} as {label}, what is the {function} {number}?",
    ),
    test=(
        "I wonder about the {function} {number} of those {table} that carry the {label} {value}.",
        "With {value} under {label}, {table} have which {function} {number}?",
    ),
)
GROUPED = Phrasings(
    train=(
        "How many {table} are there for each {label}? Give {label} and count.",
        "Count the {table} per {label}, showing the {label} and the count.",
        "For every {label}, how many {table} are there? Show {label} and count.",
        "Break the {table} down by {label}: I want every {label} with its number of rows.",
        "Give every {label} of {table} and how often it occurs.",
        "Per {label}: the {label} and the number of {table}.",
    ),
    test=("I wonder how the {table} spread over each {label}: show it with the count.",),
)
RANKED = Phrasings(
    train=(
        "Which {count} {titles} have the {extreme} {number}, {extreme} first?",
        "List the {title} of the {count} {table} with the {extreme} {number}, {extreme} first.",
        "Show {count} {titles}, sorted by {number}, from the {extreme} on.",
        "Find the {title} of the top {count} in {table} when the {extreme} {number} comes first.",
        "Sort {table} by {number}, the {extreme} first; I want the {title} of the top {count}.",
        "Give me {count} {titles} ordered by {number}, the {extreme} at the top.",
        "Which {count} {titles} stand at the {extreme} end by {number}? Begin with the {extreme}.",
    ),
    test=(
        "Name by {title} the {count} {table} of {extreme} {number}, beginning with the {extreme}.",
        "A top list of {count} {titles} by {number}, please, where the {extreme} leads.",
    ),
)
JOINED = Phrasings(
    train=(
        "List the {title} of all {table} of {parents} from {value}.",
        "Which {titles} belong to {parents} whose city is {value}?",
        "For all {parents} in {value}, show the {title} of their {table}.",
        "Find each {title} in {table} where the city in {parents} is {value}.",
        "I want to see every {title} in {table} that goes with one of the {parents} in {value}.",
        "Show the {title} of those {table} whose {parents} live in {value}.",
        "{titles} of {parents} in the city of {value}: which are they?",
    ),
    test=(
        "Name by {title} all {table} that belong to {parents} located in {value}.",
        "Some {parents} have {value} as their city. Which {titles} are theirs?",
    ),
)


def about(table: Table, **fields: str) -> dict[str, str]:
    """Name a table and its columns as questions do."""
    titles = f"{table.title}s of {table.name}"
    names = {"schema": table.schema, "table": table.name, "title": table.title, "titles": titles}
    return {**names, **fields}


def condition(table: Table, random: Random) -> tuple[dict[str, str], str]:
    value = random.choice(table.values)
    return {"label": table.label, "value": value}, f"{table.label} = '{value}'"


def threshold(table: Table, random: Random) -> tuple[dict[str, str], str]:
    number, how = random.choice(table.numbers), random.choice(list(COMPARISONS))
    limit = str(random.choice(grid(number)))
    return {"number": number, "how": how, "limit": limit}, f"{number} {COMPARISONS[how]} {limit}"


def labelled(table: Table, random: Random) -> Question:
    fields, where = condition(table, random)
    query = f"SELECT {table.title} FROM {table.name} WHERE {where}"
    return Question(about(table, **fields), query)


def compared(table: Table, random: Random) -> Question:
    fields, where = threshold(table, random)
    query = f"SELECT {table.title} FROM {table.name} WHERE {where}"
    return Question(about(table, **fields), query)


def both(table: Table, random: Random) -> Question:
    fields, where = condition(table, random)
    more, and_where = threshold(table, random)
    query = f"SELECT {table.title} FROM {table.name} WHERE {where} AND {and_where}"
    return Question(about(table, **fields, **more), query)


def counted(table: Table, random: Random) -> Question:
    fields, where = condition(table, random)
    return Question(about(table, **fields), f"SELECT COUNT(*) FROM {table.name} WHERE {where}")


def computed(table: Table, random: Random) -> Question:
    fields, where = condition(table, random)
    function, number = random.choice(list(FUNCTIONS)), random.choice(table.numbers)
    query = f"SELECT {FUNCTIONS[function]}({number}) FROM {table.name} WHERE {where}"
    return Question(about(table, **fields, function=function, number=number), query)


def grouped(table: Table, _random: Random) -> Question:
    label = table.label
    query = f"SELECT {label}, COUNT(*) FROM {table.name} GROUP BY {label}"
    return Question(about(table, label=label), query)


def ranked(table: Table, random: Random) -> Question:
    number, extreme = random.choice(table.numbers), random.choice(list(EXTREMES))
    count = str(random.randint(2, 9))
    query = (
        f"SELECT {table.title} FROM {table.name} "
        f"ORDER BY {number} {EXTREMES[extreme]} LIMIT {count}"
    )
    return Question(about(table, number=number, extreme=extreme, count=count), query)


def joined(random: Random) -> Question:
    child, parent = random.choice(list(zip(CHILDREN, PARENTS, strict=True)))
    value = random.choice(parent.values)
    query = (
        f"SELECT {child.name}.{child.title} FROM {child.name} JOIN {parent.name} "
        f"ON {child.name}.{child.parent}_id = {parent.name}.id WHERE {parent.name}.city = '{value}'"
    )
    fields = about(child, value=value, parents=parent.name)
    schema = f"{child.schema} and {parent.name}(id, name, city)"
    return Question({**fields, "schema": schema}, query)


def one_table(draw: Callable[[Table, Random], Question]) -> Callable[[Random], Question]:
    return lambda random: draw(random.choice((*TABLES, *CHILDREN)), random)


def kind(
    name: str, draw: Callable[[Table, Random], Question], asks: Phrasings, weight: float = 1
) -> Kind:
    return Kind(name, one_table(draw), asks.inside(ONE_TABLE, "{ask}"), weight=weight)


class Sql(GeneratedTask):
    """Questions about tables, answered in SQL."""

    name = "sql"
    kinds = (
        kind("labelled", labelled, LABELLED),
        kind("compared", compared, COMPARED),
        kind("both", both, BOTH),
        kind("counted", counted, COUNTED),
        kind("computed", computed, COMPUTED, weight=1.5),
        kind("grouped", grouped, GROUPED, weight=0.2),
        kind("ranked", ranked, RANKED),
        Kind("joined", joined, JOINED.inside(TWO_TABLES, "{ask}"), weight=1),
    )

    def check(self, example: Example, answer: str) -> bool:
        """Run both queries on two databases and compare what they find."""
        query = bare(answer).removesuffix(";")
        ordered = "ORDER BY" in example.reference
        try:
            return all(
                same(run_query(data, query), run_query(data, example.reference), ordered=ordered)
                for data in map(image, DATABASES)
            )
        except BadQuery:
            return False


def same(found: Rows, wanted: Rows, *, ordered: bool) -> bool:
    """Compare rows; their order counts only where it was asked for."""
    return found == wanted if ordered else Counter(found) == Counter(wanted)
