"""The HTTP API of the reference, over aiohttp: parse, call, present."""
