"""What operators watch, in Prometheus' words: the only package that knows its client."""
