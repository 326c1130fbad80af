"""Imports: read other gateways' configurations into experts to register."""
