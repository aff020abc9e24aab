"""What each cell has put out, and writing it into notebooks."""
