"""Versions of files and what was deleted, kept in the workspace's own folder (decision 006).

Used by sessions' servers, the kernel host, the file host and the control plane alike, at the same time.
"""
