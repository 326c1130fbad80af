"""Marks: how good an answer is, by a program, by agreement among experts or by a judge."""

from collegium.experts.marking.base import Checker
from collegium.experts.marking.catalogue import CHECKERS, checker_of

__all__ = ["CHECKERS", "Checker", "checker_of"]
