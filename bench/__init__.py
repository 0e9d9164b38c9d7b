"""Measurements of imclass beside its peers."""
