"""Uploads in the making: gathered beside the workspace's files, placed when whole."""
