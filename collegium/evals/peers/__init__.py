"""Other projects' routers beside ours: their own code, in environments of their own."""
