"""What a shop does at third parties and no declaration can say."""
