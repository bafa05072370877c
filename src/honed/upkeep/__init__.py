"""Keeping a workspace sound: `doctor` says what is wrong and mends what is derived, `compact` makes deleted text vanish."""
