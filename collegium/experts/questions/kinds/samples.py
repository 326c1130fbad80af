"""Small Python functions whose source is shown and whose results are asked for."""
# They are written as puzzles, so they do odd things on purpose.

from __future__ import annotations

from collections.abc import Callable, Generator


def double_odd(numbers: list[int]) -> list[int]:
    return [2 * n for n in numbers if n % 2]


def tail(numbers: list[int]) -> list[int]:
    return numbers[::-1][:3]


def longest(words: list[str]) -> str:
    return max(words, key=len)


def initials(words: list[str]) -> str:
    return "".join(word[0].upper() for word in words)


def running(numbers: list[int]) -> int:
    total = 0
    for i, n in enumerate(numbers):
        if n > 5:
            total += n
        elif i % 2 == 0:
            total -= n
    return total


def counted(words: list[str]) -> dict[int, int]:
    found: dict[int, int] = {}
    for word in words:
        found[len(word)] = found.get(len(word), 0) + 1
    return found


def digits(n: int) -> int:
    steps = 0
    while n > 9:
        n = sum(int(d) for d in str(n * 3))
        steps += 1
    return 10 * steps + n


def zipped(numbers: list[int]) -> list[int]:
    last = len(numbers) - 1
    return [numbers[i] * numbers[i + 1] for i in range(last) if numbers[i] < numbers[i + 1]]


def shared(numbers: list[int]) -> list[int]:
    rows = [[0, 0]] * 3
    for i, n in enumerate(numbers):
        rows[i % 3][i % 2] += n
    return [x for row in rows for x in row]


def paths(numbers: list[int]) -> int:
    def walk(i: int, left: int) -> int:
        if i == len(numbers):
            return int(left == 0)
        return walk(i + 1, left) + walk(i + 1, left - numbers[i])

    return walk(0, max(numbers))


def collected(numbers: list[int]) -> list[int]:
    adders: list[Callable[[int], int]] = [lambda x: x + n for n in numbers]  # noqa: B023
    return [add(10 * i) for i, add in enumerate(adders)]


def machine(numbers: list[int]) -> list[int]:
    stack: list[int] = []
    for n in numbers:
        while stack and stack[-1] < n:
            n -= stack.pop()
        stack.append(n)
        if len(stack) > 4:
            stack = stack[1:]
    return stack


def generated(numbers: list[int]) -> list[int]:
    def produce() -> Generator[int, int, None]:
        seen = 0
        for n in numbers:
            got = yield n + seen
            seen += got or 1

    source = produce()
    found = [next(source)]
    for n in numbers[1:]:
        found.append(source.send(n % 3))
    return found
