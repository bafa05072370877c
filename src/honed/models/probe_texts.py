"""Sixty-four texts of mixed length and subject, the same in every installation, for the probe of runtimes."""

from __future__ import annotations

SENTENCES = (
    "The tenant shall give the landlord sixty days of written notice before the end of the term.",
    "Fever, a stiff neck and sensitivity to light can be signs of meningitis and need care at once.",
    "To restore the mailbox, close the program, rename the index file and start it again.",
    "Invoice 20-4471 was paid twice; please return the second payment to the card that was used.",
    "The pump loses pressure when the inlet filter is clogged or the seal on the shaft is worn.",
    "Each party keeps confidential what it learns about the other's customers, prices and methods.",
    "Two trials with 418 patients found no difference in pain after six weeks of treatment.",
    "Why is my transfer still pending?",
    "Rinse the lens with distilled water, never with solvents, and let it dry in the air.",
    "The committee met on 4 March, approved the minutes and elected a new treasurer.",
    "If the certificate has expired, the server refuses the connection and writes error 495 to its log.",
    "Children under twelve pay half, and groups of ten or more get a guide without charge.",
    "A gene on chromosome 7 makes a protein that moves chloride through the membrane of cells.",
    "Neither party is liable for delay caused by flood, strike, war or the acts of a government.",
    "Sort the table by date, then filter the rows whose status is open.",
    "Warranty: 24 months.",
)


def probe_texts() -> list[str]:
    """64 texts of one to fourteen sentences, most of them short, as passages and questions are."""
    count = len(SENTENCES)
    lengths = (1, 1, 2, 3, 1, 5, 2, 8, 1, 4, 2, 14, 3, 1, 6, 2)
    return [
        " ".join(
            SENTENCES[(7 * number + step * (number % 5 + 1)) % count] for step in range(lengths[number % len(lengths)])
        )
        for number in range(64)
    ]
