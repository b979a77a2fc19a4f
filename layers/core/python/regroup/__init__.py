"""What training, the classifier and the collector share."""
