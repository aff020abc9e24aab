"""The record of every mutation."""
