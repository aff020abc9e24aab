"""What server, SDK and command line agree on: wire models, ids, names, errors, operations."""
