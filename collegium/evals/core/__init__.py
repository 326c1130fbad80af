"""The parts that all measurements share: arrays, routing sets, the bootstrap, pages."""
