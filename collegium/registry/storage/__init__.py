"""The database: SQLite in a file or PostgreSQL, its connections, transactions and backups."""
