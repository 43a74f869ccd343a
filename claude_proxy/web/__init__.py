"""The face: HTTP in, HTTP out."""
