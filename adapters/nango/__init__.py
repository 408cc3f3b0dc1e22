"""Nango over HTTP: the gateway, and nothing of Nango's JSON outside of this package."""
