"""`python -m entrypoints` is `connections`."""

from entrypoints.cli import main

main(prog_name="connections")
