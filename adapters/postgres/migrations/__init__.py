"""Numbered SQL files, forward only; see `adapters.postgres.migrate`."""
