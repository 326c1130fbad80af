"""Applications: who sends requests, told by a tag or by what their requests have in common."""
