"""What outlives the server: the state, objects in S3, logs."""
