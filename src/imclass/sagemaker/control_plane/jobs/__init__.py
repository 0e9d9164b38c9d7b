"""What jobs of all kinds share: places, runs that survive a restart, keepers and the containers that they keep."""
