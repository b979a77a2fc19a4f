"""What happens after the answer: samples stored, scored and counted."""
