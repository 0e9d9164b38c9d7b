"""Kills the control plane at random moments while clients work with it."""
