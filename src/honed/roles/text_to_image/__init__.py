"""Words that find pictures by what is seen: a matrix from text vectors into the space of the image retriever."""
