"""The tables that SQL questions are about, and a small database with rows for them."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

from collegium.evals.tasks.base import words

ROWS = 40
FIRST_NAMES = words("Ada Ben Cara Dan Eva Finn Gus Hana Ivan Jill Kim Leo Maya Noah Olga Pia")


@dataclass(frozen=True)
class Table:
    """One table: a name for each row, one text and two numbers to ask about."""

    name: str
    title: str  # the column that names a row
    label: str  # a column with few values
    values: tuple[str, ...]
    numbers: tuple[str, str]
    parent: str = ""  # the table that `<parent>_id` refers to

    @property
    def columns(self) -> tuple[str, ...]:
        foreign = (f"{self.parent}_id",) if self.parent else ()
        return ("id", self.title, self.label, *self.numbers, *foreign)

    @property
    def schema(self) -> str:
        return f"{self.name}({', '.join(self.columns)})"


TABLES = (
    Table(
        "employees",
        "name",
        "city",
        ("Paris", "Oslo", "Lima", "Cairo", "Delhi"),
        ("salary", "age"),
    ),
    Table("products", "name", "category", ("toys", "food", "books", "garden"), ("price", "stock")),
    Table("films", "title", "genre", ("drama", "comedy", "horror", "western"), ("year", "minutes")),
    Table("students", "name", "subject", ("maths", "art", "physics", "music"), ("grade", "age")),
    Table("cars", "model", "color", ("red", "blue", "black", "white"), ("mileage", "price")),
    Table("hotels", "name", "country", ("Spain", "Italy", "Japan", "Chile"), ("rooms", "stars")),
    Table("songs", "title", "style", ("jazz", "rock", "folk", "soul"), ("seconds", "plays")),
    Table("players", "name", "team", ("Lions", "Hawks", "Bears", "Sharks"), ("goals", "height")),
    Table("animals", "name", "species", ("lion", "zebra", "otter", "panda"), ("weight", "age")),
    Table("flights", "code", "airline", ("Nord", "Aero", "Sky", "Luna"), ("distance", "delay")),
    Table("plants", "name", "family", ("rose", "palm", "fern", "cactus"), ("height", "price")),
    Table("rivers", "name", "continent", ("Asia", "Africa", "Europe"), ("length", "depth")),
)
CHILDREN = (
    Table("orders", "item", "status", ("open", "paid", "sent"), ("total", "quantity"), "customer"),
    Table("books", "title", "genre", ("crime", "poetry", "travel"), ("year", "pages"), "author"),
    Table("tasks", "title", "status", ("open", "done", "blocked"), ("hours", "points"), "project"),
    Table("courses", "title", "level", ("basic", "expert"), ("credits", "fee"), "teacher"),
    Table("visits", "reason", "kind", ("urgent", "routine"), ("cost", "minutes"), "patient"),
    Table("albums", "title", "style", ("jazz", "rock", "folk"), ("year", "sales"), "band"),
)
PARENTS = tuple(
    Table(f"{child.parent}s", "name", "city", TABLES[0].values, ("age", "rank"))
    for child in CHILDREN
)


def grid(column: str) -> range:
    """Return the numbers that a column holds, each once: no ties, every threshold on a row."""
    start = 10 + 5 * (sum(column.encode()) % 7)
    return range(start, start + 5 * ROWS, 5)


def rows(table: Table, seed: int) -> Iterator[tuple[str | int, ...]]:
    """Fill a table: distinct numbers, text values by chance."""
    random = Random(f"{table.name}/{seed}")
    numbers = [random.sample(grid(column), ROWS) for column in table.numbers]
    for row in range(ROWS):
        title = f"{random.choice(FIRST_NAMES)} {row}"
        values = [column[row] for column in numbers]
        foreign = (random.randint(1, ROWS),) if table.parent else ()
        yield (row + 1, title, random.choice(table.values), *values, *foreign)


@cache
def image(seed: int) -> bytes:
    """Return a database with all tables as bytes, from which connections are opened quickly."""
    connection = sqlite3.connect(":memory:")
    for table in (*TABLES, *CHILDREN, *PARENTS):
        connection.execute(f"CREATE TABLE {table.schema}")
        marks = ", ".join("?" * len(table.columns))
        connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows(table, seed))
    data = connection.serialize()
    connection.close()
    return data
