"""Equations, systems, polynomials, sequences and congruences."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from collegium.experts.questions.base import NUMBER_ONLY, Draft


def draw(random: Random, level: int) -> Draft:
    """Level 1 is linear, level 2 has two unknowns or squares, level 3 needs an idea."""
    return random.choice(_BY_LEVEL[level])(random)


def signed(value: int) -> str:
    """A term of a sum with its sign."""
    return f"+ {value}" if value >= 0 else f"- {-value}"


def _linear(random: Random) -> Draft:
    x, a, b = random.randint(-9, 12), random.randint(2, 9), random.randint(-20, 20)
    return Draft(f"Solve for x: {a}x {signed(b)} = {a * x + b}. {NUMBER_ONLY}", x)


def _value(random: Random) -> Draft:
    a, b, x = random.randint(2, 9), random.randint(1, 20), random.randint(2, 10)
    return Draft(f"If f(x) = {a}x - {b}, what is f({x})? {NUMBER_ONLY}", a * x - b)


def _both_sides(random: Random) -> Draft:
    x, a, c, b = (random.randint(2, 9) for _ in range(4))
    text = f"Solve for x: {a + c}x + {b} = {c}x {signed(a * x + b)}. {NUMBER_ONLY}"
    return Draft(text, x)


def _system(random: Random) -> Draft:
    x, y = random.randint(-8, 9), random.randint(-8, 9)
    a, b, c = random.randint(2, 7), random.randint(2, 7), random.randint(2, 7)
    text = f"{a}x + {b}y = {a * x + b * y} and {c}x - y = {c * x - y}. What is x + y? {NUMBER_ONLY}"
    return Draft(text, x + y)


def _roots(random: Random) -> Draft:
    p, q = random.sample(range(-9, 10), 2)
    text = f"What is the larger solution of x^2 {signed(-p - q)}x {signed(p * q)} = 0?"
    return Draft(f"{text} {NUMBER_ONLY}", max(p, q))


def _sequence(random: Random) -> Draft:
    first, step, n = random.randint(2, 20), random.randint(3, 12), random.randint(15, 40)
    text = (
        f"An arithmetic sequence begins {first}, {first + step}, {first + 2 * step}. "
        f"What is its term number {n}? {NUMBER_ONLY}"
    )
    return Draft(text, first + (n - 1) * step)


def _vieta(random: Random) -> Draft:
    s, p = random.randint(3, 9), random.randint(-8, 8)
    text = f"Let a and b be the solutions of x^2 - {s}x {signed(p)} = 0. What is a^3 + b^3?"
    return Draft(f"{text} {NUMBER_ONLY}", s**3 - 3 * p * s)


def _congruence(random: Random) -> Draft:
    m, n = random.choice(((7, 9), (8, 11), (9, 13), (5, 12), (7, 16)))
    x = random.randint(m, m * n - 1)
    text = (
        f"What is the smallest positive integer that leaves remainder {x % m} when divided by {m} "
        f"and remainder {x % n} when divided by {n}?"
    )
    return Draft(f"{text} {NUMBER_ONLY}", x)


def _determinant(random: Random) -> Draft:
    a, b, c, d, e, f, g, h, i = (random.randint(-6, 7) for _ in range(9))
    value = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    rows = f"[[{a}, {b}, {c}], [{d}, {e}, {f}], [{g}, {h}, {i}]]"
    return Draft(f"What is the determinant of the matrix {rows}? {NUMBER_ONLY}", value)


def _recurrence(random: Random) -> Draft:
    a, b, p, q = (random.randint(1, 3) for _ in range(4))
    n = random.randint(7, 9)
    terms = [a, b]
    while len(terms) < n:
        terms.append(p * terms[-1] + q * terms[-2])
    text = (
        f"A sequence has a_1 = {a}, a_2 = {b} and a_n = {p} a_(n-1) + {q} a_(n-2). "
        f"What is a_{n}? {NUMBER_ONLY}"
    )
    return Draft(text, terms[-1])


_BY_LEVEL: dict[int, tuple[Callable[[Random], Draft], ...]] = {
    1: (_linear, _value, _both_sides),
    2: (_system, _roots, _sequence),
    3: (_vieta, _congruence, _determinant, _recurrence),
}
