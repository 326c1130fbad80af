"""Bulk jobs over files of any size in object storage, on Ray Data, through a running service."""
