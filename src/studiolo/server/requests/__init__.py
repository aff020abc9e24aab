"""Requests for packages: asked for, decided on, followed to their installation."""
