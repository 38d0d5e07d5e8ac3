"""What the stand-ins of Google have in common: tokens that expire, and the shape of a refusal."""
