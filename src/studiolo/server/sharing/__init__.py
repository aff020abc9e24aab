"""What people of a workspace show each other."""
