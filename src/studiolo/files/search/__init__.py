"""Search of names, notebooks' cells and texts, by an index for each workspace that follows the files' change times."""
