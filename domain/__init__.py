"""What a connection is and what may happen to it: pure rules, no I/O, no clock, no randomness."""
