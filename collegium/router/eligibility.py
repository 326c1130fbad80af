"""Which experts can answer a query: by its needs, by rules, and by the context window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from collegium.errors import NoFeasibleExpert, PromptTooLong
from collegium.registry.capabilities import (
    LACKING,
    MOST_OUTPUT,
    NOT_SERVED,
    knows_window,
    most_output,
    takes,
)
from collegium.registry.expert import Expert
from collegium.router.decision import Query
from collegium.router.rules import NO_RULES
from collegium.router.virtual_models import VIRTUAL_MODELS, eligible

NOT_ELIGIBLE = "not eligible: "
"""Prefix of the note on a forecast that is only reported to explain the exclusion."""
IF_NEEDED = "only if needed: "
"""Prefix of the note on an expert that is only asked after those known to be able."""
LEAST_ROOM = 256
"""The tokens that an answer of no stated length should have room for."""
HOPELESS = 2.0
"""Prompts this many times the context window don't fit, however rough the estimate."""
NO_CHAT = LACKING["chat"]
FIELDS = {
    **{LACKING[need]: "messages" for need in ("images", "audio", "video", "files")},
    **{LACKING[need]: "response_format" for need in ("json_schema", "json_object")},
    LACKING["audio_output"]: "modalities",
    **{LACKING[need]: need for need in ("tools", "logprobs", "n")},
}
"""The field of a request that asks for what an expert lacks."""
MOST_TOLD = 10
CORRECT_IT = (
    "Register one that can, or correct what is known of one with "
    "`collegium expert update NAME --can …`"
)
RELAX_IT = (
    "Relax routing.require or the application's policy, or label experts with "
    "`collegium expert update NAME --residency …`"
)

Rank = tuple[int, bool, bool, bool, bool]
"""The smaller, the sooner an expert is asked: prompt too long, such a request refused lately,
something unknown, less room than is asked for, something missing that would be better."""


@dataclass(frozen=True)
class Candidates:
    """The eligible experts in tiers: a tier only counts if no expert of an earlier one can
    answer.
    """

    tiers: tuple[tuple[Expert, ...], ...]
    excluded: tuple[tuple[Expert, str], ...] = ()
    """The excluded experts, each with the rule in words."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Why an expert is not of the first tier, by name."""

    def up_to(self, tier: int | None) -> tuple[Expert, ...]:
        """The experts of the first tiers, None for all."""
        if tier == 1:
            return self.tiers[0]
        return tuple(expert for each in self.tiers[:tier] for expert in each)

    def after(self, tier: int) -> Iterator[Expert]:
        """The experts of the others, in the order in which they are asked."""
        return (expert for each in self.tiers[tier:] for expert in each)


def candidates(experts: Sequence[Expert], query: Query) -> Candidates:
    """Return the eligible experts; raise NoFeasibleExpert or PromptTooLong, with the reasons, if
    there are none.

    A named expert is asked whatever is known of its capabilities: it knows best itself. Rules and
    its window hold.
    """
    asked = eligible(experts, query)
    if all(map(_Fit(query).is_sure, asked)):
        return Candidates((asked,))
    return _sorted(asked, query)


def able(experts: Sequence[Expert], query: Query, *, demonstrations: bool = False) -> list[Expert]:
    """Return the experts within the rules whose window holds the prompt; may be empty.

    Demonstration experts are among them where there are no others, or where that is asked for.
    """
    fit = _Fit(query)
    try:
        asked = experts if demonstrations or not experts else eligible(experts, query)
    except NoFeasibleExpert:
        return []
    roomy = (e for e in asked if e.context_window > (query.prompt_tokens or 0))
    return [expert for expert in roomy if not fit.excluded_by(expert)]


