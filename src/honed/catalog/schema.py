"""The tables, and how an old file becomes a new one. One place to read what is stored."""

from __future__ import annotations

import hashlib
import unicodedata

FORMAT = 4
"""Number of the form that is written. A file of an older one is brought up when it is opened (`MIGRATIONS`)."""

_TEXT = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

-- A document is known by the hash of its content and by the id it came with (a path, or the id in an imported corpus).
CREATE TABLE documents (
  rowid INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  external_id TEXT NOT NULL,
  title TEXT NOT NULL,
  media_type TEXT NOT NULL,
  language TEXT NOT NULL,
  meta TEXT NOT NULL,
  cluster INTEGER            -- near-duplicates share it; NULL until `dataset` has looked
);
CREATE INDEX documents_external ON documents (external_id);

-- Sources are what the user gave. Several sources may hold one document; a rejected one has a code and no document.
CREATE TABLE sources (
  path TEXT PRIMARY KEY,
  sha256 TEXT NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  document TEXT REFERENCES documents (id),
  code TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT ''
);
CREATE INDEX sources_document ON sources (document);

CREATE TABLE passages (
  rowid INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  document INTEGER NOT NULL REFERENCES documents (rowid) ON DELETE CASCADE,
  ordinal INTEGER NOT NULL,
  title TEXT NOT NULL,
  headings TEXT NOT NULL,
  text TEXT NOT NULL,
  page INTEGER,
  text_hash BLOB NOT NULL    -- of the embedded text: a vector belongs to it, so a renamed file is not embedded again
);
CREATE INDEX passages_document ON passages (document);
CREATE INDEX passages_text_hash ON passages (text_hash);

-- The order in which passages came and went: a derived index says up to which number it has followed.
CREATE TABLE changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, passage INTEGER NOT NULL, op TEXT NOT NULL);
CREATE TRIGGER passage_added AFTER INSERT ON passages
  BEGIN INSERT INTO changes (passage, op) VALUES (new.rowid, 'add'); END;
CREATE TRIGGER passage_removed AFTER DELETE ON passages
  BEGIN INSERT INTO changes (passage, op) VALUES (old.rowid, 'remove'); END;

CREATE TABLE vectors (space TEXT NOT NULL, text_hash BLOB NOT NULL, vector BLOB NOT NULL);
CREATE UNIQUE INDEX vectors_key ON vectors (space, text_hash);

-- What cleaning took out, word for word, so that it can be read and put back.
CREATE TABLE removals (
  document INTEGER NOT NULL REFERENCES documents (rowid) ON DELETE CASCADE,
  rule TEXT NOT NULL,
  text TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX removals_document ON removals (document);

CREATE TABLE queries (
  id TEXT PRIMARY KEY,
  text TEXT NOT NULL,
  split TEXT NOT NULL,
  meta TEXT NOT NULL,
  origin TEXT NOT NULL       -- 'import', 'labels', 'proxy'
);
-- Judgements name documents by external id: they outlive a changed file.
CREATE TABLE qrels (
  query TEXT NOT NULL REFERENCES queries (id) ON DELETE CASCADE,
  document TEXT NOT NULL,
  grade INTEGER NOT NULL,
  PRIMARY KEY (query, document)
);
CREATE TABLE answers (query TEXT PRIMARY KEY REFERENCES queries (id) ON DELETE CASCADE, text TEXT NOT NULL);

CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,       -- 'running', 'done', 'failed'
  started TEXT NOT NULL,
  ended TEXT,
  settings TEXT NOT NULL,
  result TEXT
);

