"""From labelled data to a published router; never part of a Lambda package."""
