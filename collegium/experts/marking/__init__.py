"""Marks: how good an answer is, by a program, by agreement among experts, or by a judge."""

from collegium.experts.marking.base import Checker
from collegium.experts.marking.catalogue import checker_of, is_builtin

__all__ = ["Checker", "checker_of", "is_builtin"]
