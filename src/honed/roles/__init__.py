"""What is tuned, one folder a role: its data, its training stages, its evaluation, its part of a release."""
