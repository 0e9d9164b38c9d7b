"""The numbers of a report: pure functions from probabilities and labels, without files, pictures or networks."""
