"""The log of decisions: records, selection, retention and deletion."""
