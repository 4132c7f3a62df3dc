"""Ordinary client programs, run as processes of their own; each prints `ok` when all was right."""
