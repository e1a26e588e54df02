"""Small pure operations that several floors share."""
