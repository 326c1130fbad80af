"""General questions, marked by programs, that measure an expert's skills."""

from collegium.experts.questions.bank import KINDS, question
from collegium.experts.questions.base import LEVELS, Question

__all__ = ["KINDS", "LEVELS", "Question", "question"]
