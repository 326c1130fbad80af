"""Show: the HTTP API and the chat page."""