class _Fit:
    """How well an expert suits one query."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._prompt = query.prompt_tokens or 0
        self._wanted = query.max_tokens or LEAST_ROOM
        self._total = self._prompt + self._wanted
        self._plain = not (
            query.needs.must
            or query.needs.better
            or query.lacking
            or query.limits.require != NO_RULES
        )

    def is_sure(self, expert: Expert) -> bool:
        """Whether there is no objection at all, which is the usual case and quick to check."""
        kept = expert.capabilities
        if self._plain and NOT_SERVED not in kept:  # 0.5 µs an expert, and 5 the other way
            roomy = expert.context_window >= self._total
            return roomy and kept.get(MOST_OUTPUT, self._wanted) >= self._wanted
        return not self.excluded_by(expert) and self.rank(expert) == SURE

    def excluded_by(self, expert: Expert) -> str:
        """Return the rule that excludes the expert, in words; empty if there is none."""
        query = self._query
        if broken := query.limits.require.broken_by(expert):
            return broken
        if takes(expert, "chat") is False:
            return NO_CHAT
        for need in query.needs.must:
            if takes(expert, need) is False:
                return LACKING[need]
        window = expert.context_window
        if self._prompt > HOPELESS * window and knows_window(expert):
            return f"has a window of {window} tokens, too small for about {self._prompt}"
        return ""

    def rank(self, expert: Expert) -> Rank:
        """Its position in the order of asking."""
        query, window = self._query, expert.context_window
        too_long = 0 if window > self._prompt else 2**31 - window
        unknown = any(takes(expert, need) is None for need in query.needs.must)
        most = most_output(expert)
        short = window < self._total or (most is not None and most < self._wanted)
        worse = any(self._misses(expert, need) for need in query.needs.better)
        return too_long, self._refused(expert), unknown, short, worse

    def note(self, expert: Expert) -> str:
        """Why others are asked before it, in words."""
        too_long, refused, unknown, short, worse = self.rank(expert)
        if too_long:
            return f"its window of {expert.context_window} tokens may be too small"
        if refused:
            return "it refused such a request lately"
        needs = self._query.needs
        if unknown:
            names = [need for need in needs.must if takes(expert, need) is None]
            return f"{', '.join(names)} unknown"
        if short:
            return "less room for the answer than is asked for"
        return "; ".join(LACKING[n] for n in needs.better if worse and self._misses(expert, n))

    def _refused(self, expert: Expert) -> bool:
        lacking = self._query.lacking.get(expert.name, ())
        return any(need in lacking for need in self._query.needs.must)

    def _misses(self, expert: Expert, need: str) -> bool:
        lacks = need in self._query.lacking.get(expert.name, ())
        return lacks or takes(expert, need) is False


SURE: Rank = (0, False, False, False, False)


def _sorted(asked: Sequence[Expert], query: Query) -> Candidates:
    fit, name = _Fit(query), query.requested_model
    named = None if name in VIRTUAL_MODELS else name
    excluded = {e.name: (e, rule) for e in asked if (rule := fit.excluded_by(e))}
    if named in excluded:
        _require_permitted(*excluded.pop(named), query)
    kept = [expert for expert in asked if expert.name not in excluded]
    if not kept:
        raise _nobody(list(excluded.values()), query)
    ranks = {expert.name: fit.rank(expert) for expert in kept}
    best = min(ranks.values())
    if named is not None:
        others = [rank for other, rank in ranks.items() if other != named]
        best = ranks[named] = min(others, default=best)
    tiers = [
        tuple(expert for expert in kept if ranks[expert.name] == rank)
        for rank in sorted({*ranks.values()})
    ]
    notes = {e.name: fit.note(e) for e in kept if ranks[e.name] != best}
    return Candidates(tuple(tiers), tuple(excluded.values()), notes)


def _require_permitted(expert: Expert, rule: str, query: Query) -> None:
    """Raise NoFeasibleExpert or PromptTooLong if a named expert must not be asked."""
    if broken := query.limits.require.broken_by(expert):
        raise NoFeasibleExpert(
            f"'{expert.name}' may not be asked: the rules of routing.require or of the "
            f"application's policy exclude it, as it {broken}",
            "routing.require",
        )
    if is_window(rule):
        raise _too_long([(expert, rule)], query)


def _nobody(
    excluded: Sequence[tuple[Expert, str]], query: Query
) -> NoFeasibleExpert | PromptTooLong:
    if all(is_window(rule) for _, rule in excluded):
        return _too_long(excluded, query)
    told = told_excluded(excluded)
    rule, _ = Counter(rule for _, rule in excluded).most_common(1)[0]
    remedy = CORRECT_IT if rule in LACKING.values() else RELAX_IT
    words = f"No expert can answer this request: {told}. {_denied(query)}{remedy}"
    return NoFeasibleExpert(words, FIELDS.get(rule, "routing"))


def _too_long(excluded: Sequence[tuple[Expert, str]], query: Query) -> PromptTooLong:
    return PromptTooLong(
        f"The prompt has about {query.prompt_tokens} tokens, which fit no expert that may be "
        f"asked: {told_excluded(excluded)}",
        "messages",
    )


def _denied(query: Query) -> str:
    """Whom the request or its application's policy keeps out, for they might be able."""
    limits = query.limits
    if limits.experts_deny:
        return f"Not considered (experts_deny): {', '.join(limits.experts_deny[:MOST_TOLD])}. "
    if limits.experts_allow is not None:
        return f"Only these are considered (experts_allow): {', '.join(limits.experts_allow)}. "
    return ""


def is_window(rule: str) -> bool:
    """Whether it is the window that excludes an expert."""
    return rule.startswith("has a window of")


def told_excluded(excluded: Sequence[tuple[Expert, str]]) -> str:
    """Describe the excluded experts and the rules, in words."""
    told = [f"{expert.name} {rule}" for expert, rule in excluded[:MOST_TOLD]]
    more = len(excluded) - len(told)
    return "; ".join([*told, f"and {more} more"] if more else told)
