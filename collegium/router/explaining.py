"""Explain a decision in words."""

from __future__ import annotations

from collegium.router.beliefs.promise import Promise
from collegium.router.choosing import Choice
from collegium.router.decision import Forecast, Query
from collegium.router.forecasting import UNSKILLED, Reading
from collegium.router.policy import cost, quality
from collegium.router.virtual_models import VIRTUAL_MODELS, in_background

NOT_AVAILABLE = "not available now"
LITTLE_EVIDENCE = 0.5
MOST_NAMED = 5
"""Experts that one sentence lists."""


def explained(query: Query, reading: Reading, choice: Choice, promise: Promise | None) -> str:
    """The decision in words, for people."""
    chosen = choice.forecast
    assert chosen is not None
    words = [_who_and_why(query, reading, choice, chosen)]
    if chosen.wait_ms:
        words.append(
            f"Its engine is not loaded, and has its turn in about {chosen.wait_ms / 1000:.0f} s."
        )
    words += [
        f"An alarm is open: {f.expert}'s chance is lowered by {f.lowered:.0%}."
        for f in choice.forecasts
        if f.lowered
    ]
    words.append(_left_out(choice, chosen))
    words.append(_stuck(query, choice))
    if choice.policy == "quality":
        words.append(_promised(query, promise, choice.incumbent))
    return " ".join(filter(None, words))


def _who_and_why(query: Query, reading: Reading, choice: Choice, chosen: Forecast) -> str:
    name = chosen.expert
    chance = "" if chosen.quality is None else f" ({chosen.quality:.0%} likely to be right)"
    if choice.policy == "named":
        return f"You asked for {name}{chance}."
    if choice.policy == "prior":
        return _unmeasured(query, name)
    if choice.policy == "session":
        return f"This conversation stays with {name}{chance}: {_why_it_stays(query, chosen)}."
    versus = f"{name} is {chosen.quality:.0%} likely to be right"
    if (rival := _rival(choice, chosen)) is not None:
        versus += _versus(rival, chosen)
    return f"{_seen_as(query, reading)}: {versus}."


def _rival(choice: Choice, chosen: Forecast) -> Forecast | None:
    """The best of the others by what was measured, also one that can't be asked."""
    known = [f for f in choice.forecasts if f.expert != chosen.expert and f.quality is not None]
    return max(known, key=quality, default=None)


def _left_out(choice: Choice, chosen: Forecast) -> str:
    """Name the experts that are not available now, as far as no other sentence does."""
    if choice.policy == "named":
        return ""
    told = None if choice.policy in ("prior", "session") else _rival(choice, chosen)
    names = [f.expert for f in choice.forecasts if _is_down(f) and f is not told]
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{NOT_AVAILABLE.capitalize()}: {', '.join(names[:MOST_NAMED])}{more}."


def _why_it_stays(query: Query, chosen: Forecast) -> str:
    if query.history.in_tool_loop:
        return "it asked for the tool's result"
    kept = chosen.cached_tokens
    return f"changing would gain too little{f' for {kept} cached tokens' if kept else ''}"


def _stuck(query: Query, choice: Choice) -> str:
    """Explain that the conversation's expert is stuck."""
    name = query.session_expert
    if name is None or not query.history.signs.get(name):
        return ""
    forecast = next((f for f in choice.forecasts if f.expert == name), None)
    chance = None if forecast is None else forecast.quality
    lowered = "" if chance is None else f", and its chance is lowered to {chance:.0%}"
    why = f" ({query.history.sign})" if query.history.sign else ""
    seems = "seems to be" if query.history.stuck(name) else "may be"
    return f"In this conversation {name} {seems} stuck{why}{lowered}."


def of_conversation(query: Query, choice: Choice) -> str:
    """Whether a conversation's expert stays or leaves, in a few words."""
    name, chosen = query.session_expert, choice.forecast
    if name is None or chosen is None:
        return ""
    if chosen.expert != name:
        stuck = query.history.signs.get(name)
        why = (query.history.sign or "seems to be stuck") if stuck else "another is better"
        return f"leaves {name}: {why}"
    if choice.policy == "session" and query.history.in_tool_loop:
        why = "tool results"
    else:
        why = "gain too small" if choice.policy == "session" else "best"
    kept = f"; keeps {chosen.cached_tokens} cached tokens" if chosen.cached_tokens else ""
    return f"stays: {why}{kept}"


def _seen_as(query: Query, reading: Reading) -> str:
    if reading.evidence < LITTLE_EVIDENCE:
        return "Unlike most that the experts were measured on"
    if query.application is not None:
        return f"For the application '{query.application}'"
    skill = max(reading.skills, key=lambda s: reading.skills[s])
    return f"This looks like {skill}" if skill not in ("", UNSKILLED) else "By what was measured"


def _unmeasured(query: Query, name: str) -> str:
    if in_background(query) or VIRTUAL_MODELS[query.requested_model].cheapest_first:
        return f"No expert that can be asked was measured; {name} is the cheapest."
    return (
        f"No expert that can be asked was measured; {name} is expected to be the best by what is "
        "known of it."
    )


def _versus(rival: Forecast, chosen: Forecast) -> str:
    """Compare the chosen expert with the best of the others."""
    chance = f"{rival.expert} ({rival.quality:.0%})"
    tied_but_dearer = quality(rival) == quality(chosen) and cost(rival) > cost(chosen)
    if quality(rival) <= quality(chosen) and not (tied_but_dearer and rival.feasible):
        return f", ahead of {chance}" + (f", which is {NOT_AVAILABLE}" if _is_down(rival) else "")
    if rival.feasible and rival.wait_ms > chosen.wait_ms and cost(rival) <= cost(chosen):
        return f"; {chance} is not loaded, and has its turn in about {rival.wait_ms / 1000:.0f} s"
    if rival.feasible and rival.cost_usd is not None and cost(rival) <= cost(chosen):
        return f"; {chance} is only forecast to be better"
    if rival.feasible:
        more = "would be more expensive" if rival.cost_usd is not None else "has no known price"
        return f"; {chance} {more}"
    if _is_down(rival):
        return f"; {chance} is {NOT_AVAILABLE}"
    return f"; {chance} is outside the limits: {rival.note}"


def _is_down(forecast: Forecast) -> bool:
    return forecast.note == NOT_AVAILABLE


def _promised(query: Query, promise: Promise | None, incumbent: bool) -> str:
    """Describe what a virtual model costs in quality, and saves, on the marked prompts."""
    model = VIRTUAL_MODELS.get(query.requested_model)
    if model is None or not model.most_loss or query.limits.tradeoff is not None:
        return ""
    if promise is None:
        return "What this costs in quality is unmeasured: too few prompts are marked."
    if not promise.kept:
        few = (
            f"{promise.marks} marked prompts are too few to promise at most "
            f"{model.most_loss:.0%} less quality"
        )
        return f"{few}, so the best single expert answers." if incumbent else f"{few}."
    verb, lost = ("wins", -promise.loss) if promise.loss < 0 else ("loses", promise.loss)
    low, high = (100 * (lost + sign * 1.96 * promise.loss_se) for sign in (-1, 1))
    return (
        f"On {promise.marks} marked prompts this trade-off {verb} {100 * lost:.1f} points "
        f"against the best single expert [{low:.1f}, {high:.1f}] and saves {promise.saving:.0%}."
    )
