"""Remember: experts, engines, decisions, outcomes, feedback and shared state."""
