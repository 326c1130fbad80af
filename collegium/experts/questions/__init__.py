"""General questions that a program marks: what is an expert good at?"""

from collegium.experts.questions.bank import KINDS, question
from collegium.experts.questions.base import LEVELS, Question

__all__ = ["KINDS", "LEVELS", "Question", "question"]
