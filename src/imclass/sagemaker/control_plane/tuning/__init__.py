"""Tuning jobs, which start training jobs."""
