"""What requests and answers look like: protocols, AWS's service models, errors, signatures. It knows no jobs."""
