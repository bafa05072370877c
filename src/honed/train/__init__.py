"""What every trainer of text shares: the loop, towers that learn, losses, batches, replay. Needs torch."""
