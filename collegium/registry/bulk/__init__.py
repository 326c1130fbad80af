"""Bulk jobs and their files."""
