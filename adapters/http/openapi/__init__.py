"""The documentation, as an OpenAPI 3.1 document and as a page, from the types that validate requests."""
