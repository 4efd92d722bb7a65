"""Serve the champion: from a picture somebody sends to an answer with its explanation."""
