"""The laboratory: measures and trains experts and routers."""
