"""The providers that ship with Connections: one TOML file each, and the schema that all of them meet."""