CREATE TABLE releases (
  number INTEGER PRIMARY KEY AUTOINCREMENT, manifest_sha256 TEXT NOT NULL, created TEXT NOT NULL, run TEXT, note TEXT NOT NULL
);
CREATE TABLE live (one INTEGER PRIMARY KEY CHECK (one = 1), release INTEGER NOT NULL REFERENCES releases (number));
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, action TEXT NOT NULL,
  before INTEGER, after INTEGER NOT NULL, reason TEXT NOT NULL
);
"""

_IMAGES = """
-- A picture that was added or imported, or a figure or page of a document. `media` names its rendering, a blob: the pixels
-- that the sandbox saw, at most 512 a side, encoded anew by us. The bytes that came stay the source's blob and are never
-- decoded outside of the sandbox. Equal media: the same picture, whatever file format it came in.
CREATE TABLE images (
  rowid INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  document INTEGER NOT NULL REFERENCES documents (rowid) ON DELETE CASCADE,
  media TEXT NOT NULL,       -- sha256 of the rendering; its first 16 bytes are the key of its descriptors in `vectors`
  kind TEXT NOT NULL,        -- 'file', 'figure', 'page'
  ordinal INTEGER NOT NULL,
  page INTEGER,
  width INTEGER NOT NULL,    -- of the original, in pixels
  height INTEGER NOT NULL,
  caption TEXT NOT NULL,
  passage INTEGER REFERENCES passages (rowid) ON DELETE SET NULL,  -- holds the caption, or the text around the picture
  phash BLOB NOT NULL        -- 8 bytes, perceptual: few differing bits mean a near-copy
);
CREATE INDEX images_document ON images (document);
CREATE INDEX images_passage ON images (passage);
CREATE INDEX images_key ON images (substr(media, 1, 32));

-- The order in which images came and went, as `changes` for passages.
CREATE TABLE image_changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, image INTEGER NOT NULL, op TEXT NOT NULL);
CREATE TRIGGER image_added AFTER INSERT ON images
  BEGIN INSERT INTO image_changes (image, op) VALUES (new.rowid, 'add'); END;
CREATE TRIGGER image_removed AFTER DELETE ON images
  BEGIN INSERT INTO image_changes (image, op) VALUES (old.rowid, 'remove'); END;

-- Pictures of one group show the same thing. By external id, like judgements: it outlives a changed file.
CREATE TABLE image_groups (document TEXT PRIMARY KEY, name TEXT NOT NULL, variant TEXT NOT NULL, split TEXT NOT NULL);
"""

_SPLITS = """
-- The split of every question and picture that there ever was, written once. It outlives what it belongs to: what is removed
-- and comes back, or comes under another name, is not tested after it was learned from.
CREATE TABLE splits (
  kind TEXT NOT NULL,        -- 'question', 'picture'
  name TEXT NOT NULL,        -- id of the question, external id of the picture's document
  content TEXT NOT NULL,     -- `question_key` of the text, sha256 of the picture's rendering
  split TEXT NOT NULL,
  final INTEGER NOT NULL,    -- 0: a picture that no run has taken yet; who groups it anew may change its split
  PRIMARY KEY (kind, name, content)
);
"""

_AS_THEY_STAND = """
INSERT INTO splits SELECT 'question', id, question_key(text), split, 1 FROM queries;
INSERT INTO meta SELECT 'splits of pictures', 'to be stored' WHERE EXISTS (SELECT 1 FROM images);
"""

_LEDGER = """
-- Every look at a test set, counted for ever, and which questions decided: their hashes, one behind the other.
CREATE TABLE ledger (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, test_set TEXT NOT NULL, run TEXT NOT NULL, at TEXT NOT NULL,
  role TEXT NOT NULL DEFAULT '', metric TEXT NOT NULL DEFAULT '', questions TEXT
);
"""

TABLES = _TEXT + _IMAGES + _SPLITS + _LEDGER

_LOOKS = f"""
ALTER TABLE ledger RENAME TO older_ledger;
{_LEDGER}
INSERT INTO ledger (seq, test_set, run, at, role) SELECT seq, test_set, run, at, CASE
  WHEN run LIKE '%-tune-images%' OR run LIKE 'compare images %' THEN 'image-retriever'
  WHEN run LIKE '%-tune-words%' THEN 'text-to-image'
  WHEN run LIKE '%-tune-generator%' THEN 'image-generator'
  ELSE 'retriever' END FROM older_ledger;
DROP TABLE older_ledger;
"""

MIGRATIONS: dict[int, str] = {1: _IMAGES, 2: _SPLITS + _AS_THEY_STAND, 3: _LOOKS}
"""SQL that turns a file of a format into one of the next and keeps its contents; it may call `question_key`."""


def question_key(text: str) -> str:
    """Hash by which a question is known again under another id: neither case nor spaces make it another one."""
    same = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    return hashlib.sha256(same.encode()).hexdigest()[:32]
