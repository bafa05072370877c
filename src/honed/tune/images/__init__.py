"""Fine-tuning of image retrieval: heads on cached descriptors, the encoder's last blocks, a text side. Needs torch."""
