"""The disk that all lies on: watched, told of before it is full, and released where things can be made again."""
