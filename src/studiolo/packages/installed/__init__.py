"""What is installed in an environment, read from outside: never by its interpreter, never over a link."""
