"""Studiolo: team notebooks you host yourself."""

__version__ = "0.1.0"
