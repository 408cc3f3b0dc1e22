"""What the service can do: one use case per file, over the ports in `application.ports`."""
