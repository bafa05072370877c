"""The image retriever: projections of cached descriptors in closed form, learned ones, the encoder's last blocks."""
