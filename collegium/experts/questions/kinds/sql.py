"""A SQLite query for tables of a shop, checked on rows that the expert does not see."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from collegium.experts.questions.base import Draft
from collegium.experts.questions.kinds.names import GOODS, PEOPLE, TOWNS

SCHEMA = """CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, town TEXT);
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, price INTEGER);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers(id),
  product_id INTEGER REFERENCES products(id), quantity INTEGER, day TEXT);  -- day: YYYY-MM-DD"""
Asked = tuple[str, str]
"""What is asked, and a query that finds it."""


def draw(random: Random, level: int) -> Draft:
    """Level 1 reads one table, level 2 joins and groups, level 3 nests."""
    asked, query = random.choice(_BY_LEVEL[level])(random)
    text = (
        f"A SQLite database has these tables:\n\n{SCHEMA}\n\n{asked} "
        "Reply with one SQLite query and nothing else."
    )
    return Draft(text, {"query": query, "ddl": f"{SCHEMA}\n{_rows(random)}"}, "sql")


def _rows(random: Random) -> str:
    names = random.sample(PEOPLE, 12)
    customers = [f"({i}, '{n}', '{TOWNS[i % 4]}')" for i, n in enumerate(names, 1)]
    products = [f"({i}, '{g}', {random.randint(2, 60)})" for i, g in enumerate(GOODS, 1)]
    orders = []
    for i in range(1, 61):
        who, what = random.randint(1, 10), random.randint(1, 9)  # some never order, or are ordered
        day = f"2026-{random.randint(1, 6):02}-{random.randint(1, 28):02}"
        orders.append(f"({i}, {who}, {what}, {random.randint(1, 9)}, '{day}')")
    random.shuffle(customers)
    tables = {"customers": customers, "products": products, "orders": orders}
    return "\n".join(f"INSERT INTO {n} VALUES {', '.join(rows)};" for n, rows in tables.items())


def _totals(since: str) -> str:
    """Each customer's orders since a day, in money."""
    return (
        "SELECT c.name, c.town, SUM(o.quantity * p.price) AS total FROM customers c "
        "JOIN orders o ON o.customer_id = c.id JOIN products p ON p.id = o.product_id "
        f"WHERE o.day >= '{since}' GROUP BY c.id"
    )


def _since(random: Random) -> str:
    return f"2026-{random.randint(1, 3):02}-{random.randint(1, 28):02}"


def _town(random: Random) -> Asked:
    town, letter = random.choice(TOWNS[:4]), random.choice("ghkmp")
    query = f"SELECT name FROM customers WHERE town = '{town}' AND name NOT LIKE '%{letter}%'"
    asked = f"List the names of the customers in {town} whose name is written without {letter}."
    return asked, query


def _price(random: Random) -> Asked:
    price = random.randint(20, 40)
    query = f"SELECT name FROM products WHERE price > {price} ORDER BY name"
    return f"List the names of products that cost more than {price}, in alphabetical order.", query


def _count(random: Random) -> Asked:
    month, pieces = random.randint(1, 6), random.randint(2, 6)
    month_is = f"day LIKE '2026-{month:02}-%'"
    query = f"SELECT COUNT(*) FROM orders WHERE {month_is} AND quantity >= {pieces}"
    asked = f"How many orders of {pieces} pieces or more were there in month {month} of 2026?"
    return asked, query


def _per_month(random: Random) -> Asked:
    least, pieces = random.randint(2, 6), random.randint(2, 6)
    query = (
        "SELECT substr(day, 1, 7) AS month, COUNT(*) FROM orders "
        f"WHERE quantity >= {pieces} GROUP BY month HAVING COUNT(*) >= {least}"
    )
    asked = (
        f"List each month (as YYYY-MM) with at least {least} orders of {pieces} pieces or more, "
        "and how many such orders it has."
    )
    return asked, query


def _bought(random: Random) -> Asked:
    goods, since = random.choice(GOODS[:9]), _since(random)
    query = (
        "SELECT DISTINCT c.name FROM customers c JOIN orders o ON o.customer_id = c.id "
        f"JOIN products p ON p.id = o.product_id WHERE p.name = '{goods}' AND o.day >= '{since}'"
    )
    return f"List the names of the customers who ordered {goods} since {since}, each once.", query


def _sold(random: Random) -> Asked:
    count, since = random.randint(2, 4), _since(random)
    query = (
        "SELECT p.name FROM products p JOIN orders o ON o.product_id = p.id "
        f"WHERE o.day >= '{since}' GROUP BY p.id "
        f"ORDER BY SUM(o.quantity) DESC, p.name LIMIT {count}"
    )
    asked = (
        f"List the names of the {count} products of which the most pieces were ordered since "
        f"{since}, the most first, and of equals in alphabetical order."
    )
    return asked, query


def _best_of_town(random: Random) -> Asked:
    since = _since(random)
    query = (
        f"WITH t AS ({_totals(since)}) SELECT town, name FROM t WHERE total = "
        "(SELECT MAX(total) FROM t AS u WHERE u.town = t.town)"
    )
    asked = (
        f"Only orders since {since} count. List, for each town from which anything was ordered, "
        "the town and the name of the customer there whose orders are worth the most in all "
        "(quantity times price); all of them, should several be worth the same."
    )
    return asked, query


def _never(random: Random) -> Asked:
    town, since = random.choice(TOWNS[:4]), _since(random)
    query = (
        "SELECT p.name FROM products p WHERE NOT EXISTS (SELECT 1 FROM orders o "
        "JOIN customers c ON c.id = o.customer_id "
        f"WHERE o.product_id = p.id AND c.town = '{town}' AND o.day >= '{since}')"
    )
    asked = f"List the names of the products that nobody in {town} has ordered since {since}."
    return asked, query


def _above_mean(random: Random) -> Asked:
    since = _since(random)
    totals = f"WITH t AS ({_totals(since)})"
    query = f"{totals} SELECT name FROM t WHERE total > (SELECT AVG(total) FROM t)"
    asked = (
        f"Only orders since {since} count. Each customer with an order has a total: the sum of "
        "quantity times price. List the names of those customers whose total is above the mean of "
        "these totals."
    )
    return asked, query


_BY_LEVEL: dict[int, tuple[Callable[[Random], Asked], ...]] = {
    1: (_town, _price, _count),
    2: (_per_month, _bought, _sold),
    3: (_best_of_town, _never, _above_mean),
}
