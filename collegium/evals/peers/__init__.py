"""Other projects' routers: their own code, in their own environments."""
