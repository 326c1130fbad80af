"""Traces and metrics over OTLP, with OpenTelemetry; imported only if a collector is configured."""
