"""The pure core: same input, same answer. Time, chance and the environment are arguments."""
