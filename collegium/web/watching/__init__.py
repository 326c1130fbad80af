"""Watch the experts and the routers that are tried, and tell the operator what needs a person."""
