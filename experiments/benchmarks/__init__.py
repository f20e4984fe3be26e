"""What a step costs, and what the training program adds to it."""
