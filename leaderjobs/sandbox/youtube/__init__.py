"""YouTube: channels with uploads, videos and comments, days of figures, and a quota for each key and day."""
