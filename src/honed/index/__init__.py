"""Search structures that are derived from the catalog and can be thrown away at any moment.

rows.py        what the indexes read from a catalog
dense.py       inner product over unit vectors: exact while small, inverted lists when not
ivf.py         the inverted lists: 8-bit codes that say which rows deserve an exact look
lexical.py     BM25 (tantivy)
folders.py     immutable folders, a pointer, a lock, leases: how each index is kept, and how the next one is built
generation.py  one immutable folder with both, named by the catalog's change number, and how it is opened
refresh.py     builds the next generation beside the old one and moves the pointer
images.py      vectors and perceptual hashes of pictures, for one encoder and head
reader.py      searches a moving target: reopens when the pointer moves, hides what the catalog has deleted
"""
