"""Compilation jobs: requests, documents, runs, and what works in their containers."""
