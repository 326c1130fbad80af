"""Traces and metrics over OTLP, with OpenTelemetry; imported when a collector is named."""
