"""What a file looks like, as a document that can do nothing: no scripts, no frames, nothing fetched from anywhere."""
