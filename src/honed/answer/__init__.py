"""From a question to a cited answer: retrieve, fuse, generate, cite, or refuse."""
