"""The tables as SQLAlchemy sees them; `migrations/` creates them, and a test compares the two."""

from collegium.registry.tables.base import Table, from_row, to_columns
from collegium.registry.tables.budgets import BudgetRow, DeletedUsageRow, UsageProgressRow, UsageRow
from collegium.registry.tables.bulk import ENDED, BatchRecordRow, BatchRow, FileChunkRow, FileRow
from collegium.registry.tables.callers import ApplicationRow, KeyRow, TeamRow
from collegium.registry.tables.decisions import (
    DecisionRow,
    ExchangeRow,
    FeedbackRow,
    OutcomeRow,
    ResponseRow,
)
from collegium.registry.tables.experts import EngineRow, ExpertRow, LeaseRow, RevisionRow, SeedRow
from collegium.registry.tables.learning import (
    AlarmRow,
    LearningAnswerRow,
    LearningPromptRow,
    LearningRunRow,
    MarkRow,
    OnlineStateRow,
    ReplayRow,
    RouterVersionRow,
    UpstreamRow,
)

__all__ = [
    "ENDED",
    "AlarmRow",
    "ApplicationRow",
    "BatchRecordRow",
    "BatchRow",
    "BudgetRow",
    "DecisionRow",
    "DeletedUsageRow",
    "EngineRow",
    "ExchangeRow",
    "ExpertRow",
    "FeedbackRow",
    "FileChunkRow",
    "FileRow",
    "KeyRow",
    "LearningAnswerRow",
    "LearningPromptRow",
    "LearningRunRow",
    "LeaseRow",
    "MarkRow",
    "OnlineStateRow",
    "OutcomeRow",
    "ReplayRow",
    "ResponseRow",
    "RevisionRow",
    "RouterVersionRow",
    "SeedRow",
    "Table",
    "TeamRow",
    "UpstreamRow",
    "UsageProgressRow",
    "UsageRow",
    "from_row",
    "to_columns",
]
