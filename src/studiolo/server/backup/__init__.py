"""Backups of the whole platform, made while it runs, and their restoration."""
