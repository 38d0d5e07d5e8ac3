"""What Google's APIs have in common: tokens (`auth` alone knows google-auth), and why one of them says no."""
