"""The operations of all services, by name, and the plane that they work on."""
